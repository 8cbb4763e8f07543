"""Ranking figures against brute force over all tie orders and scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from foretell.errors import UsageError
from foretell.metrics import ndcg, precision_at_k, top_k_regret

small = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.integers(1, n),
    )
)


def tops(values, k):
    """Every set of k places that some order of the ties puts first."""
    n = len(values)
    orders = (
        p
        for p in itertools.permutations(range(n))
        if all(values[a] >= values[b] for a, b in itertools.pairwise(p))
    )
    return [frozenset(p[:k]) for p in orders]


@given(small)
@settings(max_examples=80, deadline=None)
def test_precision_is_the_mean_over_tie_orders(case):
    scores, truth, k = case
    mean = np.mean([len(a & b) / k for a in tops(scores, k) for b in tops(truth, k)])
    assert precision_at_k(scores, truth, k) == pytest.approx(mean)


@given(small)
@settings(max_examples=80, deadline=None)
def test_regret_is_the_mean_over_tie_orders(case):
    scores, truth, k = case
    mean = np.mean([max(truth) - max(truth[i] for i in a) for a in tops(scores, k)])
    assert top_k_regret(scores, truth, k) == pytest.approx(mean)


@given(small)
@settings(max_examples=80, deadline=None)
def test_ndcg_is_that_of_scikit_learn(case):
    scores, truth, k = case
    if len(scores) < 2 or max(truth) == 0:
        return
    for cut in (k, None):
        expected = ndcg_score([truth], [scores], k=cut)
        assert ndcg(scores, truth, cut) == pytest.approx(expected)


def test_extremes():
    truth = [0.1, 0.4, 0.2, 0.9]
    for k in (1, 2, 4, 10):
        assert precision_at_k(truth, truth, k) == 1.0
        assert top_k_regret(truth, truth, k) == 0.0
        assert ndcg(truth, truth, k) == pytest.approx(1.0)
    worst = [-t for t in truth]
    assert precision_at_k(worst, truth, 2) == 0.0
    assert top_k_regret(worst, truth, 1) == pytest.approx(0.8)
    assert precision_at_k([0, 0, 0, 0], truth, 1) == pytest.approx(0.25)
    assert precision_at_k([np.inf, 1, 2, np.nan], truth, 1) == 0.0


def test_large_ties_do_not_overflow():
    truth = np.linspace(0, 1, 3000)
    assert precision_at_k(np.zeros(3000), truth, 100) == pytest.approx(1 / 30)
    # The expected maximum of a random 100-subset of 0..2999 is 100 * 3001 / 101 - 1.
    expected = 1 - (100 * 3001 / 101 - 1) / 2999
    assert top_k_regret(np.zeros(3000), truth, 100) == pytest.approx(expected)


@pytest.mark.parametrize("function", [precision_at_k, top_k_regret, ndcg])
def test_missing_pairs_and_bad_arguments(function):
    full = function([3.0, 1.0, 2.0], [0.5, 0.1, 0.2], 2)
    assert function([3.0, np.nan, 1.0, 2.0, 9.0], [0.5, 0.3, 0.1, 0.2, np.nan], 2) == full
    assert math.isnan(function([], [], 1))
    assert math.isnan(function([np.nan], [1.0], 1))
    with pytest.raises(UsageError, match="k >= 1"):
        function([1.0], [1.0], 0)
    with pytest.raises(UsageError, match=r"\(n,\)"):
        function([1.0, 2.0], [1.0], 1)


def test_ndcg_needs_gains():
    with pytest.raises(UsageError, match="gains"):
        ndcg([1.0, 2.0], [0.5, -0.5])
    assert math.isnan(ndcg([1.0, 2.0], [0.0, 0.0]))
