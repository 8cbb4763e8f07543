"""What a benchmark is: architectures that were trained, and what was measured on them."""

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
"""What a metric says: how good a network is, what was guessed before training, what it takes."""

Split = Literal["train", "val", "test", ""]


@dataclass(frozen=True)
class Metric:
    """One column of truth.

    Args:
        name: such as "test_accuracy".
        dataset: what it was measured on, such as "cifar10"; empty if it is about the network alone.
        unit: "fraction", "nats", "seconds", "ms", "mJ", "bytes", "count" or "" (a pure number).
        higher_is_better: None where neither is, as for parameters.
        kind: see ``Kind``.
        split: of the images it was measured on.
        seeds: label of each entry of the seed axis; (0,) where there was one run.
        epochs: trained epochs at each entry of the epoch axis, rising; (0,) where it has none.
        scale: a stored number times this is the value in ``unit``; 0.01 for files in per cent.
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
        """What users type: ``cifar10/test_accuracy``, or the bare name without a dataset.

        >>> Metric("test_accuracy", "cifar10").key
        'cifar10/test_accuracy'
        """
        return f"{self.dataset}/{self.name}" if self.dataset else self.name


@dataclass(frozen=True)
class TableData:
    """A whole table in memory, as an importer or a build makes it.

    Args:
        name: of the benchmark.
        texts: the official text of each architecture, (n,).
        values: key of a metric -> stored numbers (n, seeds, epochs); NaN, or ``missing`` of an
            integer type (its largest value), where nothing was measured.
        metrics: the same keys -> facts.
        space: name of the space that the texts belong to; empty if there is none here.
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
    """Truth about architectures, answered in batches.

    Public methods check; ``rows_of`` and ``read`` are all a subclass has to give.
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
        """Values in the metric's unit, (n, seeds, epochs); NaN where nothing was measured.

        Args:
            key: of a metric.
            rows: (n,); by default all.
            column: one place of the epoch axis alone, whose length is then 1.
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
        """One value for each architecture, (n,).

        Args:
            archs: architectures or their official texts; None for all, in the table's order.
            metric: its key, such as "cifar10/test_accuracy".
            epoch: after so many epochs; by default the last.
            seed: of one run; by default the mean over the runs that were made.
            missing: what to do about a row where nothing was measured.

        Raises:
            UnknownNameError: no such metric.
            OutOfTableError: an architecture is not in the table.
            UsageError: the metric has no such epoch or seed.
            MissingValueError: nothing was measured for some of them; ``missing="nan"`` allows it.
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
        """Values at every epoch, (n, epochs); NaN where nothing was measured.

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
        """Seconds that it took to train each architecture once, (n,): the mean over the runs.

        Args:
            archs: as for ``query``.
            epochs: trained epochs; by default as many as there were.
            dataset: needed where the table has times for several.

        Raises:
            BenchmarkError: the table has no training times, or none for this dataset.
            UsageError: there are several datasets and none was named, or no such epoch.
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
    """Mean over the runs that were made, (n, seeds, ...) -> (n, ...); NaN where none was."""
    if block.shape[1] == 1:
        return block[:, 0].copy()
    measured = ~np.isnan(block)
    total = np.where(measured, block, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / measured.sum(axis=1))
