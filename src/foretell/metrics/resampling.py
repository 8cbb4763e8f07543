"""Bootstrap intervals of any statistic: rows are resampled, all columns together."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from foretell.errors import UsageError
from foretell.metrics._estimate import Estimate, complete
from foretell.metrics.correlation import Interval
from foretell.types import Array

__all__ = ["bootstrap_of"]


def bootstrap_of(
    statistic: Callable[..., float | Estimate],
    columns: Sequence[ArrayLike],
    rng: Generator,
    *,
    samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a statistic, such as RMSE, nDCG or a difference of two.

    Args:
        statistic: function of as many (n,) arrays as there are columns.
        columns: (n,) each; rows with a NaN are left out.
        rng: source of the resamples.
        samples: number of resamples.
        level: the share between the ends, in (0, 1).

    Returns:
        The interval; NaN ends where the statistic is undefined on every resample.

    Raises:
        UsageError: a shape, the number of samples or the level does not fit.

    >>> from foretell.metrics import rmse
    >>> interval = bootstrap_of(rmse, ([1, 2, 4], [1, 2, 3]), np.random.default_rng(0), samples=99)
    >>> interval.low <= interval.value <= interval.high
    True
    """
    if samples < 1 or not 0 < level < 1 or not columns:
        raise UsageError(
            f"Expected columns, at least 1 sample and a level in (0, 1), but got {len(columns)} "
            f"columns, {samples} and {level}."
        )
    arrays, _ = complete(*columns)
    n = len(arrays[0])

    def value_of(rows: Sequence[Array]) -> float:
        return float(statistic(*rows))

    drawn = np.full(samples, np.nan)
    for i in range(samples if n else 0):
        rows = rng.integers(n, size=n)
        drawn[i] = value_of([a[rows] for a in arrays])
    drawn = drawn[~np.isnan(drawn)]
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)
    value = value_of(arrays) if n else float("nan")
    return Interval(value, float(low), float(high), level, n, len(drawn))
