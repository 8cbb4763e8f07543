"""Do the tests notice a wrong constant? Each mutation is made in a copy, and its tests are run.

    python experiments/mutants.py
    python experiments/mutants.py --only store,resume

A mutation replaces a text that stands exactly once in ``src``, whichever file holds it, and names
the test files that must then fail. The tests pass on the unchanged copy first. Prints died or
survived and the seconds of each; ends with 1 if one survives, with 2 if a text is not there once,
a test file is missing, or tests cannot run. About a quarter of an hour on one core.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Mutation(NamedTuple):
    """A change that some test must notice.

    Args:
        name: what is changed.
        old: a text that stands once in ``src``.
        new: what replaces it.
        tests: a file of ``tests``, by name.
        select: pytest's ``-k``, to leave slow tests out; empty for the whole file.
    """

    name: str
    old: str
    new: str
    tests: str
    select: str = ""


FORMULAS, REFERENCES = "test_proxy_formulas.py", "test_proxy_references.py"
MODELS, LINEAR = "test_predictors_models.py", "test_predictors_linear.py"
TRIALS, SEARCH = "test_store_trials.py", "test_search_study.py"
CORRELATION, RANKING = "test_metrics_correlation.py", "test_metrics_ranking.py"
ERRORS, PARETO = "test_metrics_errors.py", "test_metrics_pareto.py"
ROBOT, WALKS = "test_search_robot.py", "test_search_walks.py"
BASE, CONSTRAINTS = "test_search_base.py", "test_search_constraints.py"
FLOAT32, WINNER, RESUMED = "float32", "winner", "resumed or round or images"

MUTATIONS = [
    # proxies
    Mutation("zen: size of the step, 0.011", "GAMMA = 0.01", "GAMMA = 0.011", REFERENCES, FLOAT32),
    Mutation("zen: size of the step, 0.1", "GAMMA = 0.01", "GAMMA = 0.1", REFERENCES, FLOAT32),
    Mutation(
        "zen: the two batches in turn",
        "(1 - m) ** 2 + m * (1 - m) * v1 + m * v2",
        "(1 - m) ** 2 + m * (1 - m) * v2 + m * v1",
        REFERENCES,
        FLOAT32,
    ),
    Mutation("EPE-NAS: above 99 classes", "_MANY = 100", "_MANY = 99", FORMULAS),
    Mutation("EPE-NAS: above 101 classes", "_MANY = 100", "_MANY = 101", FORMULAS),
    Mutation("EPE-NAS: from 100 classes", "c.classes > _MANY", "c.classes >= _MANY", FORMULAS),
    Mutation("jacov and EPE-NAS: k", "_K = 1e-5", "_K = 2e-5", FORMULAS),
    Mutation(
        "a dilated convolution is lowered",
        'm.padding_mode, m.bias) == (1, (1, 1), "zeros", None)',
        'm.padding_mode, m.bias) == (1, m.dilation, "zeros", None)',
        "test_proxy_modules.py",
        "changed",
    ),
    # predictors
    Mutation("auto: least gain, less", "_LEAST_GAIN = 0.002", "_LEAST_GAIN = 0.0019", MODELS),
    Mutation("auto: least gain, more", "_LEAST_GAIN = 0.002", "_LEAST_GAIN = 0.0021", MODELS),
    Mutation("auto: no least gain", "_LEAST_GAIN = 0.002", "_LEAST_GAIN = 0.0", MODELS),
    Mutation("quantile targets go on, less far", "_BEYOND = 4.0", "_BEYOND = 3.5", MODELS),
    Mutation("quantile targets go on, farther", "_BEYOND = 4.0", "_BEYOND = 5.0", MODELS),
    Mutation("quantile targets: slope below", "np.interp(z[0] + 1", "np.interp(z[0] + 2", MODELS),
    Mutation(
        "quantile targets: slope above", "np.interp(z[-1] - 1", "np.interp(z[-1] - 0.5", MODELS
    ),
    Mutation(
        "ridge: the mean takes no degree of freedom",
        "free = n - 1 - len(square)",
        "free = n - len(square)",
        LINEAR,
    ),
    Mutation(
        "ridge: the mean takes two",
        "free = n - 1 - len(square)",
        "free = n - 2 - len(square)",
        LINEAR,
    ),
    Mutation("ridge: free not squared", "residual / free**2", "residual / free", LINEAR),
    Mutation(
        "conformal: no place for the new one",
        "rank = math.ceil((n + 1) * self.level)",
        "rank = math.ceil(n * self.level)",
        MODELS,
        "interval",
    ),
    Mutation(
        "conformal: one place lower",
        "np.sort(errors)[rank - 1]",
        "np.sort(errors)[rank - 2]",
        MODELS,
        "interval",
    ),
    Mutation(
        "conformal: floor of the deviations",
        "np.median(out.std)) / 10",
        "np.median(out.std)) / 5",
        MODELS,
        "interval",
    ),
    Mutation(
        "conformal: others' errors",
        "rank = math.ceil(n * self.level) - 1",
        "rank = math.ceil(n * self.level) - 2",
        MODELS,
        "interval",
    ),
    # metrics
    Mutation(
        "tau-b: ties do not shorten the denominator",
        "top / np.sqrt((pairs - x_ties) * (pairs - y_ties))",
        "top / pairs",
        CORRELATION,
    ),
    Mutation("tau-b: ties of both count twice", "y_ties + both - 2 *", "y_ties - 2 *", CORRELATION),
    Mutation(
        "bootstrap: both tails below",
        "[tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)\n    return Interval(value.",
        "[2 * tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)\n    return Interval(value.",
        CORRELATION,
    ),
    Mutation("nDCG: discount", "np.arange(n) + 2.0)", "np.arange(n) + 3.0)", RANKING),
    Mutation(
        "regret: share of the subsets",
        "comb(j, take - 1) / total",
        "comb(j, take) / total",
        RANKING,
    ),
    Mutation(
        "precision: ties in the order of rows",
        "(k - above.sum()) / tied.sum()",
        "1.0",
        RANKING,
    ),
    Mutation("coverage: ends excluded", "(a <= t) & (t <= b)", "(a < t) & (t < b)", ERRORS),
    Mutation("normal interval: one-sided", "inv_cdf((1 + level) / 2)", "inv_cdf(level)", ERRORS),
    Mutation("calibration: signs cancel", "abs(c.value - level)", "(c.value - level)", ERRORS),
    Mutation(
        "hypervolume: half better", "(gains > 0).all(axis=1)", "(gains > 0).any(axis=1)", PARETO
    ),
    Mutation("front: equals dominate", "(rows[:, 1] > best)", "(rows[:, 1] >= best)", PARETO),
    Mutation(
        "normal scores: Hazen's half", "+ 0.5) / present.sum()", "+ 0.4) / present.sum()", ROBOT
    ),
    # search
    Mutation("robot: trust in the sum", "_TRUST = 0.5", "_TRUST = 0.6", ROBOT),
    Mutation(
        "robot: what is in flight is forgotten",
        "*self._broken(), *(self._index[a] for a in self.pending)]",
        "*self._broken()]",
        ROBOT,
    ),
    Mutation(
        "Gaussian process: noise",
        "noisy = k + noise_var * np.eye(len(y))",
        "noisy = k + 0.9 * noise_var * np.eye(len(y))",
        ROBOT,
    ),
    Mutation("evolution: nobody dies", "deque(maxlen=population)", "deque()", WALKS),
    Mutation(
        "evolution: the worst wins",
        "parent = max((self._parents",
        "parent = min((self._parents",
        WALKS,
    ),
    Mutation(
        "local search: equals are taken",
        "self.values[best] <= self.values[self._centre]",
        "self.values[best] < self.values[self._centre]",
        WALKS,
    ),
    Mutation(
        "the best: the last of equals",
        "return max(told, key=lambda pair: pair[1], default=None)",
        "return max(reversed(told), key=lambda pair: pair[1], default=None)",
        BASE,
    ),
    # constraints
    Mutation(
        "constraints: open intervals",
        "(values >= low) & (values <= high)",
        "(values > low) & (values < high)",
        CONSTRAINTS,
    ),
    Mutation("constraints: MiB are MB", '"mib": 2.0**20', '"mib": 1e6', CONSTRAINTS),
    Mutation("constraints: loosest bound", "max=min(highs) if", "max=max(highs) if", CONSTRAINTS),
    Mutation(
        "constraints: % are wholes",
        "return float(match[1]) / 100, True",
        "return float(match[1]), True",
        CONSTRAINTS,
    ),
    Mutation(
        "constraints: dead networks are feasible",
        "if self._alive else {}",
        "if not self._alive else {}",
        CONSTRAINTS,
    ),
    # store
    *(
        Mutation(f"store: retry keeps {name}", old, new, TRIALS)
        for name, old, new in (
            ("owner and lease", "owner = NULL, lease_until = NULL, value = NULL", "value = NULL"),
            ("the lease", "owner = NULL, lease_until = NULL, value", "owner = NULL, value"),
            ("the value", "value = NULL, error = ''", "error = ''"),
            ("the error", "NULL, error = '', message = ''", "NULL, message = ''"),
            ("the message", "error = '', message = '', \"", "error = '', \""),
            ("the traceback", "\"traceback = '', seconds = NULL", '"seconds = NULL'),
            ("the seconds", "seconds = NULL, finished = NULL", "finished = NULL"),
            ("when it finished", "seconds = NULL, finished = NULL", "seconds = NULL"),
        )
    ),
    Mutation(
        "store: a lease outlives its end",
        "state = 'running' AND lease_until <= ?",
        "state = 'running' AND lease_until < ?",
        TRIALS,
    ),
    Mutation("store: lost once too often", "AND lost + 1 >= ?", "AND lost >= ?", TRIALS),
    Mutation(
        "store: an earlier lease is good for ever",
        "AND owner = ? AND attempts = ?",
        "AND owner = ? AND attempts >= ?",
        TRIALS,
    ),
    Mutation(
        "store: claims are not counted",
        "attempts = attempts + 1, owner = ?, lease_until = ?, started = ? WHERE",
        "attempts = attempts, owner = ?, lease_until = ?, started = ? WHERE",
        TRIALS,
    ),
    Mutation(
        "store: a first claim counts as lost",
        "lost = lost + (state = 'running')",
        "lost = lost + 1",
        TRIALS,
    ),
    Mutation("store: the dead are not counted", "trial.lost + counts(trial)", "trial.lost", TRIALS),
    Mutation(
        "store: pending before expired",
        "sorted(rows, key=lambda row: row[1])[:count]",
        "rows[:count]",
        TRIALS,
    ),
    Mutation(
        "store: a finished trial stays leased",
        "finished = ?, lease_until = NULL WHERE {_HELD}",
        "finished = ? WHERE {_HELD}",
        TRIALS,
    ),
    # winner and resume
    Mutation(
        "winner: higher loss of equals",
        'return values.get("loss", np.inf), costs',
        'return -values.get("loss", np.inf), costs',
        SEARCH,
        WINNER,
    ),
    Mutation(
        "winner: no look at the loss",
        'return values.get("loss", np.inf), costs',
        "return 0.0, costs",
        SEARCH,
        WINNER,
    ),
    Mutation(
        "winner: more parameters of equals",
        'costs.get("params", np.inf), trial.number',
        '-costs.get("params", np.inf), trial.number',
        SEARCH,
        WINNER,
    ),
    Mutation(
        "winner: loss before accuracy",
        "ordered[int(np.nanargmax(gains[:, 0]))]",
        "ordered[0]",
        SEARCH,
        WINNER,
    ),
    Mutation(
        "resume: another seed",
        '"trials", "prefer", "final_epochs"',
        '"trials", "seed", "prefer", "final_epochs"',
        SEARCH,
        "another",
    ),
    Mutation(
        "resume: other images",
        '"data fingerprint": checked.task.fingerprint',
        '"data fingerprint": ""',
        SEARCH,
        RESUMED,
    ),
    Mutation(
        "resume: other strengths",
        "                eps,\n                config.attack",
        "                config.attack",
        SEARCH,
        RESUMED,
    ),
    Mutation(
        "resume: other images attacked",
        "                config.attack_images,\n            ]",
        "            ]",
        SEARCH,
        RESUMED,
    ),
    Mutation(
        "resume: another recipe",
        "fingerprint([list(arch.genes), repr(self._recipe), seed])",
        "fingerprint([list(arch.genes), seed])",
        SEARCH,
        RESUMED,
    ),
    Mutation(
        "resume: a round too large",
        "min(round_, trials - len(rows))",
        "round_",
        SEARCH,
        RESUMED,
    ),
    # layout
    Mutation(
        "layout: an assert on input",
        "    b = np.broadcast_to(b, a.shape)",
        "    assert b.ndim < 3\n    b = np.broadcast_to(b, a.shape)",
        "test_layout.py",
        "typed",
    ),
]


def holder(source: Path, text: str) -> Path:
    """The file that holds a text exactly once.

    Raises:
        SystemExit: it stands there never, or more than once.
    """
    places = [(path, path.read_text().count(text)) for path in sorted(source.rglob("*.py"))]
    places = [(path, n) for path, n in places if n]
    if sum(n for _, n in places) != 1:
        told = ", ".join(f"{n} in {path.relative_to(source)}" for path, n in places) or "none"
        print(f"Expected this text once in src, but found {told}:\n{text}")
        raise SystemExit(2)
    return places[0][0]


def test_file(folder: Path, name: str) -> Path:
    """A file of tests by its name.

    Raises:
        SystemExit: there is none, or more than one.
    """
    found = sorted(folder.rglob(name))
    if len(found) != 1:
        print(f"Expected one file {name} in tests, but found {len(found)}.")
        raise SystemExit(2)
    return found[0]


def run(root: Path, path: Path, select: str) -> int:
    """Pytest's exit code: 0 if all tests pass, 1 if one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(path)]
    done = subprocess.run(
        [*command, "-k", select] if select else command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        print(f"The tests of {path.name} cannot run:\n{done.stdout}{done.stderr}")
        raise SystemExit(2)
    return done.returncode


def survivors(root: Path, chosen: Sequence[Mutation]) -> int:
    """How many mutations no test notices; one line is printed for each mutation."""
    places = [holder(root / "src", m.old) for m in chosen]
    files = [test_file(root / "tests", m.tests) for m in chosen]
    for path, select in dict.fromkeys(zip(files, (m.select for m in chosen), strict=True)):
        if run(root, path, select):
            print(f"{path.name} fails on the unchanged source: mend that first.")
            raise SystemExit(2)
    count = 0
    for mutation, place, path in zip(chosen, places, files, strict=True):
        start = time.perf_counter()
        text = place.read_text()
        place.write_text(text.replace(mutation.old, mutation.new))
        survived = run(root, path, mutation.select) == 0
        place.write_text(text)
        count += survived
        word = "survived" if survived else "died"
        print(f"{word:8} {time.perf_counter() - start:6.1f} s  {mutation.name}", flush=True)
    return count


def main() -> int:
    """Run all mutations, or those whose names hold one of the words."""
    parser = argparse.ArgumentParser(description="Do the tests notice a wrong constant?")
    parser.add_argument("--only", default="", help="words of the mutations' names, by commas")
    words = parser.parse_args().only.split(",")
    chosen = [m for m in MUTATIONS if any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        count = survivors(root, chosen)
    print(f"{len(chosen) - count} of {len(chosen)} died, {count} survived.")
    return int(count > 0)


if __name__ == "__main__":
    raise SystemExit(main())
