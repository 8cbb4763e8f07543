"""The record format of NAS-Bench-201 and NATS-Bench: trials of one network, epoch by epoch."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from foretell.benchmarks._base import Metric, Split
from foretell.benchmarks.importers.formats.sheet import Sheet, number, numbers, shown
from foretell.errors import TableFormatError
from foretell.types import Array

__all__ = ["DATASETS", "put_trials"]

DATASETS = {
    "cifar10-valid": "cifar10-valid",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "imagenet16-120",
}
"""Official name of a dataset -> ours."""

_MOST_EPOCHS = 1000
_PLACE = re.compile(r"(x-valid|x-test|ori-test)@([0-9]{1,4})", re.ASCII)


def put_trials(sheet: Sheet, row: int, record: Any, suffix: str, what: str) -> None:
    """Store every trial of one network and schedule.

    Args:
        sheet: where to.
        row: of the network.
        record: the official dictionary with "all_results".
        suffix: of the metrics' names; empty for the full schedule.
        what: for messages.

    Raises:
        TableFormatError: the record differs from the official format.
    """
    results = record.get("all_results") if isinstance(record, dict) else None
    if not isinstance(results, dict) or not results:
        raise TableFormatError(
            f"{what}: expected 'all_results' with trials: use the official file."
        )
    for key, trial in results.items():
        dataset, seed = key if isinstance(key, tuple) and len(key) == 2 else (None, None)
        if dataset not in DATASETS or not isinstance(seed, int) or not 0 <= seed < 10_000:
            raise TableFormatError(
                f"{what}: a trial is named {shown(key)}, but expected a pair such as "
                f"('cifar10', 777)."
            )
        if not isinstance(trial, dict):
            raise TableFormatError(f"{what}: the trial {key} is a {type(trial).__name__}.")
        _put_trial(sheet, row, DATASETS[dataset], seed, trial, suffix, f"{what}, {dataset}, {seed}")


def _put_trial(
    sheet: Sheet, row: int, dataset: str, seed: int, trial: dict[Any, Any], suffix: str, what: str
) -> None:
    count = trial.get("epochs")
    if not isinstance(count, int) or not 0 < count <= _MOST_EPOCHS:
        raise TableFormatError(f"{what}: {shown(count)} epochs: use the official file.")
    for name, field in (("accuracy", "train_acc1es"), ("loss", "train_losses")):
        epochs, values = _curve(trial.get(field), count, f"{what}, {field}")
        metric = _quality(f"train_{name}", dataset, suffix, "train")
        sheet.put(metric, row, values, seed=seed, epochs=epochs)
    epochs, values = _curve(trial.get("train_times"), count, f"{what}, train_times")
    if list(epochs) == list(range(1, len(epochs) + 1)):
        metric = _seconds(dataset, suffix)
        sheet.put(metric, row, np.cumsum(values), seed=seed, epochs=epochs)
    for name, field in (("accuracy", "eval_acc1es"), ("loss", "eval_losses")):
        for part, (steps, curve) in _evaluations(trial.get(field), count, what, field).items():
            metric = _quality(f"{_word(dataset, part)}_{name}", dataset, suffix, _split(part))
            sheet.put(metric, row, curve, seed=seed, epochs=steps)
    if not suffix:
        _put_costs(sheet, row, dataset, seed, trial, what)


def _put_costs(
    sheet: Sheet, row: int, dataset: str, seed: int, trial: Mapping[Any, Any], what: str
) -> None:
    params = Metric("params", dataset, "count", None, "cost", scale=1e6, summary="parameters")
    sheet.put(params, row, [number(trial.get("params"), f"{what}, params")])
    flops = Metric("flops", dataset, "count", None, "cost", scale=1e6, summary="multiply-adds")
    sheet.put(flops, row, [number(trial.get("flop"), f"{what}, flop")])
    latencies = trial.get("latency")
    times = numbers([] if latencies is None else latencies, f"{what}, latency")
    latency = Metric(
        "latency_gpu",
        dataset,
        "seconds",
        False,
        "cost",
        summary="one batch of 256 images on a GTX 1080 Ti",
    )
    if len(times) and times[0] > 0:
        sheet.put(latency, row, [float(times.mean())], seed=seed)


def _curve(found: Any, count: int, what: str) -> tuple[Sequence[int], Array]:
    """Epochs, counted from 1, and the number after each; both empty where there is nothing."""
    if found is None:
        return [], np.empty(0)
    if not isinstance(found, dict):
        raise TableFormatError(
            f"{what}: expected a number per epoch, not a {type(found).__name__}."
        )
    if set(map(type, found)) - {int} or not found.keys() <= set(range(count)):
        raise TableFormatError(f"{what}: expected epochs 0 to {count - 1}: use the official file.")
    epochs = sorted(found)
    return [e + 1 for e in epochs], numbers([found[e] for e in epochs], what)


def _evaluations(
    evaluations: Any, count: int, what: str, field: str
) -> dict[str, tuple[Sequence[int], Array]]:
    """Part of the data -> its curve, from keys such as ``x-valid@11``."""
    parts: dict[str, dict[int, Any]] = {}
    if not isinstance(evaluations, dict):
        raise TableFormatError(f"{what}: expected a dictionary {field!r}: use the official file.")
    for key, value in evaluations.items():
        parsed = _part_and_epoch(key) if isinstance(key, str) else None
        if parsed is None:
            raise TableFormatError(
                f"{what}: {field} has a key {shown(key)}, but expected such as 'x-valid@11'."
            )
        parts.setdefault(parsed[0], {})[parsed[1]] = value
    return {part: _curve(curve, count, f"{what}, {field}") for part, curve in parts.items()}


@lru_cache(maxsize=8192)
def _part_and_epoch(key: str) -> tuple[str, int] | None:
    match = _PLACE.fullmatch(key)
    return (match[1], int(match[2])) if match else None


def _word(dataset: str, part: str) -> str:
    """Which images: the test set of CIFAR-100 and ImageNet16-120 is half validation images."""
    if part == "ori-test" and dataset in ("cifar100", "imagenet16-120"):
        return "valtest"
    return {"x-valid": "val", "x-test": "test", "ori-test": "test"}[part]


def _split(part: str) -> Split:
    return "val" if part == "x-valid" else "test"


def _quality(name: str, dataset: str, suffix: str, split: Split) -> Metric:
    accuracy = name.endswith("accuracy")
    return Metric(
        name + suffix,
        dataset,
        "fraction" if accuracy else "nats",
        accuracy,
        split=split,
        scale=0.01 if accuracy else 1.0,
    )


def _seconds(dataset: str, suffix: str) -> Metric:
    return Metric(
        f"train_seconds{suffix}",
        dataset,
        "seconds",
        False,
        "cost",
        summary="training up to and with that epoch",
    )
