"""What an embedded benchmark holds: spread, noise, ceiling, optimum, and how well proxies order it.

    python experiments/embedded_table.py digits-nb201
    python experiments/embedded_table.py clutter-nb201 [--file clutter-nb201.foretell]

Prints the tables of the benchmark's page, as Markdown. Where the official table of NAS-Bench-201 is
there (../shared/data), the order of CIFAR-10 is compared, too.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foretell import get_space
from foretell.benchmarks import Benchmark, open_benchmark
from foretell.metrics import correlate, kendall, populations, spearman, unreachable
from foretell.studies.build_benchmark.config import plan_of
from foretell.types import Array

CIFAR = Path(__file__).parents[2] / "shared" / "data" / "nb201.parquet"
JUDGED = {
    "digits-nb201": ("test_accuracy", "test_loss", "fgsm_eps24_accuracy"),
    "clutter-nb201": ("test_accuracy", "test_loss", "pgd_eps4_accuracy"),
}
"""Columns that proxies are judged by."""
EARLY = {"digits-nb201": (2, 5, 10), "clutter-nb201": (1, 2, 4)}
"""Epochs after which validation accuracy is looked at."""


Mask: TypeAlias = NDArray[np.bool_]


def heading(text: str, *columns: str) -> None:
    print(f"\n## {text}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def last(table: Benchmark, key: str, column: int = -1) -> Array:
    """The runs after the last epoch, (n, seeds)."""
    return table.read(key)[:, :, column]


def between(runs: Array, statistic: object) -> float:
    """A statistic of one run with another, mean over the pairs of seeds."""
    pairs = combinations(range(runs.shape[1]), 2)
    return float(np.mean([float(statistic(runs[:, a], runs[:, b])) for a, b in pairs]))  # type: ignore[operator]


def reliability(runs: Array) -> tuple[float, float, float]:
    """Of one run: spread between cells, spread between runs of a cell, share of the former.

    One-way analysis of variance on the cells that were trained repeatedly, (n, seeds).
    """
    within = float(np.var(runs, axis=1, ddof=1).mean())
    spread = max(0.0, float(np.var(runs.mean(axis=1), ddof=1)) - within / runs.shape[1])
    return spread**0.5, within**0.5, spread / (spread + within)


def upper_half(runs: Array, higher: bool) -> tuple[float, float]:
    """Kendall's tau of two runs within the better half of the cells.

    The half is that by the mean of the runs, which bends tau downwards, as two runs of a cell near
    the border cannot both be low; and that by a third run, which does not; NaN without one.
    """
    values = runs if higher else -runs
    mean, seeds = values.mean(axis=1), range(runs.shape[1])
    by_mean = between(values[mean >= np.median(mean)], kendall)
    other = [
        float(kendall(*values[values[:, c] >= np.median(values[:, c])][:, [a, b]].T))
        for c in seeds
        for a, b in combinations([s for s in seeds if s != c], 2)
    ]
    return by_mean, float(np.mean(other)) if other else float("nan")


def noise(table: Benchmark, keys: Sequence[tuple[str, int, str]], again: Mask) -> None:
    """One row for each column of values: how well a run foretells another."""
    heading(
        "Noise", "two runs of a cell", "Spearman", "Kendall", "Kendall, upper half by mean",
        "Kendall, upper half by a third run", "spread of cells", "spread of runs",
        "reliability of one run",
    )  # fmt: skip
    for key, column, words in keys:
        runs = last(table, key, column)[again]
        cells, within, share = reliability(runs)
        tops = upper_half(runs, bool(table.metrics[key].higher_is_better))
        row(
            words,
            f"{between(runs, spearman):.3f}",
            f"{between(runs, kendall):.3f}",
            *(f"{tau:.3f}" for tau in tops),
            f"{cells:.4f}",
            f"{within:.4f}",
            f"{share:.2f}",
        )
    print(f"\n{int(again.sum())} alive cells were trained repeatedly")


def cifar_order(table: Benchmark, keys: Sequence[str], alive: Mask) -> None:
    """Spearman's rho with the test accuracy of CIFAR-10."""
    if not CIFAR.exists():
        return
    import duckdb

    space = get_space(table.space)
    query = f"SELECT arch, test_acc_cifar10::double FROM '{CIFAR}'"
    theirs = {space.parse(a).genes: v for a, v in duckdb.sql(query).fetchall()}
    truth = np.array([theirs[space.parse(t).genes] for t in table.texts])
    costs = {"params": table.query(None, "params", missing="nan")}
    heading("CIFAR-10", "alive cells", "Spearman with its test accuracy")
    for key in keys:
        sign = 1.0 if table.metrics[key].higher_is_better else -1.0
        values = sign * table.query(None, key, missing="nan")
        row(key, f"{float(spearman(values[alive], truth[alive])):.3f}")
    row("params", f"{float(spearman(costs['params'][alive], truth[alive])):.3f}")


def optimum(table: Benchmark, keys: Sequence[str], alive: Mask, again: Mask) -> None:
    """The best cell by each column, and what another run of it is expected to give."""
    heading(
        "Optimum", "by", "best cell", "mean of its runs", "runs", "mean of all",
        "expected of another run",
    )  # fmt: skip
    space = get_space(table.space)
    for key in keys:
        sign = 1.0 if table.metrics[key].higher_is_better else -1.0
        values = table.query(None, key, missing="nan")
        best = int(np.nanargmax(sign * values))
        mean = float(np.nanmean(values[alive]))
        runs = int((~np.isnan(last(table, key)[best])).sum())
        share = reliability(last(table, key)[again])[2]
        part = runs * share / (1 + (runs - 1) * share)
        row(
            key,
            f"`{'.'.join(map(str, space.parse(table.texts[best]).genes))}`",
            f"{values[best]:.4f}",
            runs,
            f"{mean:.4f}",
            f"{mean + part * (values[best] - mean):.4f}",
        )


def proxies(
    table: Benchmark,
    keys: Sequence[str],
    alive: Mask,
    again: Mask,
    prefix: str,
) -> None:
    """Spearman's rho of each proxy, beside the ceiling that noise sets."""
    space = get_space(table.space)
    archs = [space.parse(t) for t in table.texts]
    reachable = np.array([not unreachable(space.graph(a)) for a in archs])
    masks = populations(len(archs), alive=alive, reachable=reachable)
    names = [k for k, m in table.metrics.items() if m.kind == "proxy" or k in ("params", "flops")]
    scores = np.stack([table.query(None, k, missing="nan") for k in names])
    heading(
        "Proxies", "Spearman",
        *(f"{k.removeprefix(prefix)}, {p}" for p in masks for k in keys),
    )  # fmt: skip
    lines: dict[str, list[str]] = {k: [] for k in names}
    for mask in masks.values():
        for key in keys:
            sign = 1.0 if table.metrics[key].higher_is_better else -1.0
            truth = sign * table.query(None, key, missing="nan")
            for name, value in zip(
                names, correlate(scores[:, mask], truth[mask], "spearman"), strict=True
            ):
                lines[name].append(f"{value.value:.3f}")
    for name, values in lines.items():
        row(name.removeprefix(prefix), *values)
    ceilings = [f"{reliability(last(table, key)[again])[2] ** 0.5:.3f}" for key in keys]
    row("ceiling of a predictor", *(["-"] * len(keys)), *ceilings, *(["-"] * len(keys)))
    print("\n" + ", ".join(f"{p}: {int(m.sum())}" for p, m in masks.items()))


def long_runs(table: Benchmark, prefix: str) -> None:
    """What the long runs say of the short ones."""
    if f"{prefix}long_test_accuracy" not in table.metrics:
        return
    heading("Long runs", "of the cells that have one", "Spearman with the short run", "mean short",
            "mean long")  # fmt: skip
    for name in ("val_accuracy", "test_accuracy", "test_loss"):
        short, long = (last(table, f"{prefix}{b}{name}")[:, 0] for b in ("", "long_"))
        both = ~np.isnan(long) & (short != short.min() if "accuracy" in name else True)
        rho = float(spearman(short[both], long[both]))
        row(name, f"{rho:.3f}", f"{short[both].mean():.4f}", f"{long[both].mean():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=JUDGED)
    parser.add_argument("--file", help="of a table of the same layout")
    options = parser.parse_args()
    table, plan = open_benchmark(options.file or options.name), plan_of(options.name)
    prefix = f"{plan.dataset}/"
    judged = [prefix + name for name in JUDGED[options.name]]
    space = get_space(table.space)
    alive = np.asarray(space.alive([space.parse(t) for t in table.texts]))
    for name, fact in table.facts.items():
        print(f"{name}: {fact}")
    seconds = np.nansum(table.read(f"{prefix}train_seconds")[:, :, -1])
    print(
        f"\n{len(table.texts):,} cells, {seconds / 60:.0f} CPU minutes of training, without tests"
    )

    heading(
        "Spread", "after the last epoch, alive cells",
        *("least", "5 %", "25 %", "50 %", "75 %", "95 %", "most"),
    )  # fmt: skip
    middle = plan.eps[len(plan.eps) // 2]
    shown = ["val_accuracy", "test_accuracy", "test_loss", "clean_accuracy"]
    attacked = [f"{a}_eps{e:g}_accuracy" for a in plan.attacks for e in plan.eps]
    for name in dict.fromkeys([*shown, f"pgd_eps{middle:g}_accuracy", JUDGED[options.name][2]]):
        values = table.query(None, prefix + name, missing="nan")[alive]
        quantiles = np.nanquantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])
        row(prefix + name, *(f"{q:.4f}" for q in quantiles))

    again = alive & ~np.isnan(last(table, f"{prefix}test_loss")).any(axis=1)
    finals = ["train_loss", "val_loss", "test_loss", "val_accuracy", "test_accuracy", *attacked]
    rows = [(prefix + name, -1, prefix + name) for name in finals]
    curve = f"{prefix}val_accuracy"
    rows += [
        (curve, table.metrics[curve].epochs.index(e), f"{curve} after {e} epochs")
        for e in EARLY[options.name]
    ]
    noise(table, rows, again)
    cifar_order(table, judged, alive)
    optimum(table, list(dict.fromkeys([f"{prefix}val_accuracy", *judged])), alive, again)
    proxies(table, judged, alive, again, prefix)
    long_runs(table, prefix)


if __name__ == "__main__":
    main()
