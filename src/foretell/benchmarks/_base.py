"""The contract of a tabular benchmark: trained architectures and their measured values."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import (
    BenchmarkError,
    MissingValueError,
    OutOfTableError,
    UnknownNameError,
    UsageError,
)
from foretell.types import Array

__all__ = ["Benchmark", "Kind", "Metric", "Split", "TableData"]

Kind = Literal["quality", "proxy", "cost"]
"""Kind of a metric: quality after training, a proxy before training, or a cost."""

Split = Literal["train", "val", "test", ""]
"""The part of the data that a metric was measured on; empty where there is none."""


@dataclass(frozen=True)
class Metric:
    """A metric of a benchmark.

    Args:
        name: such as "test_accuracy".
        dataset: such as "cifar10"; empty if it depends on the network alone.
        unit: "fraction", "nats", "seconds", "ms", "mJ", "bytes", "count" or "" (a pure number).
        higher_is_better: None if it has no direction, as for parameters.
        kind: see ``Kind``.
        split: of the images.
        seeds: label of each entry of the seed axis; (0,) where there was one run.
        epochs: trained epochs at each entry of the epoch axis, increasing; (0,) without epochs.
        scale: factor from stored numbers to ``unit``; 0.01 for files in per cent.
        summary: one line.
    """

    name: str
    dataset: str = ""
    unit: str = ""
    higher_is_better: bool | None = None
    kind: Kind = "quality"
    split: Split = ""
    seeds: tuple[int, ...] = (0,)
    epochs: tuple[int, ...] = (0,)
    scale: float = 1.0
    summary: str = ""

    @property
    def key(self) -> str:
        """Key such as ``cifar10/test_accuracy``; the name alone without a dataset.

        >>> Metric("test_accuracy", "cifar10").key
        'cifar10/test_accuracy'
        """
        return f"{self.dataset}/{self.name}" if self.dataset else self.name


@dataclass(frozen=True)
class TableData:
    """A table in memory, from an importer or a build.

    Args:
        name: of the benchmark.
        texts: the official text of each architecture, (n,).
        values: key of a metric -> stored numbers (n, seeds, epochs); NaN, or ``missing`` of an
            integer type (its largest value), for missing values.
        metrics: the same keys -> facts.
        space: name of the space that the texts belong to; empty if it has none here.
        genes: (n, genes) of that space; None without a space.
        facts: plain texts for ``info``: "source", "licence", "reference", "skeleton" and others.
    """

    name: str
    texts: Sequence[str]
    metrics: Mapping[str, Metric]
    values: Mapping[str, NDArray[Any]]
    space: str = ""
    genes: NDArray[np.int64] | None = None
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Benchmark(ABC):
    """Base class of tabular benchmarks, queried in batches.

    Public methods validate; a subclass implements ``rows_of`` and ``read``.
    """

    name: str
    space: str
    metrics: Mapping[str, Metric]
    texts: Sequence[str]
    facts: Mapping[str, str]

    @abstractmethod
    def rows_of(self, archs: Sequence[Arch | str]) -> NDArray[np.int64]:
        """Row of each architecture, (n,); -1 where it is not in the table."""

    @abstractmethod
    def read(
        self, key: str, rows: NDArray[np.int64] | None = None, *, column: int | None = None
    ) -> Array:
        """Values in the metric's unit, (n, seeds, epochs); NaN for missing values.

        Args:
            key: of a metric.
            rows: (n,); by default all.
            column: index on the epoch axis, whose length is then 1; by default all.
        """

    def metric(self, key: str) -> Metric:
        """The facts of a metric.

        Raises:
            UnknownNameError: the table has no such metric.
        """
        if key not in self.metrics:
            near = difflib.get_close_matches(key, self.metrics, 3, 0.5)
            raise UnknownNameError("metric", key, near, self.metrics)
        return self.metrics[key]

    def query(
        self,
        archs: Sequence[Arch | str] | None,
        metric: str,
        *,
        epoch: int | None = None,
        seed: int | None = None,
        missing: Literal["raise", "nan"] = "raise",
    ) -> Array:
        """Values of a metric for architectures, (n,).

        Args:
            archs: architectures or their official texts; None for all, in the table's order.
            metric: its key, such as "cifar10/test_accuracy".
            epoch: trained epochs; by default the last.
            seed: label of a run; by default the mean over measured runs.
            missing: "raise" or "nan" for missing values.

        Raises:
            UnknownNameError: no such metric.
            OutOfTableError: an architecture is not in the table.
            UsageError: the metric has no such epoch or seed.
            MissingValueError: some values are missing; ``missing="nan"`` allows it.
        """
        facts = self.metric(metric)
        rows = None if archs is None else self._rows(archs)
        column = _index(facts, "epoch", epoch, facts.epochs, len(facts.epochs) - 1)
        block = self.read(metric, rows, column=column)[:, :, 0]
        if seed is not None:
            values = block[:, _index(facts, "seed", seed, facts.seeds, 0)]
        else:
            values = _mean(block)
        lost = np.isnan(values)
        if missing == "raise" and lost.any():
            first = int(np.flatnonzero(lost)[0])
            text = self.texts[first if rows is None else int(rows[first])]
            raise MissingValueError(
                f"{int(lost.sum())} of {len(values)} architectures have no {metric!r} in "
                f"{self.name!r}, first: {text}. Leave them out, or ask for missing='nan'."
            )
        return values

    def curves(
        self, archs: Sequence[Arch | str] | None, metric: str, *, seed: int | None = None
    ) -> Array:
        """Learning curves, (n, epochs); NaN for missing values.

        Raises:
            UnknownNameError: no such metric.
            OutOfTableError: an architecture is not in the table.
            UsageError: the metric has no such seed.
        """
        facts = self.metric(metric)
        block = self.read(metric, None if archs is None else self._rows(archs))
        if seed is not None:
            return block[:, _index(facts, "seed", seed, facts.seeds, 0)]
        return _mean(block)

    def cost(
        self,
        archs: Sequence[Arch | str] | None,
        *,
        epochs: int | None = None,
        dataset: str | None = None,
    ) -> Array:
        """Training time of each architecture in seconds, (n,): the mean over runs.

        Args:
            archs: as for ``query``.
            epochs: trained epochs; by default all.
            dataset: required if the table has times for several.

        Raises:
            BenchmarkError: the table has no training times, or none for this dataset.
            UsageError: the dataset is ambiguous, or there is no such epoch.
            OutOfTableError: an architecture is not in the table.
            MissingValueError: some have no training time.
        """
        timed = {m.dataset: key for key, m in self.metrics.items() if m.name == "train_seconds"}
        datasets = ", ".join(sorted(map(repr, timed)))
        if not timed or (dataset is not None and dataset not in timed):
            what = "holds no training times" if not timed else f"has training times for {datasets}"
            raise BenchmarkError(
                f"{self.name!r} {what}, so it cannot tell what training"
                f"{f' on {dataset!r}' if dataset else ''} costs."
            )
        if dataset is None and len(timed) > 1:
            raise UsageError(f"{self.name!r} has training times for {datasets}: say which dataset.")
        key = next(iter(timed.values())) if dataset is None else timed[dataset]
        return self.query(archs, key, epoch=epochs)

    def _rows(self, archs: Sequence[Arch | str]) -> NDArray[np.int64]:
        rows = self.rows_of(archs)
        if (lost := rows < 0).any():
            first = archs[int(np.flatnonzero(lost)[0])]
            raise OutOfTableError(
                f"{int(lost.sum())} of {len(archs)} architectures are not in {self.name!r}, "
                f"first: {first}. 'foretell benchmark info {self.name}' says what is."
            )
        return rows


def _index(
    facts: Metric, kind: str, requested: int | None, labels: tuple[int, ...], default: int
) -> int:
    if requested is None:
        return default
    if requested not in labels:
        some = ", ".join(map(str, labels[:8])) + (", ..." if len(labels) > 8 else "")
        raise UsageError(f"{facts.key!r} has no {kind} {requested}: it has {some}.")
    return labels.index(requested)


def _mean(block: Array) -> Array:
    """Mean over measured runs, (n, seeds, ...) -> (n, ...); NaN without any."""
    if block.shape[1] == 1:
        return block[:, 0].copy()
    measured = ~np.isnan(block)
    total = np.where(measured, block, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / measured.sum(axis=1))
