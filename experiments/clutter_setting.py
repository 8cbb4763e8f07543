"""Choosing the setting of clutter-nb201: how well can its accuracies judge, and at what cost.

    python experiments/clutter_setting.py --log clutter_setting.jsonl --setting NAME [--cells 60]
    python experiments/clutter_setting.py --log clutter_setting.jsonl --report

Trains random cells of NAS-Bench-201 twice each under a named setting, one line of the log for each
run (a run that is in the log is not repeated), and prints for every setting in the log: Spearman's
rho between the seeds, Kendall's tau within the upper half, the range from 5 to 95 %, Spearman's rho
with CIFAR-10's test accuracy, and CPU seconds a run; intervals (95 %) by a bootstrap over cells.
The cells are the last ones of the draw that the table takes the first ones of.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from foretell import Arch, get_space
from foretell.metrics import kendall, spearman
from foretell.studies.build_benchmark.config import CLUTTER
from foretell.studies.build_benchmark.data import task_of
from foretell.studies.build_benchmark.draw import CellRun, draw_cells
from foretell.studies.build_benchmark.run_cell import payload_of, run_cell

CIFAR = Path(__file__).parents[2] / "shared" / "data" / "nb201.parquet"
PARTS = "clutter?train=2000&val=500&test=4000"
TWELVE: dict[str, Any] = {"data": PARTS + "&size=12", "input_shape": (1, 12, 12)}
LARGE: dict[str, Any] = {"data": PARTS, "input_shape": (1, 16, 16), "stage_cells": 1, "epochs": 8}
SETTINGS: dict[str, dict[str, Any]] = {
    "ten pixels, ten epochs": {},
    "ten pixels, twelve pieces, ten epochs": {"data": PARTS + "&size=10&fragments=12"},
    "twelve pixels, six epochs": TWELVE | {"epochs": 6},
    "twelve pixels, eight epochs": TWELVE | {"epochs": 8},
    "twelve pixels, twelve epochs": TWELVE | {"epochs": 12},
    "twelve pixels, one cell, four pieces": TWELVE
    | {"data": PARTS + "&size=12&fragments=4", "stage_cells": 1, "epochs": 8},
    "large": LARGE,
    "large, common": LARGE | {"common": True},
    "large, lr .05": LARGE | {"lr": 0.05},
    "large, lr .05, common": LARGE | {"lr": 0.05, "common": True},
}  # fmt: skip
"""Name -> what differs from the settings of the table."""


def run(job: tuple[str, tuple[int, ...], int]) -> dict[str, Any]:
    """Train and attack one cell once, as the build does."""
    name, genes, seed = job
    config = replace(CLUTTER, **SETTINGS[name])
    run = CellRun(Arch("nb201", genes), seed, config.epochs)
    record = run_cell(payload_of(run, config.identity()))
    task = task_of(config)
    middle = len(config.eps) // 2
    right = {"val_accuracy": len(task.val), "test_accuracy": len(task.test)}
    return {
        "setting": name,
        "genes": genes,
        "seed": seed,
        **{key: record[key.replace("accuracy", "right")][-1] / n for key, n in right.items()},
        "test_loss": record["test_loss"][-1],
        "pgd": record["pgd"][middle] / config.attacked,
        "seconds": [record["seconds"][-1], record["all_seconds"]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--setting", action="append", default=[], choices=SETTINGS)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    space = get_space("nb201")
    last = draw_cells(6466)[: -4 * options.cells : -1]
    cells = [a.genes for a, ok in zip(last, space.alive(last), strict=True) if ok]
    lines = (
        [json.loads(line) for line in options.log.read_text().splitlines()]
        if (options.log.exists())
        else []
    )
    there = {(r["setting"], tuple(r["genes"]), r["seed"]) for r in lines}
    jobs = [
        (name, genes, seed)
        for name in options.setting
        for genes in cells[: options.cells]
        for seed in (0, 1)
    ]
    with ProcessPoolExecutor(2) as pool, options.log.open("a") as log:
        for record in pool.map(run, [j for j in jobs if j not in there]):
            log.write(json.dumps(record) + "\n")
            log.flush()
            lines.append(record)
    report(lines)


def report(lines: list[dict[str, Any]]) -> None:
    """Print the figures of every setting."""
    import duckdb

    space = get_space("nb201")
    cifar: dict[tuple[int, ...], float] = {}
    if CIFAR.exists():
        rows = duckdb.sql(f"SELECT arch, test_acc_cifar10::double AS a FROM '{CIFAR}'").fetchall()
        cifar = {space.parse(text).genes: accuracy for text, accuracy in rows}
    for name in SETTINGS:
        runs: dict[tuple[int, ...], dict[int, dict[str, Any]]] = {}
        for r in lines:
            if r["setting"] == name:
                runs.setdefault(tuple(r["genes"]), {})[r["seed"]] = r
        both = {g: r for g, r in runs.items() if len(r) == 2}
        if len(both) < 5:
            continue
        seconds = np.array([r[0]["seconds"] for r in both.values()]).mean(0)
        print(f"\n{name}: {len(both)} cells, CPU seconds of training, of all: {seconds.round(2)}")
        theirs = np.array([cifar.get(g, np.nan) for g in both])
        for key in ("test_accuracy", "val_accuracy", "test_loss", "pgd"):
            x = np.array([[r[s][key] for s in (0, 1)] for r in both.values()])
            rng = np.random.default_rng(0)
            draws = [rng.integers(0, len(x), len(x)) for _ in range(500)]
            figures = {
                "between seeds": lambda i, x=x: spearman(x[i, 0], x[i, 1]).value,
                "upper half": lambda i, x=x, sign=-1 if "loss" in key else 1: upper(sign * x[i]),
                "5-95 %": lambda i, x=x: np.diff(np.quantile(x[i, 0], (0.05, 0.95)))[0],
                "CIFAR-10": lambda i, x=x, t=theirs: spearman(x[i].mean(1), t[i]).value,
            }
            words = []
            for label, figure in figures.items():
                low, high = np.nanquantile([figure(i) for i in draws], (0.025, 0.975))
                words.append(f"{label} {figure(np.arange(len(x))):.3f} [{low:.2f}, {high:.2f}]")
            print(f"  {key:14s} mean {x.mean():.3f}  {'  '.join(words)}")


def upper(x: np.ndarray) -> float:
    """Kendall's tau between the seeds over the better half by the mean of both."""
    mean = x.mean(1)
    top = mean >= np.median(mean)
    return float(kendall(x[top, 0], x[top, 1]).value)


if __name__ == "__main__":
    main()
