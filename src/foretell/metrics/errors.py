"""Regression errors: R2, RMSE, MAE."""

import numpy as np
from numpy.typing import ArrayLike

from foretell.metrics._estimate import Estimate, complete

__all__ = ["mae", "r2", "rmse"]


def r2(predicted: ArrayLike, truth: ArrayLike) -> Estimate:
    """Share of the truth's variance that is explained: 1 - sum (t - p)^2 / sum (t - mean t)^2.

    Args:
        predicted: (n,) predictions in the unit of the truth.
        truth: (n,) true values.

    Returns:
        At most 1, below 0 for predictions worse than the mean; NaN for fewer than two pairs or a
        constant truth.

    Raises:
        UsageError: the shapes differ or are not (n,).

    >>> r2([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    Estimate(value=0.5, n=3, dropped=0)
    """
    (p, t), dropped = complete(predicted, truth)
    if len(t) < 2 or (t == t[0]).all():
        return Estimate(np.nan, len(t), dropped)
    with np.errstate(invalid="ignore"):
        value = 1 - np.square(t - p).sum() / np.square(t - t.mean()).sum()
    return Estimate(float(value), len(t), dropped)


def rmse(predicted: ArrayLike, truth: ArrayLike) -> Estimate:
    """Root of the mean squared error, in the unit of the truth; NaN without a pair.

    Args:
        predicted: (n,) predictions in the unit of the truth.
        truth: (n,) true values.

    Raises:
        UsageError: the shapes differ or are not (n,).

    >>> rmse([1.0, 2.0], [1.0, 4.0]).value == 2**0.5
    True
    """
    (p, t), dropped = complete(predicted, truth)
    value = float(np.sqrt(np.square(p - t).mean())) if len(t) else np.nan
    return Estimate(value, len(t), dropped)


def mae(predicted: ArrayLike, truth: ArrayLike) -> Estimate:
    """Mean absolute error, in the unit of the truth; NaN without a pair.

    Args:
        predicted: (n,) predictions in the unit of the truth.
        truth: (n,) true values.

    Raises:
        UsageError: the shapes differ or are not (n,).

    >>> mae([1.0, 2.0], [1.0, 4.0])
    Estimate(value=1.0, n=2, dropped=0)
    """
    (p, t), dropped = complete(predicted, truth)
    return Estimate(float(np.abs(p - t).mean()) if len(t) else np.nan, len(t), dropped)
