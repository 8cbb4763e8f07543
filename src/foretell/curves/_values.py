"""Partial learning curves of architectures, as values."""

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from foretell.arch import Arch
from foretell.benchmarks import Benchmark
from foretell.errors import CurveError, UnknownNameError, UsageError
from foretell.types import Array, IntArray

__all__ = ["METRICS", "Curves"]

K = TypeVar("K", bound=Hashable)

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "train_loss": "nats",
        "train_accuracy": "fraction",
        "val_loss": "nats",
        "val_accuracy": "fraction",
    }
)
"""What a curve may be of -> its unit."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Partial learning curves of n architectures.

    Args:
        values: metric, one of ``METRICS`` -> (n, e) value after each epoch: accuracies as fractions
            in [0, 1], losses in nats; NaN where it was not measured.
        epochs: (e,) trained epochs of each column, increasing integers from 1 on.

    Raises:
        UnknownNameError: another metric.
        CurveError: shapes that differ, epochs that do not increase or start below 1, accuracies
            outside [0, 1], infinite values, or no epoch or metric at all.
    """

    values: Mapping[str, Array]
    epochs: IntArray

    def __post_init__(self) -> None:
        """Validate, and copy what was given into read-only arrays."""
        epochs = _epochs(self.epochs)
        if not self.values:
            raise CurveError(f"Expected curves of one of {', '.join(METRICS)}, but got none.")
        values = {name: _curve(name, given, epochs) for name, given in self.values.items()}
        if len({len(v) for v in values.values()}) > 1:
            lengths = ", ".join(f"{name} {len(v)}" for name, v in values.items())
            raise CurveError(
                f"Expected curves of the same architectures for each metric, but got {lengths}."
            )
        object.__setattr__(self, "epochs", epochs)
        object.__setattr__(self, "values", MappingProxyType(values))

    def __len__(self) -> int:
        """Number of architectures."""
        return len(next(iter(self.values.values())))

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling."""
        return type(self), (dict(self.values), self.epochs)

    def metric(self, name: str) -> Array:
        """The curves of one metric, (n, e).

        Raises:
            CurveError: it was not given.
        """
        if name not in self.values:
            raise CurveError(
                f"Expected curves of {name}, but there are those of {', '.join(self.values)}."
            )
        return self.values[name]

    def until(self, epoch: int) -> Self:
        """The curves up to an epoch, that included.

        Raises:
            CurveError: the first epoch is later.
        """
        columns = self.epochs <= epoch
        if not columns.any():
            raise CurveError(f"The curves start at epoch {self.epochs[0]}, after epoch {epoch}.")
        values = {name: v[:, columns] for name, v in self.values.items()}
        return type(self)(values, self.epochs[columns])

    def take(self, rows: IntArray) -> Self:
        """Some of the architectures, in the order of ``rows``."""
        return type(self)({name: v[rows] for name, v in self.values.items()}, self.epochs)

    @classmethod
    def of_benchmark(
        cls,
        benchmark: Benchmark,
        archs: Sequence[Arch | str] | None = None,
        *,
        dataset: str | None = None,
        seed: int | None = None,
    ) -> Self:
        """The curves of a benchmark, of those metrics that it has.

        Args:
            benchmark: a table with values per epoch.
            archs: architectures or their official texts; None for all, in the table's order.
            dataset: required where the table has curves on several.
            seed: label of a run; by default the mean over measured runs.

        Raises:
            CurveError: the table has no curves, or none on this dataset.
            UsageError: the dataset is ambiguous, or there is no such seed.
            OutOfTableError: an architecture is not in the table.
        """
        facts = [m for m in benchmark.metrics.values() if m.name in METRICS and m.epochs[-1] > 0]
        datasets = sorted({m.dataset for m in facts})
        if not datasets or (dataset is not None and dataset not in datasets):
            has = f"has curves on {', '.join(datasets)} only" if datasets else "has no curves"
            raise CurveError(f"The benchmark {benchmark.name!r} {has}.")
        if dataset is None and len(datasets) > 1:
            raise UsageError(
                f"{benchmark.name!r} has curves on {', '.join(datasets)}: say which dataset."
            )
        selected = [m for m in facts if dataset in (None, m.dataset)]
        epochs = sorted({e for m in selected for e in m.epochs if e > 0})
        values = {}
        for m in selected:
            given = benchmark.curves(archs, m.key, seed=seed)
            values[m.name] = np.full((len(given), len(epochs)), np.nan)
            trained = [i for i, e in enumerate(m.epochs) if e > 0]
            columns = np.searchsorted(epochs, [m.epochs[i] for i in trained])
            values[m.name][:, columns] = given[:, trained]
        return cls(values, np.array(epochs))

    @classmethod
    def of_rows(
        cls, archs: Sequence[K], epochs: ArrayLike, columns: Mapping[str, ArrayLike]
    ) -> tuple[tuple[K, ...], Self]:
        """The curves of a table with a row for each architecture and epoch.

        Args:
            archs: (m,) architecture of each row: a text, or anything hashable.
            epochs: (m,) trained epochs of each row.
            columns: metric -> (m,) its values; NaN where it was not measured.

        Returns:
            The n distinct architectures in order of appearance, and their curves. An epoch that an
            architecture has no row for is NaN there.

        Raises:
            UnknownNameError: a metric that is none.
            CurveError: lengths differ, or an architecture has two rows of one epoch; also as for
                the constructor.
        """
        given = _integers(epochs)
        index = {arch: i for i, arch in enumerate(dict.fromkeys(archs))}
        rows = np.array([index[arch] for arch in archs], dtype=np.int64)
        if not len(rows) or given.shape != rows.shape:
            raise CurveError(
                f"Expected one epoch for each of {len(rows)} rows, but got {given.shape}."
            )
        axis, column = np.unique(given, return_inverse=True)
        cells = rows * len(axis) + column
        if len(np.unique(cells)) < len(cells):
            first = int(np.flatnonzero(np.bincount(cells) > 1)[0])
            raise CurveError(
                f"{list(index)[first // len(axis)]!s} has several rows of epoch "
                f"{axis[first % len(axis)]}: take the mean over seeds first."
            )
        values = {}
        for name, numbers in columns.items():
            array = _numbers(name, numbers)
            if array.shape != rows.shape:
                raise CurveError(
                    f"Expected {len(rows)} values of {name}, but got shape {array.shape}."
                )
            values[name] = np.full((len(index), len(axis)), np.nan)
            values[name][rows, column] = array
        return tuple(index), cls(values, axis)


def _integers(given: ArrayLike) -> IntArray:
    try:
        numbers = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CurveError("Expected epochs as integers, but some are no numbers.") from error
    if not (np.isfinite(numbers).all() and (numbers == np.round(numbers)).all()):
        raise CurveError("Expected epochs as integers, but some are not.")
    return numbers.astype(np.int64)


def _epochs(given: ArrayLike) -> IntArray:
    epochs = _integers(given)
    if epochs.ndim != 1 or not len(epochs):
        raise CurveError(f"Expected one or more epochs in a row, but got shape {epochs.shape}.")
    if (np.diff(epochs) <= 0).any():
        raise CurveError("Expected epochs that increase: sort them, and the columns with them.")
    if epochs[0] < 1:
        raise CurveError(
            f"Epochs count what was trained, from 1 on, but the first is {epochs[0]}: add 1 where "
            f"yours start at 0, and leave out values before training."
        )
    epochs.setflags(write=False)
    return epochs


def _numbers(name: str, given: ArrayLike) -> Array:
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CurveError(f"Some values of {name} are no numbers: leave them NaN.") from error


def _curve(name: str, given: ArrayLike, epochs: IntArray) -> Array:
    if name not in METRICS:
        near = difflib.get_close_matches(name, METRICS, 3, 0.5)
        raise UnknownNameError("metric of curves", name, near, METRICS)
    values = _numbers(name, given)
    if values.ndim != 2 or values.shape[1] != len(epochs):
        raise CurveError(
            f"Expected {name} of shape (architectures, {len(epochs)}), but got {values.shape}."
        )
    if np.isinf(values).any():
        raise CurveError(f"Some values of {name} are infinite: leave them NaN.")
    measured = values[~np.isnan(values)]
    if METRICS[name] == "fraction" and ((measured < 0) | (measured > 1)).any():
        raise CurveError(
            f"Expected {name} as fractions in [0, 1], but they reach from {measured.min():g} to "
            f"{measured.max():g}: divide per cent by 100."
        )
    values.setflags(write=False)
    return values
