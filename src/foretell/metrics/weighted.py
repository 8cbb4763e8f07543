"""Variants of Kendall's tau: weighted towards the top, or after rounding.

``weighted_kendall`` is Vigna's weighted tau (A weighted correlation index for rankings with ties,
WWW 2015), in O(n log n): pairs are weighted by the ranks of their members, so that an exchange at
the top costs more than one at the bottom. ``sparse_kendall`` rounds first, so that differences
below the noise of training count as ties.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from foretell.errors import UsageError
from foretell.metrics._estimate import complete
from foretell.metrics.correlation import Correlation, kendall
from foretell.types import Array, IntArray

__all__ = ["hyperbolic", "sparse_kendall", "weighted_kendall"]

Rank = Literal["mean", "first", "index"]


def hyperbolic(rank: IntArray) -> Array:
    """Weight of the elements of ranks 0, 1, ...: 1 / (rank + 1)."""
    return np.asarray(1.0 / (rank + 1.0), dtype=np.float64)


def weighted_kendall(
    x: ArrayLike,
    y: ArrayLike,
    *,
    rank: Rank | ArrayLike = "mean",
    weigher: Callable[[IntArray], Array] = hyperbolic,
    additive: bool = True,
) -> Correlation:
    """Kendall's tau-b with a weight for each pair, by the ranks of its two members.

    tau = (<x, y>) / sqrt(<x, x> <y, y>), where <a, b> is the sum over pairs i < j of
    sign(a_i - a_j) sign(b_i - b_j) weight(i, j).

    Args:
        x: (n,) values, such as predictions.
        y: (n,) values, such as accuracies.
        rank: where 0 is the most important. "mean": the mean of the two coefficients by falling
            (x, y) and by falling (y, x); "first": by falling (x, y) alone, ties of x broken by y;
            "index": the position of each pair among the complete ones; or (n,) ranks >= 0.
        weigher: (n,) ranks -> (n,) weights >= 0.
        additive: whether a pair weighs the sum of its members' weights, else their product.

    Returns:
        The coefficient, the pairs used and the pairs dropped.

    Raises:
        UsageError: the shapes differ, or the ranks or weights do not fit.

    Reference: scipy.stats.weightedtau, whose rank=True, None and False are "mean", "first" and
    "index".

    >>> low, high = [2, 1, 3, 4], [1, 2, 4, 3]  # an exchange at the bottom, one at the top
    >>> weighted_kendall([1, 2, 3, 4], low).value > weighted_kendall([1, 2, 3, 4], high).value
    True
    """
    own: Array | None = None
    if isinstance(rank, str):
        if rank not in ("mean", "first", "index"):
            raise UsageError(
                f"Expected rank 'mean', 'first', 'index' or an array of ranks, but got {rank!r}."
            )
        (a, b), dropped = complete(x, y)
    else:
        (a, b, own), dropped = complete(x, y, rank)
    n = len(a)
    if n < 2:
        return Correlation(np.nan, n, dropped)
    if own is not None:
        orders = [_own_ranks(own)]
    elif rank == "index":
        orders = [np.arange(n)]
    else:
        orders = [_falling(a, b)] + ([_falling(b, a)] if rank == "mean" else [])
    values = [_weighted(a, b, _weights(weigher, ranks), additive) for ranks in orders]
    return Correlation(float(np.mean(values)), n, dropped)


def sparse_kendall(
    predicted: ArrayLike, truth: ArrayLike, decimals: int = 2, *, round_truth: bool = False
) -> Correlation:
    """Kendall's tau-b after rounding the predictions.

    Args:
        predicted: (n,) predictions. The published studies predict per cent and round to 2 and 1
            decimals, which for accuracies in [0, 1] is 4 and 3.
        truth: (n,) true values.
        decimals: digits after the point; negative ones round to tens and more.
        round_truth: whether to round the truth as well.

    Returns:
        The coefficient, the pairs used and the pairs dropped.

    Raises:
        UsageError: the shapes differ or are not (n,).

    >>> round(sparse_kendall([0.901, 0.902, 0.95], [0.92, 0.91, 0.96], decimals=2).value, 6)
    0.816497
    """
    a, b = np.asarray(predicted, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    return kendall(np.round(a, decimals), np.round(b, decimals) if round_truth else b)


def _own_ranks(given: Array) -> IntArray:
    ranks = given.astype(np.int64)
    if (ranks != given).any() or (ranks < 0).any():
        raise UsageError("Expected whole ranks >= 0, 0 for the most important.")
    return ranks


def _falling(first: Array, second: Array) -> IntArray:
    """Rank of each element when sorted by falling first, then falling second value."""
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[np.lexsort((second, first))[::-1]] = np.arange(len(first))
    return ranks


def _weights(weigher: Callable[[IntArray], Array], ranks: IntArray) -> Array:
    weights = np.asarray(weigher(ranks), dtype=np.float64)
    if weights.shape != ranks.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise UsageError(
            f"Expected the weigher to give {len(ranks)} finite weights >= 0, but got shape "
            f"{weights.shape}."
        )
    return weights


def _weighted(x: Array, y: Array, weights: Array, additive: bool) -> float:
    _, y_codes = np.unique(y, return_inverse=True)
    _, x_codes = np.unique(x, return_inverse=True)
    both = x_codes * (y_codes.max() + 1) + y_codes
    order = np.argsort(both, kind="stable")  # by x, ties by y: a tie of x is no inversion
    discordant = _inverted(y_codes[order], weights[order], additive)
    total = _within(np.zeros_like(x_codes), weights, additive)
    x_ties, y_ties = (_within(c, weights, additive) for c in (x_codes, y_codes))
    tied = _within(np.unique(both, return_inverse=True)[1], weights, additive)
    if total <= x_ties or total <= y_ties:
        return float("nan")
    top = total - x_ties - y_ties + tied - 2 * discordant
    bottom = np.sqrt(total - x_ties) * np.sqrt(total - y_ties)
    return float(np.clip(top / bottom, -1.0, 1.0)) if bottom > 0 else float("nan")


def _within(codes: IntArray, weights: Array, additive: bool) -> float:
    """Summed weight of the pairs whose members have the same code."""
    sums = np.bincount(codes, weights=weights)
    if additive:
        return float(((np.bincount(codes) - 1) * sums).sum())
    return float((sums**2 - np.bincount(codes, weights=weights**2)).sum() / 2)


def _inverted(codes: IntArray, weights: Array, additive: bool) -> float:
    """Summed weight of the pairs i < j with codes[i] > codes[j], in log2(codes) passes.

    Values are grouped by their higher bits, in their original order within a group; a pair is
    counted at the highest bit in which it differs.
    """
    total = 0.0
    for bit in range(int(codes.max()).bit_length() - 1, -1, -1):
        one = ((codes >> bit) & 1).astype(bool)
        group = codes >> (bit + 1)
        heads = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
        which = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(codes))))
        heavy = _before(np.where(one, weights, 0.0), heads, which)
        if additive:
            count = _before(one.astype(np.float64), heads, which)
            total += float((count * weights + heavy)[~one].sum())
        else:
            total += float((heavy * weights)[~one].sum())
        order = np.argsort(which * 2 + one, kind="stable")
        codes, weights = codes[order], weights[order]
    return total


def _before(values: Array, heads: IntArray, which: IntArray) -> Array:
    """Sum of the earlier values of the same group, for each position."""
    sums = np.cumsum(values) - values
    return np.asarray(sums - sums[heads][which])
