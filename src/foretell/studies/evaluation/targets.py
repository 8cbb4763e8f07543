"""The targets and proxies of an evaluation: which metrics they are, read and oriented."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks import Benchmark, Metric
from foretell.errors import BenchmarkError, UnknownNameError
from foretell.spaces import CostTable, Skeleton, Space
from foretell.studies.evaluation.facts import BASELINE, PUBLISHED, ProxyInfo, TargetInfo
from foretell.types import Array, IntArray

__all__ = [
    "FREE",
    "Column",
    "Target",
    "baselines",
    "choose",
    "published",
    "read_targets",
    "skeleton_of",
]

FREE = ("params", "live_params", "sum_log_params", "flops")
"""The baselines that cost nothing, by the names of ``CostTable``'s fields."""


@dataclass(frozen=True)
class Target:
    """A truth, with its values.

    Args:
        info: what it is.
        values: (n,) means over runs, turned so that higher is better; NaN where not measured.
        runs: (n, 2) the two runs that most networks have, turned alike; None with fewer.
    """

    info: TargetInfo
    values: Array
    runs: Array | None


@dataclass(frozen=True)
class Column:
    """A proxy, with its values, higher is better.

    Args:
        name: as it is printed.
        source: see ``ProxyInfo``.
        values: dataset -> (n,) values; an empty name stands for every dataset.
        seconds: median time for one network; NaN if unknown.
        proxy: by which name this library may know it.
    """

    name: str
    source: str
    values: Mapping[str, Array]
    seconds: float = float("nan")
    proxy: str = ""

    def of(self, dataset: str) -> Array | None:
        """The values for a dataset; None if there are none."""
        return self.values.get(dataset, self.values.get(""))

    def info(self, datasets: Sequence[str]) -> ProxyInfo:
        """What it is, looked at on some datasets."""
        known = {d: v for d in datasets if (v := self.of(d)) is not None}
        missing = {d: int(np.isnan(v).sum()) for d, v in known.items()}
        return ProxyInfo(
            self.name, self.source, tuple(self.values), MappingProxyType(missing), self.seconds
        )


def choose(metrics: Mapping[str, Metric], wanted: Sequence[str], what: str) -> list[str]:
    """The keys that names or patterns such as ``cifar10/*`` stand for, in the order asked for.

    A name without its dataset stands for that metric on every dataset.

    Raises:
        UnknownNameError: one of them stands for nothing.
    """
    found: dict[str, None] = {}
    for text in wanted:
        hits = [k for k, m in metrics.items() if fnmatchcase(k, text) or m.name == text]
        if not hits:
            names = {**metrics, **{m.name: m for m in metrics.values()}}
            raise UnknownNameError(what, text, difflib.get_close_matches(text, names), metrics)
        found |= dict.fromkeys(hits)
    return list(found)


def read_targets(
    benchmark: Benchmark, rows: IntArray, wanted: Sequence[str] | None, *, costs: bool = False
) -> list[Target]:
    """The truths, after the last epoch, as means over the runs that were made.

    Args:
        benchmark: the table.
        rows: of the architectures.
        wanted: keys or patterns; by default what is not of the training images and better when
            higher.
        costs: whether what is better when lower, such as a latency, can be asked for as well.

    Raises:
        UnknownNameError: a key stands for nothing.
        BenchmarkError: there is no truth in the table.
    """
    quality = {k: m for k, m in benchmark.metrics.items() if m.kind == "quality"}
    if wanted is None:
        keys = [k for k, m in quality.items() if m.split != "train" and m.higher_is_better]
    else:
        more = {
            k: m
            for k, m in benchmark.metrics.items()
            if costs and m.kind == "cost" and m.higher_is_better is not None
        }
        keys = choose({**quality, **more}, wanted, "target")
    found = [_target(benchmark, k, rows) for k in keys]
    if not found:
        raise BenchmarkError(
            f"The table {benchmark.name!r} holds no accuracy to compare proxies with: its metrics "
            f"are {', '.join(benchmark.metrics) or 'none'}."
        )
    return found


def _target(benchmark: Benchmark, key: str, rows: IntArray) -> Target:
    metric = benchmark.metrics[key]
    block = benchmark.read(key, rows, column=len(metric.epochs) - 1)[:, :, 0]
    known = ~np.isnan(block)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, block, 0.0).sum(axis=1) / count
    sign = -1.0 if metric.higher_is_better is False else 1.0
    measured = count > 0
    best = int(np.nanargmax(sign * mean)) if measured.any() else -1
    info = TargetInfo(
        key,
        metric.dataset,
        metric.unit,
        sign < 0,
        metric.epochs[-1],
        (int(count[measured].min()), int(count.max())) if measured.any() else (0, 0),
        int(measured.sum()),
        float(mean[best]) if best >= 0 else float("nan"),
        benchmark.texts[int(rows[best])] if best >= 0 else "",
    )
    most = np.argsort(-known.sum(axis=0), kind="stable")[:2]
    twice = len(most) == 2 and known[:, most].all(axis=1).sum() > 1
    return Target(info, sign * mean, sign * block[:, most] if twice else None)


def published(benchmark: Benchmark, rows: IntArray, wanted: Sequence[str] | None) -> list[Column]:
    """The proxies that the table holds.

    Args:
        benchmark: the table.
        rows: of the architectures.
        wanted: names, which stand for a proxy on the dataset of each target, or keys such as
            ``cifar10/nwot``, which stand for that column on all targets; by default all names.
    """
    metrics = {k: m for k, m in benchmark.metrics.items() if m.kind == "proxy"}
    names = dict.fromkeys(m.name for m in metrics.values())
    columns = []
    for name in names if wanted is None else wanted:
        if name in names:
            members = {m.dataset: k for k, m in metrics.items() if m.name == name}
        else:
            members = {"": name}
        values = {d: _oriented(benchmark, k, rows) for d, k in members.items()}
        known = next(metrics[k].name for k in members.values())
        seconds = _seconds(benchmark, metrics, members, rows)
        columns.append(Column(name, PUBLISHED, values, seconds, known))
    return columns


def _oriented(benchmark: Benchmark, key: str, rows: IntArray) -> Array:
    metric = benchmark.metrics[key]
    block = benchmark.read(key, rows, column=len(metric.epochs) - 1)[:, :, 0]
    known = ~np.isnan(block)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, block, 0.0).sum(axis=1) / known.sum(axis=1)
    return np.asarray(-mean if metric.higher_is_better is False else mean)


def _seconds(
    benchmark: Benchmark,
    metrics: Mapping[str, Metric],
    members: Mapping[str, str],
    rows: IntArray,
) -> float:
    """Median of ``NAME_seconds``, a cost in the table, over the datasets that have it."""
    keys = [f"{metrics[k].key}_seconds" for k in members.values()]
    known = [
        np.nanmedian(values)
        for k in keys
        if k in benchmark.metrics
        and benchmark.metrics[k].kind == "cost"
        and not np.isnan(values := benchmark.read(k, rows)).all()
    ]
    return float(np.median(known)) if known else float("nan")


def baselines(
    benchmark: Benchmark,
    rows: IntArray,
    space: Space | None,
    archs: Sequence[Arch],
    skeleton: Skeleton | None,
) -> tuple[list[Column], CostTable | None]:
    """Sizes that are known for nothing: by closed form, else the table's own costs.

    Returns:
        The columns, and the closed-form costs if the space has them.
    """
    table = None
    if space is not None and skeleton is not None:
        table = space.costs(archs, skeleton)
    if table is not None:
        closed = {n: np.asarray(getattr(table, n), dtype=np.float64) for n in FREE}
        return [Column(name, BASELINE, {"": values}) for name, values in closed.items()], table
    costs = {k: m for k, m in benchmark.metrics.items() if m.kind == "cost" and m.name in FREE}
    columns: dict[str, dict[str, Array]] = {}
    for key, metric in costs.items():
        values = _oriented(benchmark, key, rows)
        sign = -1.0 if metric.higher_is_better is False else 1.0  # as sizes, not as costs
        columns.setdefault(metric.name, {})[metric.dataset] = sign * values
    return [Column(name, BASELINE, values) for name, values in columns.items()], None


def skeleton_of(benchmark: Benchmark, space: Space) -> Skeleton:
    """The fixed part of the table's networks, from the words of its fact "skeleton".

    "8 channels, 1 cell" is understood, and so are "1x8x8" and "10 classes" in it; whatever it does
    not say is as published.
    """
    text = benchmark.facts.get("skeleton", "")
    usual = space.skeleton()

    def number(words: str, default: int) -> int:
        found = re.search(rf"(\d+)\s+{words}", text)
        return int(found[1]) if found else default

    shape = re.search(r"(\d+)x(\d+)x(\d+)", text)
    c, h, w = map(int, shape.groups()) if shape else usual.input_shape
    return Skeleton(
        (c, h, w),
        number("classes", usual.classes),
        number("channels", usual.channels),
        number("cells?", usual.cells),
    )
