"""What a representation gives: one row of numbers for each architecture, with names."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import UsageError

__all__ = ["FeatureTable"]


@dataclass(frozen=True)
class FeatureTable:
    """Named columns.

    Args:
        names: one for each column.
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
        """How many rows there are."""
        return len(self.values)

    def column(self, name: str) -> NDArray[Any]:
        """The values of one column, (n,).

        Raises:
            UsageError: there is no such column.
        """
        if name not in self.names:
            raise UsageError(f"There is no column {name!r} among {len(self.names)}.")
        return np.asarray(self.values[:, self.names.index(name)])
