"""What an encoding gives: one row of numbers for each architecture, with named columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import UsageError
from foretell.types import Array, IntArray

__all__ = ["EncodingTable", "Encodings"]


@dataclass(frozen=True)
class EncodingTable:
    """One encoding of n architectures: a matrix with named columns.

    Args:
        names: of the columns.
        values: (n, columns), any numeric type.

    Raises:
        UsageError: the names do not fit the values.
    """

    names: tuple[str, ...]
    values: NDArray[Any]

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.values.ndim != 2 or self.values.shape[1] != len(self.names):
            raise UsageError(
                f"Expected values of shape (n, {len(self.names)}), but got {self.values.shape}."
            )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    def column(self, name: str) -> NDArray[Any]:
        """The values of one column, (n,).

        Raises:
            UsageError: there is no such column.
        """
        if name not in self.names:
            raise UsageError(f"There is no column {name!r} among {len(self.names)}.")
        return np.asarray(self.values[:, self.names.index(name)])


@dataclass(frozen=True)
class Encodings:
    """What predictors see of n architectures: one or several encodings, side by side.

    Args:
        tables: name of an encoding -> its table; all have n rows.
        identity: names of those that only identify an architecture, such as one-hot genes.
        scales: name of a table -> (shift, factor) of its columns; by default they are computed.
            Each column then has mean 0 and each table a mean squared row norm of 1, over all
            architectures that were encoded together, labelled or not.

    Raises:
        UsageError: there is no table, or they differ in length.
    """

    tables: Mapping[str, EncodingTable]
    identity: frozenset[str] = frozenset()
    scales: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the lengths."""
        if not self.tables or len({len(t) for t in self.tables.values()}) != 1:
            raise UsageError(
                f"Expected tables of one length, but got "
                f"{ {name: len(t) for name, t in self.tables.items()} }."
            )
        if not self.scales:
            scales = {name: _scale(t.values) for name, t in self.tables.items()}
            object.__setattr__(self, "scales", scales)

    def __len__(self) -> int:
        """Number of architectures."""
        return len(next(iter(self.tables.values())))

    def take(self, rows: IntArray) -> "Encodings":
        """Some of the architectures, in the order of ``rows``."""
        selected = {k: EncodingTable(t.names, t.values[rows]) for k, t in self.tables.items()}
        return Encodings(selected, self.identity, self.scales)

    def only(self, names: frozenset[str]) -> "Encodings":
        """Some of the tables."""
        selected = {k: t for k, t in self.tables.items() if k in names}
        return Encodings(selected, self.identity, self.scales)

    def matrix(self) -> Array:
        """All columns, (n, d) float64."""
        return np.concatenate([t.values for t in self.tables.values()], axis=1, dtype=np.float64)

    def scaled(self, scales: Mapping[str, tuple[Array, Array]] | None = None) -> Array:
        """All columns, (n, d), shifted and scaled.

        Args:
            scales: by default its own; to predict, those of the encodings used in ``fit``.
        """
        own = self.scales if scales is None else scales
        parts = [(t.values - own[k][0]) * own[k][1] for k, t in self.tables.items()]
        return np.concatenate(parts, axis=1, dtype=np.float64)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of ``matrix``."""
        return tuple(f"{k}.{n}" for k, t in self.tables.items() for n in t.names)


def _scale(values: NDArray[Any]) -> tuple[Array, Array]:
    """Mean and factor of each column, (d,) each; a constant column gets the factor 0."""
    if not len(values):
        return np.zeros(values.shape[1]), np.zeros(values.shape[1])
    with np.errstate(invalid="ignore"):  # predictors refuse what is not finite
        spread = values.std(axis=0, dtype=np.float64)
    varies = spread > 1e-9
    factor = varies / np.where(varies, spread, 1.0) / np.sqrt(max(varies.sum(), 1))
    return values.mean(axis=0, dtype=np.float64), np.asarray(factor, dtype=np.float64)
