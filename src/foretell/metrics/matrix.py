"""Correlation matrices: every predictor against every truth, with bootstrap intervals.

All pairs share their resamples, so a table of hundreds of correlations costs little more than the
correlations themselves. A resample is a vector of weights: how often each row was drawn. Pearson
and Spearman are computed exactly under the weights. Kendall's coefficient is a function of averages
over pairs (a U-statistic); its resamples move these averages by their first-order terms, which
leaves out only what is of the order 1/n.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from foretell.errors import UsageError
from foretell.metrics.correlation import correlate, kind_of, ranks, runs, standard
from foretell.types import Array, IntArray

__all__ = ["Cross", "cross"]

_ALL_PAIRS = 2500
"""Rows up to which Kendall is counted over all pairs, whose row means its intervals need."""
_SOME_ROWS = 500
"""Rows sampled for the intervals of larger tables."""
_CHUNK = 4_000_000
"""Pairwise signs held in memory at once."""


@dataclass(frozen=True)
class Cross:
    """Correlations of p predictors with t truths; every array has shape (p, t).

    Args:
        value: coefficients, NaN where undefined.
        low: lower ends of the intervals, NaN without resamples.
        high: upper ends.
        n: pairs of values each was computed from.
        dropped: pairs left out because a value was NaN.
        level: the share of the bootstrap distribution between the ends.
        samples: resamples, 0 for none.
    """

    value: Array
    low: Array
    high: Array
    n: IntArray
    dropped: IntArray
    level: float
    samples: int


def cross(
    x: ArrayLike,
    y: ArrayLike,
    kind: str = "kendall",
    *,
    samples: int = 0,
    level: float = 0.95,
    rng: Generator | None = None,
) -> Cross:
    """Correlate every row of x with every row of y.

    Args:
        x: (p, n) values, one row per predictor.
        y: (t, n) values, one row per truth.
        kind: a key of ``CORRELATIONS``.
        samples: resamples of the percentile bootstrap, the same for all pairs without a NaN; 0
            leaves the intervals NaN.
        level: the share between the ends, in (0, 1).
        rng: source of the resamples, needed if there are any.

    Raises:
        UnknownNameError: no such kind.
        UsageError: the shapes, the samples or the level do not fit.
    """
    kind_of(kind)
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise UsageError(
            f"Expected values of shapes (p, n) and (t, n), but got {a.shape} and {b.shape}."
        )
    if samples < 0 or not 0 < level < 1 or (samples and rng is None):
        raise UsageError(
            f"Expected samples >= 0, a level in (0, 1) and a generator for resamples, but got "
            f"{samples}, {level} and {rng}."
        )
    source = rng if samples else None
    shape = (len(a), len(b))
    value, low, high = (np.full(shape, np.nan) for _ in range(3))
    count = np.zeros(shape, dtype=np.int64)
    for a_mask, a_rows in _patterns(a):
        for b_mask, b_rows in _patterns(b):
            keep = a_mask & b_mask
            block = np.ix_(a_rows, b_rows)
            count[block] = keep.sum()
            part, drawn = _block(a[a_rows][:, keep], b[b_rows][:, keep], kind, samples, source)
            value[block] = part
            if len(drawn):
                low[block], high[block] = _ends(drawn, level)
    return Cross(value, low, high, count, a.shape[1] - count, level, samples)


def _patterns(values: Array) -> list[tuple[NDArray[np.bool_], IntArray]]:
    """The rows, grouped by where they are not NaN: (mask, rows)."""
    present = ~np.isnan(values)
    groups: dict[bytes, list[int]] = {}
    for i, row in enumerate(present):
        groups.setdefault(np.packbits(row).tobytes(), []).append(i)
    return [(present[rows[0]], np.array(rows)) for rows in groups.values()]


def _ends(drawn: Array, level: float) -> tuple[Array, Array]:
    """Percentiles over the first axis of the coefficients that are defined."""
    tail = (1 - level) / 2
    ordered = np.sort(drawn, axis=0)  # NaN last
    defined = (~np.isnan(drawn)).sum(axis=0)
    ends = []
    for share in (tail, 1 - tail):
        position = share * np.maximum(defined - 1, 0)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(defined - 1, 0))
        first, second = (np.take_along_axis(ordered, k[None], axis=0)[0] for k in (below, above))
        ends.append(first + (second - first) * (position - below))
    return ends[0], ends[1]


def _block(
    x: Array, y: Array, kind: str, samples: int, rng: Generator | None
) -> tuple[Array, Array]:
    """Coefficients (p, t) of values without NaN, and those of the resamples (samples, p, t)."""
    n = x.shape[1]
    none = np.zeros((0, len(x), len(y)))
    if n < 2:
        return np.full((len(x), len(y)), np.nan), none
    if kind == "kendall":
        return _kendall(x, y, samples, rng)
    if kind == "spearman":
        value = _moments(ranks(x), ranks(y), np.ones(n))
    else:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            x, y = standard(x), standard(y)
        value = _moments(x, y, np.ones(n))
    if rng is None:
        return value, none
    drawn = np.empty((samples, len(x), len(y)))
    ordered = [_Ordered(x), _Ordered(y)] if kind == "spearman" else []
    for i in range(samples):
        w = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)
        a, b = (o.ranks(w) for o in ordered) if ordered else (x, y)
        drawn[i] = _moments(a, b, w)
    return value, drawn


def _moments(x: Array, y: Array, weights: Array) -> Array:
    """Pearson's coefficient of every row of x with every row of y, each column weighted."""
    total = weights.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (v - (v @ weights / total)[:, None] for v in (x, y))
        aw = a * weights
        spread_a, spread_b = (aw * a).sum(axis=1), (b * b) @ weights
        # a constant row leaves only rounding errors: its coefficient is undefined
        flat_a, flat_b = (s <= 1e-24 * (v * v) @ weights for s, v in ((spread_a, x), (spread_b, y)))
        value = aw @ b.T / np.sqrt(np.outer(spread_a, spread_b))
    value[flat_a] = np.nan
    value[:, flat_b] = np.nan
    return np.asarray(np.clip(value, -1.0, 1.0))


class _Ordered:
    """Rows in rising order, so that ranks under other weights need no sorting."""

    def __init__(self, values: Array) -> None:
        self.order = np.argsort(values, axis=1, kind="stable")
        ordered = np.take_along_axis(values, self.order, axis=1)
        first, last = runs(ordered)
        self.first, self.after = np.empty_like(first), np.empty_like(last)
        np.put_along_axis(self.first, self.order, first, axis=1)
        np.put_along_axis(self.after, self.order, last + 1, axis=1)

    def ranks(self, weights: Array) -> Array:
        """Average rank of each value where row i counts weights[i] times."""
        below = np.zeros((len(self.order), len(weights) + 1))
        np.cumsum(weights[self.order], axis=1, out=below[:, 1:])
        first, after = (np.take_along_axis(below, k, axis=1) for k in (self.first, self.after))
        return np.asarray((first + after) / 2)


def _kendall(x: Array, y: Array, samples: int, rng: Generator | None) -> tuple[Array, Array]:
    p, t, n = len(x), len(y), x.shape[1]
    none = np.zeros((0, p, t))
    every = n <= _ALL_PAIRS
    if not every:
        rows = [[c.value for c in correlate(x, row, "kendall")] for row in y]
        value = np.array(rows, dtype=np.float64).reshape(t, p).T
        if rng is None:
            return value, none
        chosen = rng.choice(n, _SOME_ROWS, replace=False)
    else:
        chosen = np.arange(n)
    agree = _agreement(x, y, chosen) / (n - 1)  # (m, p, t): mean sign product of each row
    free = [_untied(v) / (n - 1) for v in (x, y)]
    x_mean, y_mean = (f.mean(axis=1) for f in free)
    if every:
        with np.errstate(invalid="ignore", divide="ignore"):
            bottom = np.sqrt(np.outer(x_mean, y_mean))
            value = np.clip(agree.mean(axis=0) / bottom, -1.0, 1.0)
    if rng is None:
        return value, none
    # every pair has two members, hence the 2; a subset of rows varies more, hence the root
    m = len(chosen)
    shrink = 2 * np.sqrt(m / n)
    weights = np.stack(
        [np.bincount(rng.integers(m, size=m), minlength=m) / m for _ in range(samples)]
    )
    weights -= 1 / m
    x_drawn, y_drawn = (f.mean(axis=1) + shrink * (weights @ f[:, chosen].T) for f in free)
    with np.errstate(invalid="ignore", divide="ignore"):
        top = value * np.sqrt(np.outer(x_mean, y_mean))
        top = top + shrink * (weights @ agree.reshape(m, p * t)).reshape(samples, p, t)
        drawn = top / np.sqrt(x_drawn[:, :, None] * y_drawn[:, None, :])
    return value, np.clip(drawn, -1.0, 1.0)


def _untied(values: Array) -> Array:
    """How many other values of its row each value differs from, (k, n)."""
    order = np.argsort(values, axis=1, kind="stable")
    first, last = runs(np.take_along_axis(values, order, axis=1))
    free = np.empty(values.shape)
    np.put_along_axis(free, order, values.shape[1] - 1.0 - (last - first), axis=1)
    return free


def _agreement(x: Array, y: Array, chosen: IntArray) -> Array:
    """Concordant less discordant partners of the chosen rows, (m, p, t)."""
    n = x.shape[1]
    kind = np.int16 if n < 2**15 else np.int32
    a, b = (_codes(v).astype(kind) for v in (x, y))
    out = np.empty((len(chosen), len(x), len(y)))
    step = max(1, _CHUNK // max((len(x) + len(y)) * n, 1))
    for start in range(0, len(chosen), step):
        rows = chosen[start : start + step]
        left, right = (_signs(v, rows) for v in (a, b))
        out[start : start + step] = np.matmul(left, right.transpose(0, 2, 1))
    return out


def _codes(values: Array) -> IntArray:
    """Index of each value among the distinct ones of its row: the same order in few bits."""
    return np.stack([np.unique(row, return_inverse=True)[1] for row in values])


def _signs(codes: NDArray[Any], rows: IntArray) -> NDArray[np.float32]:
    """Whether each value is above (1) or below (-1) those of the rows, (rows, k, n)."""
    mine = codes[:, rows].T[:, :, None]
    above, below = codes[None] > mine, codes[None] < mine
    return np.asarray(above.astype(np.float32) - below)
