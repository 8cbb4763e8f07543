"""Choosing the setting of clutter-nb201: how well can its accuracies judge, and at what cost.

    python experiments/clutter_setting.py --log clutter_setting.jsonl --setting NAME [--cells 60]
    python experiments/clutter_setting.py --log clutter_setting.jsonl --report

Trains random cells of NAS-Bench-201 twice each under a named setting, one line of the log for each
run (a run that is in the log is not repeated), and prints for every setting in the log: Spearman's
rho between the seeds, Kendall's tau within the upper half, the range from 5 to 95 %, Spearman's rho
with CIFAR-10's test accuracy, and CPU seconds a run; intervals (95 %) by a bootstrap over cells.
The cells tried here are left out of the table.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

CIFAR = Path(__file__).parents[2] / "shared" / "data" / "nb201.parquet"
SETTINGS: dict[str, dict[str, Any]] = {
    "base": {},
    "3k": {"train": 3000},
    "b64": {"batch": 64},
    "light": {"fragments": 4},
    "colour": {"channels": 3},
    "twelve": {"epochs": 12},
    "wide": {"width": 16},
    "noisy": {"noise": 40},
    "ema": {"average": 0.98},
}
USUAL: dict[str, Any] = {
    "train": 2000,
    "val": 1000,
    "test": 4000,
    "fragments": 8,
    "piece": 5,
    "noise": 16,
    "channels": 1,
    "width": 8,
    "cells": 1,
    "epochs": 8,
    "batch": 64,
    "lr": 0.1,
    "average": 0.0,
    "eps": 8,
}


def run(job: tuple[str, tuple[int, ...], int]) -> dict[str, Any]:
    """Train one cell once."""
    import torch

    from foretell.arch import Arch
    from foretell.data import load_task
    from foretell.networks import build
    from foretell.rng import stream_seed
    from foretell.robustness import evaluate as attacked
    from foretell.spaces import Skeleton
    from foretell.training import Recipe, tensor_task, train
    from foretell.training.loop import evaluate

    torch.set_num_threads(1)
    name, genes, seed = job
    s = USUAL | SETTINGS[name]
    keys = ("train", "val", "test", "fragments", "piece", "noise", "channels")
    task = load_task("clutter?" + "&".join(f"{k}={s[k]}" for k in keys))
    arch = Arch("nb201", genes)
    start = time.process_time()
    skeleton = Skeleton(task.input_shape, 10, s["width"], s["cells"])
    module = build(arch, skeleton, seed=stream_seed(seed, arch))
    recipe = Recipe(epochs=s["epochs"], batch_size=s["batch"], lr=s["lr"], channels_last=True)
    done = train(module, task, recipe, seed=stream_seed(seed, "order", arch), test=False)
    spent = time.process_time() - start
    tensors = tensor_task(task)
    loss, accuracy = evaluate(module, tensors.test, tensors, torch.channels_last)
    tested = time.process_time() - start - spent
    robust = attacked(module, task, attacks=("pgd",), eps=(s["eps"],), images=500, seed=0)
    return {
        "setting": name,
        "genes": genes,
        "seed": seed,
        "val_accuracy": done.val_accuracy,
        "val_curve": done.curves.val_accuracy,
        "train_loss": done.curves.train_loss[-1],
        "test_accuracy": accuracy,
        "test_loss": loss,
        "pgd": robust.accuracy["pgd"][float(s["eps"])],
        "seconds": [round(v, 2) for v in (spent, tested, time.process_time() - start)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--setting", action="append", default=[], choices=SETTINGS)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    from foretell import get_space

    space = get_space("nb201")
    rng = np.random.default_rng(20261130)
    drawn = [space.sample(rng) for _ in range(4 * options.cells)]
    cells = list(
        dict.fromkeys(a.genes for a, ok in zip(drawn, space.alive(drawn), strict=True) if ok)
    )
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

    from foretell import get_space
    from foretell.metrics import kendall, spearman

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
        print(
            f"\n{name}: {len(both)} cells, CPU seconds of training, test, all: {seconds.round(2)}"
        )
        theirs = np.array([cifar.get(g, np.nan) for g in both])
        for key in ("test_accuracy", "val_accuracy", "test_loss", "pgd"):
            x = np.array([[r[s][key] for s in (0, 1)] for r in both.values()])
            rng = np.random.default_rng(0)
            draws = [rng.integers(0, len(x), len(x)) for _ in range(500)]
            figures = {
                "between seeds": lambda i, x=x: spearman(x[i, 0], x[i, 1]).value,
                "upper half": lambda i, x=x: upper(x[i], kendall),
                "5-95 %": lambda i, x=x: np.diff(np.quantile(x[i, 0], (0.05, 0.95)))[0],
                "CIFAR-10": lambda i, x=x, t=theirs: spearman(x[i].mean(1), t[i]).value,
            }
            words = []
            for label, figure in figures.items():
                low, high = np.nanquantile([figure(i) for i in draws], (0.025, 0.975))
                words.append(f"{label} {figure(np.arange(len(x))):.3f} [{low:.2f}, {high:.2f}]")
            print(f"  {key:14s} mean {x.mean():.3f}  {'  '.join(words)}")


def upper(x: np.ndarray, statistic: Any) -> float:
    """A statistic between the seeds over the better half by the mean of both."""
    mean = x.mean(1)
    top = mean >= np.median(mean)
    return float(statistic(x[top, 0], x[top, 1]).value)


if __name__ == "__main__":
    main()
