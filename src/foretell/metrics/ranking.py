"""Ranking metrics: precision at k, top-k regret, nDCG.

Ties are never broken by position: each metric is its expectation over all orders of tied
predictions, so a constant prediction scores like chance.
"""

from math import comb

import numpy as np
from numpy.typing import ArrayLike

from foretell.errors import UsageError
from foretell.types import Array

__all__ = ["ndcg", "precision_at_k", "top_k_regret"]


def precision_at_k(scores: ArrayLike, truth: ArrayLike, k: int) -> float:
    """Expected share of the k best-scored architectures that are among the k truly best.

    Args:
        scores: (n,) predictions, higher is better; pairs with a NaN are left out.
        truth: (n,) true values, higher is better.
        k: how many, >= 1; with fewer than k pairs all of them are taken.

    Returns:
        A share in [0, 1]; NaN without a pair.

    Raises:
        UsageError: the shapes differ or k < 1.

    >>> precision_at_k([4, 3, 2, 1], [4, 1, 3, 2], k=2)
    0.5
    """
    s, t = _pairs(scores, truth, k)
    if not len(s):
        return float("nan")
    k = min(k, len(s))
    return float((_chance_of_top(s, k) * _chance_of_top(t, k)).sum() / k)


def top_k_regret(scores: ArrayLike, truth: ArrayLike, k: int) -> float:
    """Regret of training only the k best-scored: best truth - expected best truth among those.

    Args:
        scores: (n,) predictions, higher is better; pairs with a NaN are left out.
        truth: (n,) true values, higher is better.
        k: how many, >= 1.

    Returns:
        The regret in the truth's unit, >= 0; NaN without a pair.

    Raises:
        UsageError: the shapes differ or k < 1.

    >>> top_k_regret([4, 3, 2, 1], [0.5, 0.8, 0.9, 0.1], k=2)
    0.09999999999999998
    """
    s, t = _pairs(scores, truth, k)
    if not len(s):
        return float("nan")
    k = min(k, len(s))
    bound = np.sort(s)[-k]
    sure = t[s > bound]
    floor = float(sure.max()) if len(sure) else -np.inf
    tied = np.sort(t[s == bound])
    take, total = k - len(sure), comb(len(tied), k - len(sure))
    # The j-th smallest of the tied is the best of those taken in C(j, take - 1) of the subsets.
    shares = np.array([comb(j, take - 1) / total for j in range(len(tied))])
    expected_best = float((shares * np.maximum(tied, floor)).sum() / shares.sum())
    return max(0.0, float(t.max()) - expected_best)


def ndcg(scores: ArrayLike, truth: ArrayLike, k: int | None = None) -> float:
    """Normalised discounted cumulative gain: sum_i truth_i / log2(rank_i + 2), over its optimum.

    Args:
        scores: (n,) predictions, higher is better; pairs with a NaN are left out.
        truth: (n,) gains >= 0, such as accuracies.
        k: ranks from 0 that count; all by default.

    Returns:
        A value in [0, 1]; NaN without a pair, or if every gain is 0.

    Raises:
        UsageError: the shapes differ, k < 1, or a gain is negative.
    """
    s, t = _pairs(scores, truth, 1 if k is None else k)
    if (t < 0).any():
        raise UsageError(f"Expected gains >= 0, but the smallest is {t.min()}: shift them first.")
    best = _gain(t, t, k) if len(s) else 0.0
    return min(1.0, _gain(s, t, k) / best) if best > 0 else float("nan")


def _gain(scores: Array, truth: Array, k: int | None) -> float:
    n = len(scores)
    discount = 1 / np.log2(np.arange(n) + 2.0)
    if k is not None:
        discount[k:] = 0
    levels, where, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    gains = np.bincount(where, weights=truth, minlength=len(levels)) / counts
    ends = np.cumsum(counts)
    reached = np.concatenate([[0.0], np.cumsum(discount)])
    return float((gains * (reached[ends] - reached[ends - counts])).sum())


def _chance_of_top(values: Array, k: int) -> Array:
    """Probability of each value to be among the k highest when ties are broken at random."""
    bound = np.sort(values)[-k]
    above, tied = values > bound, values == bound
    return np.where(above, 1.0, np.where(tied, (k - above.sum()) / tied.sum(), 0.0))


def _pairs(scores: ArrayLike, truth: ArrayLike, k: int) -> tuple[Array, Array]:
    s, t = np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if s.ndim != 1 or s.shape != t.shape:
        raise UsageError(f"Expected two arrays of shape (n,), but got {s.shape} and {t.shape}.")
    if k < 1:
        raise UsageError(f"Expected k >= 1, but got {k}.")
    keep = ~(np.isnan(s) | np.isnan(t))
    return s[keep], t[keep]
