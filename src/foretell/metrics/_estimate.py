"""The value of a metric with its number of pairs; one policy for missing values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from foretell.errors import UsageError
from foretell.types import Array

__all__ = ["Estimate", "complete"]


@dataclass(frozen=True)
class Estimate:
    """The value of a metric, and the pairs it was computed from.

    Args:
        value: NaN where it is undefined.
        n: pairs it was computed from.
        dropped: pairs left out because a value was NaN.
    """

    value: float
    n: int
    dropped: int = 0

    def __float__(self) -> float:
        """The value."""
        return self.value


def complete(*columns: ArrayLike) -> tuple[list[Array], int]:
    """The rows in which no column is NaN, and how many were left out.

    Args:
        columns: (n,) each.

    Raises:
        UsageError: the shapes differ or are not (n,).
    """
    arrays = [np.asarray(c, dtype=np.float64) for c in columns]
    if arrays[0].ndim != 1 or any(a.shape != arrays[0].shape for a in arrays):
        raise UsageError(
            f"Expected arrays of one shape (n,), but got {', '.join(str(a.shape) for a in arrays)}."
        )
    keep = ~np.any([np.isnan(a) for a in arrays], axis=0)
    return [a[keep] for a in arrays], int((~keep).sum())
