"""From the finished runs of a build to the table that is shipped."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.benchmarks import Metric, TableData
from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.run_cell import digits_task
from foretell.types import Json

__all__ = ["table_data"]

DATASET = "digits"
UNKNOWN = np.iinfo(np.uint16).max
"""Stands for a count that was not measured."""


def table_data(
    archs: Sequence[Arch], records: Mapping[str, Json], settings: BuildConfig
) -> TableData:
    """The table of a finished build.

    Accuracies are stored as numbers of images, losses and seconds as float32, proxies as float64,
    parameters and multiply-adds as uint32.

    Args:
        archs: the cells, in the order of the draw.
        records: "cell/run" -> what ``run_cell`` returned, of every cell at least run 0.
        settings: of the build.
    """
    runs = [[records.get(f"{arch}/{run}") for run in (0, 1)] for arch in archs]
    first = [records[f"{arch}/0"] for arch in archs]
    task = digits_task(settings.seed)
    space = get_space("nb201")
    metrics: dict[str, Metric] = {}
    values: dict[str, NDArray[Any]] = {}

    def add(metric: Metric, block: NDArray[Any]) -> None:
        metrics[metric.key], values[metric.key] = metric, block

    seeds, epochs = (0, 1), tuple(range(1, settings.epochs + 1))
    for split, size in (("train", 0), ("val", len(task.val)), ("test", len(task.test))):
        loss = Metric(
            f"{split}_loss",
            DATASET,
            "nats",
            False,
            split=split,  # type: ignore[arg-type]
            seeds=seeds,
            epochs=epochs,
            summary="mean of the epoch's steps, with label smoothing"
            if split == "train"
            else "after each epoch, without label smoothing",
        )
        add(loss, _floats(runs, loss.name, len(epochs)))
        if size:
            accuracy = Metric(
                f"{split}_accuracy",
                DATASET,
                "fraction",
                True,
                split=split,  # type: ignore[arg-type]
                seeds=seeds,
                epochs=epochs,
                scale=1 / size,
                summary=f"after each epoch, on {size} images",
            )
            add(accuracy, _counts(runs, f"{split}_right", len(epochs)))
    last = {"split": "test", "seeds": seeds, "epochs": epochs[-1:], "scale": 1 / settings.attacked}
    clean = f"on the {settings.attacked} test images that are attacked"
    add(
        Metric("clean_accuracy", DATASET, "fraction", True, summary=clean, **last),  # type: ignore[arg-type]
        _counts(runs, "clean", 1),
    )
    for attack in settings.attacks:
        for place, eps in enumerate(settings.eps):
            metric = Metric(
                f"{attack}_eps{eps:g}_accuracy",
                DATASET,
                "fraction",
                True,
                summary=f"under {attack}, Linf {eps:g}/255, {clean}",
                **last,  # type: ignore[arg-type]
            )
            add(metric, _counts(runs, attack, 1, place))
    add(
        Metric(
            "train_seconds",
            DATASET,
            "seconds",
            False,
            kind="cost",
            seeds=seeds,
            epochs=epochs,
            summary="CPU seconds of one thread, validation included, up to each epoch",
        ),
        _floats(runs, "seconds", len(epochs)),
    )
    for name in first[0]["scores"]:
        if name not in ("params", "flops"):
            column = np.array([_nan(r["scores"][name]) for r in first], dtype=np.float64)
            proxy = Metric(name, DATASET, kind="proxy", higher_is_better=True)
            add(proxy, column[:, None, None])
    costs = space.costs(archs, settings.skeleton)  # of dead cells, too
    assert costs is not None
    for name, counted in (("params", costs.params), ("flops", costs.flops)):
        add(Metric(name, unit="count", kind="cost"), counted.astype(np.uint32)[:, None, None])
    return TableData(
        "digits-nb201",
        [space.format(arch) for arch in archs],
        metrics,
        values,
        space="nb201",
        genes=np.array([arch.genes for arch in archs], dtype=np.int64),
        facts=_facts(archs, runs, settings),
    )


def _floats(runs: list[list[Json]], name: str, length: int) -> NDArray[np.float32]:
    """(n, 2, length) float32; NaN after the end of a run that diverged, and where none was made."""
    block = np.full((len(runs), 2, length), np.nan, dtype=np.float32)
    for i, pair in enumerate(runs):
        for j, record in enumerate(pair):
            if record is not None:
                found = record[name]
                block[i, j, : len(found)] = [_nan(v) for v in found]
    return block


def _counts(
    runs: list[list[Json]], name: str, length: int, place: int | None = None
) -> NDArray[np.uint16]:
    """(n, 2, length) numbers of images, ``UNKNOWN`` where nothing was measured."""
    block = np.full((len(runs), 2, length), UNKNOWN, dtype=np.uint16)
    for i, pair in enumerate(runs):
        for j, record in enumerate(pair):
            if record is not None and name in record:
                found = record[name]
                found = found if isinstance(found, list) else [found]
                found = found if place is None else [found[place]]
                block[i, j, : len(found)] = [UNKNOWN if v is None else v for v in found]
    return block


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _facts(archs: Sequence[Arch], runs: list[list[Json]], settings: BuildConfig) -> dict[str, str]:
    import torch

    space = get_space("nb201")
    task = digits_task(settings.seed)
    failed = sum(bool(r and r["failure"]) for pair in runs for r in pair)
    twice = sum(pair[1] is not None for pair in runs)
    skeleton = settings.skeleton
    return {
        "source": "trained by foretell: foretell benchmark build digits-nb201",
        "summary": f"{len(archs):,} cells of NAS-Bench-201, trained on the embedded digits",
        "cells": f"{len(archs):,} drawn at random from the 6,466 classes of equal published "
        f"strings; {len({space.graph(a).hash() for a in archs}):,} distinct functions; "
        f"{len(archs) - int(space.alive(archs).sum())} dead",
        "skeleton": f"{skeleton.channels} channels, {skeleton.cells} cell in each of three stages, "
        f"{'x'.join(map(str, skeleton.input_shape))} images, {skeleton.classes} classes",
        "data": f"{task.name}: {len(task.train)} images to train, {len(task.val)} to validate, "
        f"{len(task.test)} to test; fingerprint {task.fingerprint}",
        "recipe": f"{settings.epochs} epochs of SGD with Nesterov momentum 0.9, batches of "
        f"{settings.batch_size}, learning rate {settings.lr:g} after a warm-up of 10 %, then half "
        f"a cosine, weight decay 5e-4, label smoothing 0.1, gradients clipped at 5",
        "seeds": f"0 for every cell, 1 for {twice:,} of them",
        "attacks": f"{', '.join(settings.attacks)} within Linf balls of "
        f"{', '.join(f'{e:g}' for e in settings.eps)} in 1/255, on {settings.attacked} test images",
        "proxies": f"two batches of {settings.score_batch} training images, the initial weights "
        f"of seed 0",
        "failures": f"{failed} of {len(archs) + twice} runs diverged",
        "versions": f"torch {torch.__version__}, numpy {np.__version__}",
    }
