"""What the embedded benchmark holds: spread, noise, optimum, and how well proxies order it.

    python experiments/digits_nb201.py [TABLE]

Prints the tables of the page on digits-nb201, as Markdown. TABLE is the name or the file of a
table of the same layout; by default the embedded one.
"""

import sys

import numpy as np

from foretell import get_space
from foretell.benchmarks import Benchmark, open_benchmark
from foretell.metrics import correlate, kendall, populations, spearman, unreachable
from foretell.types import Array

TARGETS = (
    "digits/train_loss",
    "digits/val_loss",
    "digits/test_loss",
    "digits/val_accuracy",
    "digits/test_accuracy",
    *(f"digits/{a}_eps{e}_accuracy" for a in ("fgsm", "pgd") for e in (4, 8, 16, 24, 32)),
)
JUDGED = ("digits/test_accuracy", "digits/test_loss", "digits/fgsm_eps24_accuracy")


def heading(text: str, *columns: str) -> None:
    print(f"\n## {text}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")


def last(table: Benchmark, key: str, column: int | None = None) -> Array:
    """The runs after the last epoch, (n, seeds)."""
    values = table.read(key)
    return values[:, :, -1 if column is None else column]


def reliability(runs: Array) -> tuple[float, float, float]:
    """Of one run: spread between cells, spread between runs of a cell, share of the former.

    One-way analysis of variance on the cells that were trained twice, (n, 2).
    """
    within = float(np.mean(np.diff(runs, axis=1) ** 2) / 2)
    between = max(0.0, float(np.var(runs.mean(axis=1), ddof=1)) - within / 2)
    return between**0.5, within**0.5, between / (between + within)


def main() -> None:
    table = open_benchmark(sys.argv[1] if len(sys.argv) > 1 else "digits-nb201")
    space = get_space(table.space)
    archs = [space.parse(t) for t in table.texts]
    alive = space.alive(archs)
    reachable = np.array([not unreachable(space.graph(a)) for a in archs])
    for name, fact in table.facts.items():
        print(f"{name}: {fact}")
    seconds = np.nan_to_num(last(table, "digits/train_seconds")).sum()
    print(f"\n{len(table.texts):,} cells, {seconds / 60:.0f} CPU minutes of training")

    heading(
        "Spread",
        "after the last epoch, alive cells",
        *("least", "5 %", "25 %", "50 %", "75 %", "95 %", "most"),
    )
    for key in (
        "digits/val_accuracy",
        "digits/test_accuracy",
        "digits/test_loss",
        "digits/clean_accuracy",
        "digits/pgd_eps8_accuracy",
        "digits/fgsm_eps24_accuracy",
    ):
        values = table.query(None, key, missing="nan")[alive]
        row(key, *(f"{q:.4f}" for q in np.nanquantile(values, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])))

    heading(
        "Noise",
        "two runs of a cell",
        "Spearman",
        "Kendall",
        "spread of cells",
        "spread of runs",
        "reliability of one run",
    )
    twice = alive & ~np.isnan(last(table, "digits/test_loss")).any(axis=1)
    for key in TARGETS:
        runs = last(table, key)[twice]
        cells, noise, share = reliability(runs)
        row(
            key,
            f"{spearman(*runs.T).value:.3f}",
            f"{kendall(*runs.T).value:.3f}",
            f"{cells:.4f}",
            f"{noise:.4f}",
            f"{share:.2f}",
        )
    epochs = table.metrics["digits/val_accuracy"].epochs
    for epoch in (2, 5, 10):
        column = epochs.index(epoch)
        runs = last(table, "digits/val_accuracy", column)[twice]
        cells, noise, share = reliability(runs)
        row(
            f"digits/val_accuracy after {epoch} epochs",
            f"{spearman(*runs.T).value:.3f}",
            f"{kendall(*runs.T).value:.3f}",
            f"{cells:.4f}",
            f"{noise:.4f}",
            f"{share:.2f}",
        )
    print(f"\n{int(twice.sum())} cells were trained twice")

    heading(
        "Optimum",
        "by",
        "best cell",
        "mean of its runs",
        "runs",
        "mean of all",
        "expected of another run",
    )
    for key in (
        "digits/test_accuracy",
        "digits/val_accuracy",
        "digits/test_loss",
        "digits/fgsm_eps24_accuracy",
    ):
        sign = 1.0 if table.metrics[key].higher_is_better else -1.0
        values = table.query(None, key, missing="nan")
        best = int(np.nanargmax(sign * values))
        mean = float(np.nanmean(values[alive]))
        runs = int((~np.isnan(last(table, key)[best])).sum())
        share = reliability(last(table, key)[twice])[2]
        kept = runs * share / (1 + (runs - 1) * share)
        row(
            key,
            f"`{'.'.join(map(str, archs[best].genes))}`",
            f"{values[best]:.4f}",
            runs,
            f"{mean:.4f}",
            f"{mean + kept * (values[best] - mean):.4f}",
        )

    masks = populations(len(archs), alive=alive, reachable=reachable)
    names = [k for k, m in table.metrics.items() if m.kind == "proxy" or k in ("params", "flops")]
    scores = np.stack([table.query(None, k, missing="nan") for k in names])
    heading("Proxies", "Spearman", *(f"{k.split('/')[1]}, {p}" for p in masks for k in JUDGED))
    lines = {k: [] for k in names}
    for mask in masks.values():
        for key in JUDGED:
            sign = 1.0 if table.metrics[key].higher_is_better else -1.0
            truth = sign * table.query(None, key, missing="nan")
            found = correlate(scores[:, mask], truth[mask], "spearman")
            for name, value in zip(names, found, strict=True):
                lines[name].append(f"{value.value:.3f}")
    for name, values in lines.items():
        row(name.removeprefix("digits/"), *values)
    print("\n" + ", ".join(f"{p}: {int(m.sum())}" for p, m in masks.items()))


if __name__ == "__main__":
    main()
