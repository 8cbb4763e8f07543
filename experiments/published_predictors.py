"""Our predictors beside published ones of the same name, by train size.

    OMP_NUM_THREADS=1 python experiments/published_predictors.py --trials 30
    python experiments/published_predictors.py --table

The published study (White et al., NeurIPS 2021, `vary_train_size`) draws a train set and 200 test
networks for each of up to 100 trials and predicts the validation accuracy after the last epoch, on
NAS-Bench-201 (CIFAR-10, all 15,625 networks) and NAS-Bench-101 (108 epochs). Here each trial draws
1,200 networks uniformly: 200 to test on, and train sets that contain one another. Of NAS-Bench-101
30,001 of the 423,624 cells are at hand. NASLib's generator of random cells favours small ones; with
--spaces nb101-small each trial draws as many of each size as that generator gives, 271 in all, for
train sets up to 71.

Ours learn from the published encoding, one-hot operations and adjacency, and from our usual
encodings without proxies. A fit once made is kept in runs/published_predictors (or --out), so that
any run goes on from the last; trials go round by round, so that a stopped run is balanced. Needs
duckdb, scikit-learn, xgboost and the validation data.
"""

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark, Metric, TableData, from_data
from foretell.predictors import predictors
from foretell.rng import stream
from foretell.spaces import Space, get_space
from foretell.studies import Resources
from foretell.studies.evaluate_predictors.study import PredictorsConfig
from foretell.studies.evaluate_predictors.study import run as run_study

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FORETELL_VALIDATION_DATA") or ROOT.parent / "shared" / "data")
OUT = ROOT / "runs" / "published_predictors"
OURS = {
    "rf": "random_forest",
    "xgb": "xgboost",
    "gp": "gp",
    "mlp": "mlp",
    "bohamiann": "bohamiann",
}
"""Name in the published file -> ours."""
ENCODINGS = {
    "nb201": ("onehot", "graf+onehot"),
    "nb101": ("adjacency", "graf+adjacency"),
    "nb101-small": ("adjacency", "graf+adjacency"),
}
"""Space -> the published encoding, and our own encodings."""
PUBLISHED = {"nb201": "nasbench201", "nb101": "nasbench101", "nb101-small": "nasbench101"}
SIZES = (5, 8, 14, 24, 42, 71, 121, 205, 347, 589, 1000)
LEAST = 24
"""Smaller train sets are shown for information."""
TEST, DRAWN = 200, 1200
SMALL = {2: 1, 3: 1, 4: 10, 5: 171, 6: 84, 7: 4}
"""Vertices -> cells of nb101-small: as ``NB101.sample_as_published`` draws distinct ones."""
KEY = "cifar10/val_accuracy"
COLUMNS = ("space", "trial", "predictor", "encodings", "train_size", "kendall", "spearman",
           "fit_seconds", "query_seconds")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spaces", choices=ENCODINGS, nargs="+", default=["nb201", "nb101"])
    parser.add_argument("--predictors", choices=OURS, nargs="+", default=list(OURS))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--first", type=int, default=100, help="seed of the first trial")
    parser.add_argument("--minutes", type=float, default=30.0, help="begin no trial after these")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that a fit may take")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    if not options.table:
        run(options)
    print_table(read(options.out), options)


def run(options: argparse.Namespace) -> None:
    """Fit what is not there yet, trial by trial."""
    names = [OURS[name] for name in options.predictors if OURS[name] in predictors]
    if missing := [OURS[n] for n in options.predictors if OURS[n] not in predictors]:
        print(f"Not registered yet, left out: {', '.join(missing)}.")
    end = time.monotonic() + 60 * options.minutes
    makers = {name: table_maker(name) for name in options.spaces}
    for trial in range(options.first, options.first + options.trials):
        for space, make in makers.items():
            if time.monotonic() > end:
                print(f"Out of time before trial {trial} of {space}: run again to go on.")
                return
            folder = options.out / space / f"trial_{trial}"
            found = run_study(
                PredictorsConfig(
                    predictors=tuple(names),
                    encodings=ENCODINGS[space],
                    sizes=sizes_of(space, options.sizes),
                    seeds=(trial,),
                    test=TEST,
                    baselines=False,
                    workers=1,
                    timeout=options.timeout,
                ),
                folder,
                resources=Resources(benchmark=make(trial)),
            )
            write(folder / "fits.csv", space, trial, found.each())
            failed = f", {len(found.failures)} failed" if found.failures else ""
            print(f"{space}, trial {trial}: {found.fits} fits, {found.reused} of them from before"
                  f"{failed}", flush=True)  # fmt: skip
            for failure in found.failures[:3]:
                print(f"  {found.methods[failure.method].name}, n={failure.size}: "
                      f"{failure.error}: {failure.message}")  # fmt: skip


def sizes_of(space: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """The train sizes that a trial's networks allow."""
    drawn = sum(SMALL.values()) if space == "nb101-small" else DRAWN
    return tuple(size for size in sizes if size + TEST <= drawn)


def table_maker(name: str) -> Callable[[int], Benchmark]:
    """A function: trial -> the table of the networks that it draws."""
    space = get_space(name.removesuffix("-small"))
    if name == "nb201":
        rows = duckdb.sql(
            f"SELECT arch, val_acc_cifar10 FROM '{DATA / 'nb201.parquet'}' ORDER BY idx"
        ).fetchall()
    else:
        rows = duckdb.sql(
            "SELECT n_vertices || ' ' || adj_triu || ' ' || coalesce(ops, ''), val_acc_108 "
            f"FROM '{DATA / 'nb101_partial.parquet'}' WHERE val_acc_108 IS NOT NULL ORDER BY hash"
        ).fetchall()

    def make(trial: int) -> Benchmark:
        order = stream(trial, "trial").permutation(len(rows)).tolist()
        drawn = [rows[i] for i in order[:DRAWN]]
        if name == "nb101-small":
            each = {v: [rows[i] for i in order if rows[i][0][0] == str(v)] for v in SMALL}
            drawn = [row for v, found in each.items() for row in found[: SMALL[v]]]
        archs = [parse(space, text) for text, _ in drawn]
        metric = Metric("val_accuracy", "cifar10", "fraction", True, split="val", scale=0.01)
        return from_data(
            TableData(
                f"{name}-{trial}",
                [space.format(a) for a in archs],
                {KEY: metric},
                {KEY: np.array([value for _, value in drawn])[:, None, None]},
                space.name,
                np.array([a.genes for a in archs]),
            )
        )

    return make


def parse(space: Space, text: str) -> Arch:
    """The architecture of a row: its official text, or "VERTICES TRIANGLE OPS" of nb101."""
    if space.name == "nb201":
        return space.parse(text)
    names = {"c1": "conv1x1-bn-relu", "c3": "conv3x3-bn-relu", "mp": "maxpool3x3"}
    vertices, bits, *ops = text.split()
    v = int(vertices)
    matrix = np.zeros((v, v), dtype=np.int64)
    matrix[np.triu_indices(v, 1)] = [int(b) for b in bits]
    words = ["input", *(names[o] for op in ops for o in op.split(",")), "output"]
    return space.parse(f"{''.join(map(str, matrix.ravel().tolist()))}:{','.join(words)}")


def write(path: Path, space: str, trial: int, fits: dict[str, list[object]]) -> None:
    """The fits of a trial as CSV."""
    lines = zip(*(fits[name] for name in COLUMNS[2:]), strict=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows((space, trial, *line) for line in lines)


def read(out: Path) -> list[dict[str, str]]:
    """All fits of all trials."""
    found: list[dict[str, str]] = []
    for path in sorted(out.glob("*/trial_*/fits.csv")):
        with path.open(newline="") as file:
            found += csv.DictReader(file)
    return found


def published() -> dict[tuple[str, str, int], dict[str, float]]:
    """(space, published name, train size) -> the published row."""
    with (DATA / "published_predictor_results.csv").open(newline="") as file:
        return {
            (row["search_space"], row["predictor"], int(row["train_size"])): {
                k: float(row[k]) for k in ("kendall_mean", "kendall_std", "n", "fit_time_s")
            }
            for row in csv.DictReader(file)
            if row["experiment"] == "vary_train_size" and row["dataset"] == "cifar10"
        }


def lines(fits: list[dict[str, str]], options: argparse.Namespace) -> Iterator[str]:
    """Rows of the table in Markdown."""
    theirs = published()
    for space in options.spaces:
        for name in options.predictors:
            for size in options.sizes:
                row = theirs.get((PUBLISHED[space], name, size))
                if row is None:
                    continue
                cells = [
                    f"{space} | {name} | {size} | {row['kendall_mean']:.3f} ± "
                    f"{row['kendall_std']:.3f}"
                ]
                seconds = [f"{row['fit_time_s']:.2f}"]
                count = 0
                for encodings in ENCODINGS[space]:
                    key = (space, OURS[name], encodings, str(size))
                    mine = [
                        f
                        for f in fits
                        if (f["space"], f["predictor"], f["encodings"], f["train_size"]) == key
                    ]
                    tau = np.array([float(f["kendall"] or "nan") for f in mine])
                    known = tau[~np.isnan(tau)]  # a constant prediction has no coefficient
                    if not len(known):
                        cells.append("- | -")
                        seconds.append("-")
                        continue
                    count = len(mine)
                    flat = f" ({len(tau) - len(known)} constant)" if len(known) < len(tau) else ""
                    spread = f" ± {known.std(ddof=1):.3f}" if len(known) > 1 else ""
                    cells.append(
                        f"{known.mean():.3f}{spread}{flat} | "
                        f"{known.mean() - row['kendall_mean']:+.3f}"
                    )
                    seconds.append(f"{np.mean([float(f['fit_seconds']) for f in mine]):.3f}")
                if count:
                    yield f"| {' | '.join([*cells, *seconds])} | {count} |"


def print_table(fits: list[dict[str, str]], options: argparse.Namespace) -> None:
    """Kendall's tau, mean and standard deviation over trials, and CPU seconds of a fit."""
    heads = ("space", "predictor", "n", "published", "published encoding", "less published",
             "our encodings", "less published", "fit s: published", "encoding", "our encodings",
             "trials")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for line in lines(fits, options):
        print(line)
    print(f"\n{LEAST} networks or more, the least of 'less published':\n")
    for space in options.spaces:
        for name in options.predictors:
            for encodings in ENCODINGS[space]:
                less = shortfalls(fits, space, name, encodings)
                if less:
                    size = min(less, key=less.__getitem__)
                    print(f"- {space}, {name}, {encodings}: {less[size]:+.3f} at {size}")


def shortfalls(
    fits: list[dict[str, str]], space: str, name: str, encodings: str
) -> dict[int, float]:
    """Train size -> our mean less the published one."""
    theirs = published()
    taus: dict[int, list[float]] = {}
    for fit in fits:
        if (fit["space"], fit["predictor"], fit["encodings"]) == (space, OURS[name], encodings):
            taus.setdefault(int(fit["train_size"]), []).append(float(fit["kendall"] or "nan"))
    return {
        size: float(np.nanmean(found) - theirs[PUBLISHED[space], name, size]["kendall_mean"])
        for size, found in taus.items()
        if size >= LEAST and (PUBLISHED[space], name, size) in theirs
    }


if __name__ == "__main__":
    main()
