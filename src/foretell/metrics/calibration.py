"""Calibration of predicted intervals: coverage, sharpness, calibration error."""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from foretell.errors import UsageError
from foretell.metrics._estimate import Estimate, complete
from foretell.types import Array

__all__ = ["calibration_error", "coverage", "normal_interval", "sharpness"]


def coverage(low: ArrayLike, high: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of the true values that lie in their interval, ends included.

    Well calibrated intervals of level 0.9 cover 90 % of the true values.

    Args:
        low: (n,) lower ends.
        high: (n,) upper ends.
        truth: (n,) true values.

    Returns:
        A share in [0, 1]; NaN without a complete row.

    Raises:
        UsageError: the shapes differ, or a lower end exceeds its upper end.

    >>> coverage([0, 0, 0], [1, 1, 1], [0.5, 1, 2])
    Estimate(value=0.6666666666666666, n=3, dropped=0)
    """
    (a, b, t), dropped = complete(low, high, truth)
    _check(a, b)
    value = float(((a <= t) & (t <= b)).mean()) if len(t) else np.nan
    return Estimate(value, len(t), dropped)


def sharpness(low: ArrayLike, high: ArrayLike) -> Estimate:
    """Mean width of the intervals, in their unit; at equal coverage, narrower is better.

    Args:
        low: (n,) lower ends.
        high: (n,) upper ends.

    Returns:
        A width >= 0; NaN without an interval.

    Raises:
        UsageError: the shapes differ, or a lower end exceeds its upper end.
    """
    (a, b), dropped = complete(low, high)
    _check(a, b)
    return Estimate(float((b - a).mean()) if len(a) else np.nan, len(a), dropped)


def normal_interval(mean: ArrayLike, std: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
    """The central interval of normal distributions: mean -+ z std, where P(|Z| <= z) = level.

    Args:
        mean: (n,) predicted means.
        std: (n,) predicted standard deviations, >= 0; NaN where there is none.
        level: probability mass of the interval, in (0, 1).

    Returns:
        Lower and upper ends, (n,) each.

    Raises:
        UsageError: the shapes differ, a deviation is negative, or the level is not in (0, 1).

    >>> low, high = normal_interval([0.0], [1.0], 0.95)
    >>> round(float(high[0]), 6)
    1.959964
    """
    m, s = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if m.ndim != 1 or m.shape != s.shape:
        raise UsageError(f"Expected arrays of one shape (n,), but got {m.shape}, {s.shape}.")
    if not 0 < level < 1:
        raise UsageError(f"Expected a level in (0, 1), but got {level}.")
    if (s < 0).any():
        raise UsageError(f"Expected standard deviations >= 0, but the smallest is {np.nanmin(s)}.")
    half = NormalDist().inv_cdf((1 + level) / 2) * s
    return m - half, m + half


def calibration_error(
    mean: ArrayLike,
    std: ArrayLike,
    truth: ArrayLike,
    levels: ArrayLike = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
) -> Estimate:
    """Mean over levels of |coverage - level| of the normal intervals; 0 is perfect.

    Args:
        mean: (n,) predicted means.
        std: (n,) predicted standard deviations, >= 0.
        truth: (n,) true values.
        levels: (k,) in (0, 1).

    Returns:
        A value in [0, 1); NaN without a complete row.

    Raises:
        UsageError: the shapes differ, a deviation is negative, or a level is not in (0, 1).
    """
    coverages = [
        (float(level), coverage(*normal_interval(mean, std, float(level)), truth))
        for level in np.asarray(levels, dtype=np.float64).ravel()
    ]
    if not coverages:
        raise UsageError("Expected at least one level in (0, 1), but got none.")
    value = float(np.mean([abs(c.value - level) for level, c in coverages]))
    return Estimate(value, coverages[0][1].n, coverages[0][1].dropped)


def _check(low: Array, high: Array) -> None:
    if (wrong := np.flatnonzero(high < low)).size:
        i = int(wrong[0])
        raise UsageError(
            f"Expected intervals with low <= high, but {len(wrong)} of {len(low)} have low > high, "
            f"first: ({low[i]}, {high[i]})."
        )
