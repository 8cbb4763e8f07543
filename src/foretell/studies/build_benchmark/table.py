"""From the finished runs of a build to the table that is shipped."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.benchmarks import Metric, TableData
from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.data import task_of
from foretell.studies.build_benchmark.draw import CellRun, cell_runs
from foretell.types import Json

__all__ = ["table_data"]

UNKNOWN = np.iinfo(np.uint16).max
"""Stands for a count that was not measured."""
Records = Sequence[Sequence[Json | None]]
"""For each cell, the record of each of its runs; None where none was made."""


def table_data(
    archs: Sequence[Arch], records: Mapping[str, Json], config: BuildConfig
) -> TableData:
    """The table of a finished build.

    Accuracies are stored as numbers of images, losses and seconds as float32, proxies as float64,
    parameters and multiply-adds as uint32. What long runs gave has columns of its own, which begin
    with ``long_``: their learning rate falls more slowly, so that they are no longer curves of the
    same trainings.

    Args:
        archs: the cells, in the order of the draw.
        records: key of a run -> what ``run_cell`` returned, of every cell at least its first run.
        config: of the build.
    """
    seeds = range(config.repeats)
    runs = [[records.get(CellRun(a, seed, config.epochs).key) for seed in seeds] for a in archs]
    space = get_space("nb201")
    columns = _Columns(config)
    columns.add_training(runs)
    columns.add_attacks(runs)
    if config.long_every:
        long = [[records.get(CellRun(a, 0, config.long_epochs, long=True).key)] for a in archs]
        columns.add_training(long, long=True)
    scores = [row[0]["scores"] for row in runs if row[0] is not None]
    for name in scores[0]:
        if name not in ("params", "flops"):
            column = np.array([_nan(s[name]) for s in scores], dtype=np.float64)
            proxy = Metric(name, config.dataset, kind="proxy", higher_is_better=True)
            columns.add(proxy, column[:, None, None])
    costs = space.costs(archs, config.skeleton)  # of dead cells, too
    assert costs is not None
    for name, counted in (("params", costs.params), ("flops", costs.flops)):
        columns.add(
            Metric(name, unit="count", kind="cost"), counted.astype(np.uint32)[:, None, None]
        )
    return TableData(
        config.benchmark,
        [space.format(arch) for arch in archs],
        columns.metrics,
        columns.values,
        space="nb201",
        genes=np.array([arch.genes for arch in archs], dtype=np.int64),
        facts=_facts(archs, records, config),
    )


class _Columns:
    """The columns of a table, added one after the other."""

    def __init__(self, config: BuildConfig) -> None:
        self.config, self.task = config, task_of(config)
        self.metrics: dict[str, Metric] = {}
        self.values: dict[str, NDArray[Any]] = {}

    def add(self, metric: Metric, block: NDArray[Any]) -> None:
        """Add one, (n, seeds, epochs)."""
        self.metrics[metric.key], self.values[metric.key] = metric, block

    def add_training(self, runs: Records, *, long: bool = False) -> None:
        """Losses, accuracies and seconds of each epoch."""
        config, before = self.config, "long_" if long else ""
        seeds = (0,) if long else tuple(range(config.repeats))
        length = config.long_epochs if long else config.epochs
        every, last = tuple(range(1, length + 1)), (length,)
        parts: tuple[tuple[Literal["train", "val", "test"], int], ...] = (
            ("train", 0), ("val", len(self.task.val)), ("test", len(self.task.test)),
        )  # fmt: skip
        for split, size in parts:
            epochs = every if split != "test" or config.test_curve else last
            when = "after each epoch" if len(epochs) > 1 else "after the last epoch"
            common: dict[str, Any] = {"split": split, "seeds": seeds, "epochs": epochs}
            loss = Metric(
                f"{before}{split}_loss",
                config.dataset,
                "nats",
                False,
                summary="mean of the epoch's steps, with label smoothing"
                if split == "train"
                else f"{when}, without label smoothing",
                **common,
            )
            self.add(loss, _floats(runs, f"{split}_loss", len(epochs)))
            if size:
                accuracy = Metric(
                    f"{before}{split}_accuracy",
                    config.dataset,
                    "fraction",
                    True,
                    scale=1 / size,
                    summary=f"{when}, on {size} images",
                    **common,
                )
                self.add(accuracy, _counts(runs, f"{split}_right", len(epochs)))
        spent = Metric(
            f"{before}train_seconds",
            config.dataset,
            "seconds",
            False,
            kind="cost",
            seeds=seeds,
            epochs=every,
            summary="CPU seconds of one thread, validation included, up to each epoch",
        )
        self.add(spent, _floats(runs, "seconds", length))

    def add_attacks(self, runs: Records) -> None:
        """Accuracy on the attacked images, before and under each attack."""
        config = self.config
        clean = f"on the {config.attacked} test images that are attacked"
        columns: list[tuple[str, str, str, int | None]] = [("clean_accuracy", clean, "clean", None)]
        columns += [
            (
                f"{attack}_eps{eps:g}_accuracy",
                f"under {attack}, Linf {eps:g}/255, {clean}",
                attack,
                index,
            )
            for attack in config.attacks
            for index, eps in enumerate(config.eps)
        ]
        for name, summary, column, index in columns:
            metric = Metric(
                name,
                config.dataset,
                "fraction",
                True,
                split="test",
                seeds=tuple(range(config.repeats)),
                epochs=(config.epochs,),
                scale=1 / config.attacked,
                summary=summary,
            )
            self.add(metric, _counts(runs, column, 1, index))


def _floats(runs: Records, name: str, length: int) -> NDArray[np.float32]:
    """(n, seeds, length) float32; NaN after a run diverged, and where none was made."""
    block = np.full((len(runs), len(runs[0]), length), np.nan, dtype=np.float32)
    for i, row in enumerate(runs):
        for j, record in enumerate(row):
            if record is not None:
                values = record[name]
                block[i, j, : len(values)] = [_nan(v) for v in values]
    return block


def _counts(runs: Records, name: str, length: int, index: int | None = None) -> NDArray[np.uint16]:
    """(n, seeds, length) numbers of images, ``UNKNOWN`` where nothing was measured."""
    block = np.full((len(runs), len(runs[0]), length), UNKNOWN, dtype=np.uint16)
    for i, row in enumerate(runs):
        for j, record in enumerate(row):
            if record is not None and name in record:
                values = record[name]
                values = values if isinstance(values, list) else [values]
                values = values if index is None else [values[index]]
                block[i, j, : len(values)] = [UNKNOWN if v is None else v for v in values]
    return block


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _facts(
    archs: Sequence[Arch], records: Mapping[str, Json], config: BuildConfig
) -> dict[str, str]:
    import torch

    space = get_space("nb201")
    task = task_of(config)
    runs = cell_runs(archs, config)
    failed = sum(bool(records[key]["failure"]) for key in runs if key in records)
    again = [sum(r.seed == seed for r in runs.values()) for seed in range(1, config.repeats)]
    long = sum(r.long for r in runs.values())
    skeleton = config.skeleton
    of = {"digits": "the embedded digits"}.get(config.dataset, config.data)
    facts = {
        "source": f"trained by foretell: foretell benchmark build {config.benchmark}",
        "summary": f"{len(archs):,} cells of NAS-Bench-201, trained on {of}",
        "cells": f"{len(archs):,} drawn at random from the 6,466 classes of equal published "
        f"strings; {len({space.graph(a).hash() for a in archs}):,} distinct functions; "
        f"{len(archs) - int(space.alive(archs).sum())} dead",
        "skeleton": f"{skeleton.channels} channels, {skeleton.cells} cell in each of three stages, "
        f"{'x'.join(map(str, skeleton.input_shape))} images, {skeleton.classes} classes",
        "data": f"{task.name}: {len(task.train)} images to train, {len(task.val)} to validate, "
        f"{len(task.test)} to test; fingerprint {task.fingerprint}",
        "recipe": f"{config.epochs} epochs of SGD with Nesterov momentum 0.9, batches of "
        f"{config.batch_size}, learning rate {config.lr:g} after a warm-up of 10 %, then half "
        f"a cosine, weight decay 5e-4, label smoothing 0.1, gradients clipped at 5",
        "seeds": ", ".join(
            ["0 for every cell", *(f"{s} for {n:,} of them" for s, n in enumerate(again, 1))]
        ),
        "attacks": f"{', '.join(config.attacks)} within Linf balls of "
        f"{', '.join(f'{e:g}' for e in config.eps)} in 1/255, on {config.attacked} test images",
        "proxies": f"two batches of {config.score_batch} training images, the initial weights "
        f"of seed 0",
        "failures": f"{failed} of {len(runs)} runs diverged",
        "versions": f"torch {torch.__version__}, numpy {np.__version__}",
    }
    if long:
        facts["long runs"] = f"{config.long_epochs} epochs, once, for {long} of the cells"
    return facts
