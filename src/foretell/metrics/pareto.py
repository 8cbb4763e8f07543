"""Pareto fronts and the hypervolume of two objectives."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foretell.errors import UsageError
from foretell.types import Array, Direction

__all__ = ["hypervolume", "non_dominated"]


def non_dominated(values: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.bool_]:
    """Which rows no other row dominates.

    A row dominates another if it is nowhere worse and somewhere better. Equal rows do not dominate
    one another. A row with a NaN is never on the front and dominates nothing.

    Args:
        values: (n, m) one row per architecture, one column per objective.
        directions: m times "max" or "min".

    Returns:
        (n,) bool.

    Raises:
        UsageError: the shapes or a direction do not fit.

    >>> non_dominated([[0.9, 10], [0.8, 5], [0.7, 7]], ["max", "min"])
    array([ True,  True, False])
    """
    gains = _gains(values, directions)
    front = np.zeros(len(gains), dtype=bool)
    complete = np.flatnonzero(~np.isnan(gains).any(axis=1))
    rows, back = np.unique(gains[complete], axis=0, return_inverse=True)
    # Best first in lexicographic order: a row can then only be dominated by one before it.
    rows = rows[::-1]
    on_front = _front_of_two(rows) if rows.shape[1] == 2 else _front_of_many(rows)
    front[complete] = on_front[::-1][back.reshape(-1)]
    return front


def hypervolume(values: ArrayLike, reference: ArrayLike, directions: Sequence[Direction]) -> float:
    """Area that the front of two objectives dominates, up to a reference point.

    Args:
        values: (n, 2) one row per architecture; rows with a NaN and rows that are not better than
            the reference in both objectives add nothing.
        reference: (2,) a point worse than every row of interest.
        directions: twice "max" or "min".

    Returns:
        The area, >= 0.

    Raises:
        UsageError: a shape or a direction does not fit, or the reference holds a NaN.

    >>> hypervolume([[1, 2], [2, 1]], [0, 0], ["max", "max"])
    3.0
    """
    gains, origin = _gains(values, directions), _gains(np.asarray(reference)[None], directions)
    if gains.shape[1] != 2 or np.isnan(origin).any():
        raise UsageError(
            f"Expected two objectives and a reference without NaN, but got {gains.shape[1]} "
            f"objectives and {np.asarray(reference).tolist()}."
        )
    gains = gains - origin[0]
    gains = gains[(gains > 0).all(axis=1)]
    gains = gains[np.lexsort((-gains[:, 1], -gains[:, 0]))]
    gains = gains[_front_of_two(gains)]
    below = np.concatenate([[0.0], gains[:-1, 1]])
    return float((gains[:, 0] * (gains[:, 1] - below)).sum())


def _gains(values: ArrayLike, directions: Sequence[Direction]) -> Array:
    """The values as float64, signs flipped where lower is better."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        array = array.reshape(0, len(directions))
    if array.ndim != 2 or array.shape[1] != len(directions) or not directions:
        raise UsageError(
            f"Expected values of shape (n, {len(directions)}), one column per direction, but got "
            f"{array.shape}."
        )
    if bad := [d for d in directions if d not in ("max", "min")]:
        raise UsageError(f"Expected the directions 'max' or 'min', but got {bad[0]!r}.")
    return np.asarray(array * np.array([1.0 if d == "max" else -1.0 for d in directions]))


def _front_of_two(rows: Array) -> NDArray[np.bool_]:
    """Front of rows sorted by falling first, then falling second column: a running maximum."""
    best = np.maximum.accumulate(np.concatenate([[-np.inf], rows[:, 1]]))[:-1]
    first = np.arange(len(rows)) == 0
    return np.asarray((rows[:, 1] > best) | first)


def _front_of_many(rows: Array) -> NDArray[np.bool_]:
    """Front of distinct rows, best first in lexicographic order."""
    on_front = np.ones(len(rows), dtype=bool)
    for i in range(len(rows)):
        if on_front[i]:
            on_front[i + 1 :] &= (rows[i + 1 :] > rows[i]).any(axis=1)
    return on_front
