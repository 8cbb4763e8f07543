"""Correlations between predictions and truth: Kendall's tau-b, Spearman, Pearson.

One policy for missing values: a pair in which either value is NaN is left out and counted. A
correlation of fewer than two pairs, or of a constant, is NaN. Infinite values have a rank;
Pearson's coefficient of them is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from foretell.errors import UnknownNameError, UsageError
from foretell.metrics._estimate import Estimate
from foretell.types import Array, IntArray

__all__ = [
    "CORRELATIONS",
    "Correlation",
    "Interval",
    "bootstrap",
    "correlate",
    "kendall",
    "pearson",
    "ranks",
    "spearman",
]

_CHUNK = 2_000_000
"""Values held at once by the batch forms, so that memory does not grow with the bootstrap."""


@dataclass(frozen=True)
class Correlation(Estimate):
    """A coefficient in [-1, 1], NaN where it is not defined, and what it was computed from."""


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval.

    Args:
        value: the coefficient of the data themselves.
        low: lower end.
        high: upper end.
        level: the share of the bootstrap distribution between the ends.
        n: pairs.
        samples: resamples with a defined coefficient; others are left out.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    samples: int


def kendall(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Kendall's tau-b: (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)).

    Args:
        x: (n,) values, such as predictions.
        y: (n,) values, such as accuracies.

    Returns:
        The coefficient, the pairs used and the pairs dropped.

    Raises:
        UsageError: the shapes differ or are not (n,).

    >>> kendall([1, 2, 3, 4], [1, 3, 2, 4])
    Correlation(value=0.6666666666666666, n=4, dropped=0)
    """
    return _single("kendall", x, y)


def spearman(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Spearman's rho: Pearson's coefficient of the average ranks.

    Args:
        x: (n,) values.
        y: (n,) values.

    Returns:
        The coefficient, the pairs used and the pairs dropped.

    Raises:
        UsageError: the shapes differ or are not (n,).
    """
    return _single("spearman", x, y)


def pearson(x: ArrayLike, y: ArrayLike) -> Correlation:
    """Pearson's coefficient of linear correlation, with its sign.

    Args:
        x: (n,) values.
        y: (n,) values.

    Returns:
        The coefficient, the pairs used and the pairs dropped.

    Raises:
        UsageError: the shapes differ or are not (n,).
    """
    return _single("pearson", x, y)


def correlate(x: ArrayLike, y: ArrayLike, kind: str = "kendall") -> tuple[Correlation, ...]:
    """One coefficient per row: the batch form.

    Args:
        x: (k, n) values, one row per predictor.
        y: (n,) values for all rows, or (k, n).
        kind: a key of ``CORRELATIONS``.

    Returns:
        k coefficients.

    Raises:
        UnknownNameError: no such kind.
        UsageError: the shapes do not fit.
    """
    function = kind_of(kind)
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 2 or b.ndim not in (1, 2) or (a.shape if b.ndim == 2 else a.shape[1:]) != b.shape:
        raise UsageError(
            f"Expected values of shapes (k, n) and (n,) or twice (k, n), but got {a.shape} and "
            f"{b.shape}."
        )
    b = np.broadcast_to(b, a.shape)
    valid = ~(np.isnan(a) | np.isnan(b))
    coefficients: list[Correlation] = []
    step = max(1, _CHUNK // max(a.shape[1], 1))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        if valid[rows].all():
            n = a.shape[1]
            coefficients += [Correlation(float(v), n) for v in function(a[rows], b[rows])]
            continue
        for p, q, keep in zip(a[rows], b[rows], valid[rows], strict=True):
            n = int(keep.sum())
            value = float(function(p[None, keep], q[None, keep])[0])
            coefficients.append(Correlation(value, n, len(keep) - n))
    return tuple(coefficients)


def bootstrap(
    x: ArrayLike,
    y: ArrayLike,
    rng: Generator,
    *,
    kind: str = "kendall",
    samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a correlation: architectures are resampled with replacement.

    Args:
        x: (n,) values.
        y: (n,) values.
        rng: source of the resamples.
        kind: a key of ``CORRELATIONS``.
        samples: number of resamples.
        level: the share between the ends, in (0, 1).

    Returns:
        The interval; NaN ends where no resample has a defined coefficient.

    Raises:
        UnknownNameError: no such kind.
        UsageError: a shape, the number of samples or the level does not fit.
    """
    if samples < 1 or not 0 < level < 1:
        raise UsageError(
            f"Expected at least 1 sample and a level in (0, 1), but got {samples} and {level}."
        )
    function = kind_of(kind)
    value = _single(kind, x, y)
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = ~(np.isnan(a) | np.isnan(b))
    a, b = a[keep], b[keep]
    drawn = np.full(samples, np.nan)
    step = max(1, _CHUNK // max(len(a), 1))
    for start in range(0, samples if len(a) > 1 else 0, step):
        stop = min(start + step, samples)
        rows = rng.integers(len(a), size=(stop - start, len(a)))
        drawn[start:stop] = function(a[rows], b[rows])
    drawn = drawn[~np.isnan(drawn)]
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail]) if len(drawn) else (np.nan, np.nan)
    return Interval(value.value, float(low), float(high), level, value.n, len(drawn))


def ranks(x: ArrayLike) -> Array:
    """Average ranks from 0 along the last axis; ties share the mean of their ranks.

    Args:
        x: (..., n) values without NaN.

    Returns:
        (..., n) ranks in [0, n - 1].

    >>> ranks([3.0, 1.0, 3.0])
    array([1.5, 0. , 1.5])
    """
    values = np.asarray(x, dtype=np.float64)
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    first, last = runs(ordered)
    out = np.empty(values.shape)
    np.put_along_axis(out, order, (first + last) / 2, axis=-1)
    return out


def _single(kind: str, x: ArrayLike, y: ArrayLike) -> Correlation:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise UsageError(f"Expected two arrays of shape (n,), but got {a.shape} and {b.shape}.")
    return correlate(a[None], b, kind)[0]


def kind_of(kind: str) -> Callable[[Array, Array], Array]:
    """The function of a kind; see ``CORRELATIONS``.

    Raises:
        UnknownNameError: no such kind.
    """
    if kind not in CORRELATIONS:
        raise UnknownNameError("correlation", kind, [], CORRELATIONS)
    return CORRELATIONS[kind]


def runs(ordered: NDArray[np.float64]) -> tuple[IntArray, IntArray]:
    """First and last position of each value's run of ties in sorted rows, both (..., n)."""
    n = ordered.shape[-1]
    position = np.broadcast_to(np.arange(n), ordered.shape)
    change = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*ordered.shape[:-1], 1), dtype=bool)
    first = np.where(np.concatenate([edge, change], axis=-1), position, 0)
    last = np.where(np.concatenate([change, edge], axis=-1), position, n)
    first = np.maximum.accumulate(first, axis=-1)
    last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    return first, last


def _tied_pairs(first: IntArray, last: IntArray) -> Array:
    """Number of tied pairs in each row, from the first and last position of each value's run."""
    return np.asarray((last - first).sum(axis=-1) / 2)


def _inversions(values: IntArray, counts: IntArray) -> Array:
    """Pairs i < j with values[i] > values[j] in each row, in log2(n) passes over the array.

    From the highest bit down, values are grouped by the bits above, in their original order within
    a group; a pair is counted at the highest bit in which it differs.

    Args:
        values: (k, n) integers in [0, n).
        counts: (k, n + 1) number of values below each bound 0..n.
    """
    k, n = values.shape
    total = np.zeros(k)
    position = np.arange(n)
    for bit in range(max(n - 1, 0).bit_length() - 1, -1, -1):
        group = values >> (bit + 1) << (bit + 1)
        start = np.take_along_axis(counts, group, axis=1)
        middle = np.take_along_axis(counts, np.minimum(group + (1 << bit), n), axis=1)
        one = (values >> bit) & 1
        before = np.zeros((k, n + 1), dtype=np.int64)
        np.cumsum(one, axis=1, out=before[:, 1:])
        ones = before[:, :-1] - np.take_along_axis(before, start, axis=1)
        total += np.where(one == 0, ones, 0).sum(axis=1)
        target = np.where(one == 1, middle + ones, position - ones)
        moved = np.empty_like(values)
        np.put_along_axis(moved, target, values, axis=1)
        values = moved
    return total


def _kendall(x: Array, y: Array) -> Array:
    k, n = x.shape
    if n < 2:
        return np.full(k, np.nan)
    by_y = np.argsort(y, axis=1, kind="stable")
    y_first, y_last = runs(np.take_along_axis(y, by_y, axis=1))
    y_low = np.empty((k, n), dtype=np.int64)
    np.put_along_axis(y_low, by_y, y_first, axis=1)
    # Sorting by y first and then stably by x leaves ties of x in the order of y.
    x_by_y = np.take_along_axis(x, by_y, axis=1)
    then_x = np.argsort(x_by_y, axis=1, kind="stable")
    order = np.take_along_axis(by_y, then_x, axis=1)
    ordered_x = np.take_along_axis(x, order, axis=1)
    x_first, x_last = runs(ordered_x)
    lows = np.take_along_axis(y_low, order, axis=1)
    counts = _below(y_first)
    discordant = _inversions(lows, counts)
    # Ties of both: runs in which x's run and y's low rank stay the same.
    both_first, both_last = runs((x_first * n + lows).astype(np.float64))
    pairs = n * (n - 1) / 2
    x_ties, y_ties = _tied_pairs(x_first, x_last), _tied_pairs(y_first, y_last)
    both = _tied_pairs(both_first, both_last)
    top = pairs - x_ties - y_ties + both - 2 * discordant
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = top / np.sqrt((pairs - x_ties) * (pairs - y_ties))
    return np.clip(np.where(np.isfinite(tau), tau, np.nan), -1.0, 1.0)


def _below(first: IntArray) -> IntArray:
    """For sorted low ranks (k, n): how many of them are below each bound 0..n, (k, n + 1)."""
    k, n = first.shape
    flat = (first + np.arange(k)[:, None] * n).ravel()
    histogram = np.bincount(flat, minlength=k * n).reshape(k, n)
    counts = np.zeros((k, n + 1), dtype=np.int64)
    np.cumsum(histogram, axis=1, out=counts[:, 1:])
    return counts


def _spearman(x: Array, y: Array) -> Array:
    return _pearson(ranks(x), ranks(y))


def _pearson(x: Array, y: Array) -> Array:
    if x.shape[1] < 2:
        return np.full(len(x), np.nan)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        a, b = standard(x), standard(y)
        value = (a * b).sum(axis=1)
    return np.asarray(np.clip(value, -1.0, 1.0))


def standard(x: Array) -> Array:
    """Rows centred and scaled to unit length; NaN for constant and infinite ones."""
    constant = (x == x[:, :1]).all(axis=1, keepdims=True)
    scale = np.abs(x).max(axis=1, keepdims=True)
    scaled = x / np.where(scale > 0, scale, 1.0)
    centred = scaled - scaled.mean(axis=1, keepdims=True)
    # Tiny spreads would underflow when squared, hence the second scaling.
    spread = np.abs(centred).max(axis=1, keepdims=True)
    centred = np.where(constant, np.nan, centred / spread)
    return np.asarray(centred / np.sqrt((centred * centred).sum(axis=1, keepdims=True)))


CORRELATIONS: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {"kendall": _kendall, "spearman": _spearman, "pearson": _pearson}
)
"""Name -> function of two (k, n) arrays without NaN that gives (k,) coefficients."""
