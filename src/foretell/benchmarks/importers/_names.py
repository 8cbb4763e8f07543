"""Facts of a metric from the name of its column."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from foretell.benchmarks._base import Metric, Split
from foretell.types import Array

__all__ = ["FAILED", "accuracy_scale", "column_metric", "dataset_name", "proxy_name"]

FAILED = -1e8
"""NASLib's value for a failed proxy; imported as NaN."""

_DATASETS = r"cifar10-valid|cifar100|cifar10|imagenet16-120|ImageNet16-120|imagenet|digits"
_PROXIES = {
    "epe_nas": "epe_nas", "fisher": "fisher", "flops": "flops", "grad_norm": "grad_norm",
    "grasp": "grasp", "jacov": "jacov", "jacob_cov": "jacov", "l2_norm": "l2_norm",
    "nwot": "nwot", "params": "params", "plain": "plain", "snip": "snip",
    "synflow": "synflow", "synflow_bn": "synflow_bn", "zen": "zen",
}  # fmt: skip
"""Published name of a proxy -> ours."""


def dataset_name(text: str) -> str:
    """Our name of a dataset: lower case, and ``imagenet16-120`` for NASLib's ImageNet16."""
    name = text.strip().lower().replace(" ", "_")
    return "imagenet16-120" if name in ("imagenet16", "imagenet16_120") else name


def proxy_name(text: str) -> str | None:
    """Our name of a published proxy; None if it is none."""
    return _PROXIES.get(text)


def accuracy_scale(values: Array) -> float:
    """0.01 for accuracies in per cent, 1 for fractions; inferred from the largest value."""
    measured = values[~np.isnan(values)]
    return 0.01 if measured.size and measured.max() > 1.5 else 1.0


def column_metric(column: str, values: Array) -> Metric:
    """The metric of a column, inferred from its name.

    Args:
        column: its name in the file.
        values: its numbers, to distinguish per cent from fractions.
    """
    for pattern, make in _RULES:
        if match := pattern.fullmatch(column):
            made = make(match)
            if made.kind == "quality" and made.unit == "fraction":
                return replace(made, scale=accuracy_scale(values))
            return made
    return Metric(column, kind="cost", summary="the column as it is")


def _accuracy(match: re.Match[str]) -> Metric:
    groups = match.groupdict()
    part = {"valid": "val"}.get(groups["part"], groups["part"])
    dataset, rest = groups.get("dataset") or "", groups.get("rest") or ""
    if rest == "_trainsplit":
        dataset, rest = f"{dataset}-valid", ""
    epochs = int(groups.get("epochs") or 0)
    schedule = f"_hp{epochs}" if epochs else ""
    return Metric(
        f"{part}_accuracy{schedule}{rest}",
        dataset_name(dataset),
        "fraction",
        True,
        split=_split(part),
        epochs=(epochs,),
    )


def _loss(match: re.Match[str]) -> Metric:
    return Metric(match[0], unit="nats", higher_is_better=False, split=_split(match["part"]))


def _split(part: str) -> Split:
    if part == "train":
        return "train"
    if part in ("val", "valid", "x-valid"):
        return "val"
    return "test" if "test" in part else ""


def _top(match: re.Match[str]) -> Metric:
    part = (match["part"] or "").rstrip("_")
    return Metric(match[0], unit="fraction", higher_is_better=True, split=_split(part))


def _error(match: re.Match[str]) -> Metric:
    return Metric(match[0], unit="fraction", higher_is_better=False)


def _train_seconds(match: re.Match[str]) -> Metric:
    dataset = dataset_name(match.groupdict().get("dataset") or "")
    epochs = (int(match["epochs"]),)
    return Metric("train_seconds", dataset, "seconds", False, "cost", epochs=epochs)


def _seconds(match: re.Match[str]) -> Metric:
    return Metric(f"{match['name']}_seconds", "", "seconds", False, "cost")


def _millions(match: re.Match[str]) -> Metric:
    return Metric("params", dataset_name(match["dataset"]), "count", None, "cost", scale=1e6)


def _count(match: re.Match[str]) -> Metric:
    return Metric(match[0], "", "count", None, "cost")


def _proxy(match: re.Match[str]) -> Metric:
    groups = match.groupdict()
    name = _PROXIES[groups["proxy"]]
    return Metric(
        name,
        dataset_name(groups.get("dataset") or ""),
        "",
        True,
        "proxy",
        summary=f"published scores, column {match[0]}",
    )


def _attack(match: re.Match[str]) -> Metric:
    name = f"{match['attack']}_eps{float(match['eps']):g}_accuracy"
    return Metric(name, dataset_name(match["dataset"]), "fraction", True, split="test")


def _device(match: re.Match[str]) -> Metric:
    device, what = match["device"], match["what"]
    dataset = dataset_name(match.groupdict().get("dataset") or "")
    unit = {"latency": "ms", "energy": "mJ"}.get(what, "") if dataset else ""
    better = None if "intensity" in what else what == "throughput"
    return Metric(f"{what}_{device}", dataset, unit, better, "cost")


def _rule(
    pattern: str, make: Callable[[re.Match[str]], Metric]
) -> tuple[re.Pattern[str], Callable[[re.Match[str]], Metric]]:
    return re.compile(pattern, re.ASCII), make


_PROXY = "|".join(sorted(_PROXIES, key=len, reverse=True))
_RULES = (
    _rule(rf"(?P<part>valid)(?P<epochs>\d{{1,4}})_acc_(?P<dataset>{_DATASETS})", _accuracy),
    _rule(rf"(?P<part>\w+?)_acc(?:uracy)?_(?P<dataset>{_DATASETS})(?P<rest>_\w+)?", _accuracy),
    _rule(r"(?P<part>train|val|test)_acc_(?P<epochs>\d{1,4})", _accuracy),
    _rule(r"(?P<part>[\w-]+?)_acc(?:uracy)?(?:_curve)?(?P<rest>_nbsz)?", _accuracy),
    _rule(r"(?P<part>[\w-]+?)_loss", _loss),
    _rule(r"(?P<part>\w+_)?top[15]", _top),
    _rule(r"(?P<part>)acc\d{0,2}", _top),
    _rule(r"top[15]_err", _error),
    _rule(rf"train_time(?P<epochs>\d{{1,4}})_(?P<dataset>{_DATASETS})_s", _train_seconds),
    _rule(r"train_time_(?P<epochs>\d{1,4})_s", _train_seconds),
    _rule(r"time_(?P<name>\w+)_s", _seconds),
    _rule(r"(?P<name>[\w-]+?)(?:_s|_seconds)", _seconds),
    _rule(rf"params_(?P<dataset>{_DATASETS})_M", _millions),
    _rule(r"params|flops|macs", _count),
    _rule(rf"(?:zcs|nbsz|zcnas)_(?P<proxy>{_PROXY})(?:_(?P<dataset>{_DATASETS}))?", _proxy),
    _rule(rf"(?P<proxy>{_PROXY})", _proxy),
    _rule(rf"adv_(?P<dataset>{_DATASETS})_(?P<attack>[\w-]+)_eps(?P<eps>\d{{1,3}}\.?\d*)", _attack),
    _rule(
        rf"hw_(?P<device>[a-z0-9]+)_(?P<what>latency|energy|arithmetic_intensity)_"
        rf"(?P<dataset>{_DATASETS})",
        _device,
    ),
    _rule(r"(?P<what>latency|energy|throughput)_(?P<device>\w+)", _device),
)
