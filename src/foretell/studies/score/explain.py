"""What scores of a network mean: their place among others, beside its size, in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from foretell.arch import Arch
from foretell.errors import ForetellError
from foretell.metrics import kendall
from foretell.registry import short_name
from foretell.spaces import Space, get_space
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.studies.score.expected import Expected, expected_accuracy
from foretell.studies.score.reference import (
    LEAST,
    TABLE,
    Reference,
    differences,
    family_of,
    from_pool,
    from_run,
    from_table,
    no_family,
)
from foretell.studies.score.run import ScoreRun, score_items
from foretell.studies.score.verdict import verdict
from foretell.types import Array

__all__ = ["BASELINES", "Explained", "ExplainedScore", "ScoreExplanation", "explain_scores"]

BASELINES = ("params", "live_params", "sum_log_params")
"""The sizes that every score is shown beside."""
TABLE_BATCH = 64
"""Images of the batches that the table's scores were computed on."""


@dataclass(frozen=True)
class ExplainedScore:
    """One score of one network.

    Args:
        name: of the proxy.
        value: NaN where there is none.
        direction: "higher is better", "lower is better", or "not stated".
        size: whether it is a size baseline.
        percentile: share of the reference that is worse, equals counted half; NaN where unknown.
        n: networks of the reference that have this score.
        with_params: Kendall's tau-b of this score and the number of parameters over the reference.
        with_accuracy: the same with trained accuracy, where the reference is trained.
        reason: why the value or the percentile is missing; empty if neither is.
    """

    name: str
    value: float
    direction: str
    size: bool
    percentile: float = nan
    n: int = 0
    with_params: float = nan
    with_accuracy: float = nan
    reason: str = ""


@dataclass(frozen=True)
class Explained:
    """One network.

    Args:
        label: as it was given.
        reference: among which networks the percentiles are; empty without.
        reason: why there are no percentiles; empty with.
        scores: those asked for, then the size baselines.
        expected: the accuracy that training would give; None where that would be a guess.
        not_expected: why there is none.
        verdict: one sentence.
    """

    label: str
    reference: str
    reason: str
    scores: tuple[ExplainedScore, ...]
    expected: Expected | None
    not_expected: str
    verdict: str


@dataclass(frozen=True)
class ScoreExplanation:
    """Every network of a run.

    Args:
        networks: (n,) in the order of the run.
    """

    networks: tuple[Explained, ...]

    def columns(self) -> dict[str, Sequence[object]]:
        """Columns to stand behind those of the run: percentiles, expected accuracy, verdict."""
        rows = self.networks
        names = [s.name for s in rows[0].scores] if rows else []
        return {
            **{
                f"{short_name(name)}_percentile": [r.scores[j].percentile for r in rows]
                for j, name in enumerate(names)
            },
            "expected": [r.expected.accuracy if r.expected else nan for r in rows],
            "expected_low": [r.expected.low if r.expected else nan for r in rows],
            "expected_high": [r.expected.high if r.expected else nan for r in rows],
            "verdict": [r.verdict for r in rows],
        }


def explain_scores(
    run: ScoreRun,
    *,
    family: Space | None = None,
    pool: int = 50,
    on_progress: OnProgress = silent,
) -> ScoreExplanation:
    """Say what the scores of a run mean.

    Percentiles are among the trained networks of the embedded table where data, input shape,
    skeleton and batch are the table's; else within a pool that is drawn from the architecture's
    space, from ``family``, or from the one space that the file of a network declares; else there
    are none. An accuracy is predicted only where the table's predictor was fitted on such networks
    and such data.

    Args:
        run: the scores.
        family: a space whose networks are like the modules of the run.
        pool: how many networks are drawn from a space.
        on_progress: told how far scoring the pool is.

    Raises:
        ForetellError: the file of a network cannot be imported.
    """
    tell = Tracker(on_progress)
    names = (*run.scores.names, *(b for b in BASELINES if b not in run.scores.names))
    values, reasons = _with_sizes(run, names)
    references: dict[str, Reference | str] = {}
    expected = _expected(run)
    rows = []
    for i, item in enumerate(run.items):
        scored = bool(run.scores.alive[i]) and i not in run.scores.failures
        found: Reference | str = "It has no scores."
        if scored:
            found = _reference(run, i, names, values, family, pool, references, tell)
        own = item if isinstance(item, Arch) else None
        scores = tuple(
            _score(name, values[i, j], reasons.get((i, name), ""), found, own)
            for j, name in enumerate(names)
        )
        apart = differences(run, item)
        row = Explained(
            label=run.labels[i],
            reference=found.words if isinstance(found, Reference) else "",
            reason="" if isinstance(found, Reference) else found,
            scores=scores,
            expected=expected.get(own) if own is not None and scored else None,
            not_expected=_not_expected(apart, scored),
            verdict="",
        )
        failure = run.scores.failures.get(i, "")
        sentence = verdict(row, alive=bool(run.scores.alive[i]), failure=failure)
        rows.append(Explained(**{**vars(row), "verdict": sentence}))
    return ScoreExplanation(tuple(rows))


def _with_sizes(run: ScoreRun, names: Sequence[str]) -> tuple[Array, Mapping[tuple[int, str], str]]:
    """The values with those of the size baselines, (n, p), and why some are missing."""
    more = [name for name in names if name not in run.scores.names]
    if not more:
        return run.scores.values, run.scores.reasons
    sizes = score_items(
        run.items, more, task=run.task, skeleton=run.skeleton, batch_size=run.batch_size,
        seed=run.seed, timeout=run.timeout, tell=Tracker(),
    )  # fmt: skip
    values: Array = np.concatenate([run.scores.values, sizes.values], axis=1)
    return values, {**run.scores.reasons, **sizes.reasons}


def _reference(
    run: ScoreRun,
    index: int,
    names: Sequence[str],
    values: Array,
    family: Space | None,
    pool: int,
    known: dict[str, Reference | str],
    tell: Tracker,
) -> Reference | str:
    """The networks to compare one with, or why there are none."""
    item = run.items[index]
    if not differences(run, item) and run.batch_size == TABLE_BATCH:
        if TABLE not in known:
            known[TABLE] = from_table(names)
        return known[TABLE]
    space = get_space(item.space) if isinstance(item, Arch) else family or family_of(item)
    if space is None:
        return from_run(run, index, names, values) or no_family(run.labels[index])
    if space.name not in known:
        try:
            known[space.name] = from_pool(run, space, names, pool, tell)
        except ForetellError as error:
            known[space.name] = str(error)
    return known[space.name]


def _score(
    name: str, value: float, why: str, reference: Reference | str, own: Arch | None
) -> ExplainedScore:
    """One value and its place."""
    from foretell.proxies import proxies

    higher = proxies.entry(name).facts.get("higher_is_better")
    direction = "not stated" if higher is None else "lower is better"
    direction = "higher is better" if higher else direction
    base = ExplainedScore(short_name(name), float(value), direction, name in BASELINES)

    def without(reason: str) -> ExplainedScore:
        return ExplainedScore(**{**vars(base), "reason": reason})

    if not isfinite(value):
        return without(why or (reference if isinstance(reference, str) else "It has no value."))
    if isinstance(reference, str):
        return without(reference)
    if name not in reference.values:
        return without(reference.reasons.get(name, "The others have no such score."))
    others = np.array([own is None or a != own for a in reference.archs])
    column = reference.values[name]
    there = np.isfinite(column) & others
    if int(there.sum()) < LEAST:
        return without(
            f"Only {int(there.sum())} of {len(column)} others have this score; a place among them "
            f"says nothing."
        )
    if higher is None:
        return without("The proxy does not say whether higher is better.")
    worse = column[there] < value if higher else column[there] > value
    share = float(np.mean(worse) + 0.5 * np.mean(column[there] == value))
    return ExplainedScore(
        **{
            **vars(base),
            "percentile": share,
            "n": int(there.sum()),
            "with_params": _tau(column, reference.values.get("params")),
            "with_accuracy": _tau(column, reference.accuracy),
        }
    )


def _tau(values: Array, other: Array | None) -> float:
    if other is None:
        return nan
    both = np.isfinite(values) & np.isfinite(other)
    if int(both.sum()) < LEAST:
        return nan
    return float(kendall(values[both], other[both]).value)


def _expected(run: ScoreRun) -> dict[Arch, Expected]:
    """Predictions for those of the table's kind."""
    like = [
        item
        for i, item in enumerate(run.items)
        if isinstance(item, Arch)
        and run.scores.alive[i]
        and i not in run.scores.failures
        and not differences(run, item)
    ]
    return expected_accuracy(list(dict.fromkeys(like))) if like else {}


def _not_expected(apart: Sequence[str], scored: bool) -> str:
    if not scored:
        return "It was not scored."
    if not apart:
        return ""
    return (
        f"No accuracy is predicted: the predictor knows trained networks of {TABLE} only, and "
        f"{', '.join(apart)}. Measure some of your own, then use foretell predict."
    )
