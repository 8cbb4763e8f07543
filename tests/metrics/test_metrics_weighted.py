"""Weighted and sparse Kendall against scipy, the definition pair by pair, and laws."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foretell.errors import UsageError
from foretell.metrics import hyperbolic, kendall, sparse_kendall, weighted_kendall

SCIPY = {"mean": True, "first": None, "index": False}


def by_pairs(x, y, ranks, weigher, additive) -> float:
    """The definition, pair by pair."""
    w = [float(weigher(np.array([r]))[0]) for r in ranks]
    top = left = right = 0.0
    for i, j in itertools.combinations(range(len(x)), 2):
        weight = w[i] + w[j] if additive else w[i] * w[j]
        top += np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) * weight
        left += weight * (x[i] != x[j])
        right += weight * (y[i] != y[j])
    return top / math.sqrt(left * right) if left and right else math.nan


@pytest.mark.parametrize("additive", [True, False])
@pytest.mark.parametrize("rank", list(SCIPY))
@pytest.mark.parametrize("n", [2, 3, 5, 64, 65, 700])
@pytest.mark.parametrize("levels", [2, 5, 10**9])
def test_values_are_those_of_scipy(rank, additive, n, levels):
    rng = np.random.default_rng(n + levels)
    for _ in range(4):
        x, y = rng.integers(levels, size=(2, n)).astype(float)
        mine = weighted_kendall(x, y, rank=rank, additive=additive)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = stats.weightedtau(x, y, rank=SCIPY[rank], additive=additive).statistic
        assert mine.value == pytest.approx(theirs, abs=1e-12, nan_ok=True)
        assert (mine.n, mine.dropped) == (n, 0)


@pytest.mark.parametrize("additive", [True, False])
def test_own_ranks_and_weigher_are_those_of_scipy(additive):
    rng = np.random.default_rng(1)
    x, y = rng.integers(6, size=(2, 80)).astype(float)
    ranks = rng.permutation(80)
    mine = weighted_kendall(x, y, rank=ranks, weigher=lambda r: 0.9**r, additive=additive)
    theirs = stats.weightedtau(x, y, rank=ranks, weigher=lambda r: 0.9**r, additive=additive)
    assert mine.value == pytest.approx(theirs.statistic, abs=1e-12)


@given(st.data(), st.booleans())
@settings(max_examples=100)
def test_it_is_its_definition(data, additive):
    n = data.draw(st.integers(2, 15))
    level = st.integers(-3, 3)
    x = np.array(data.draw(st.lists(level, min_size=n, max_size=n)), dtype=float)
    y = np.array(data.draw(st.lists(level, min_size=n, max_size=n)), dtype=float)
    ranks = np.array(data.draw(st.permutations(range(n))))
    mine = weighted_kendall(x, y, rank=ranks, additive=additive).value
    theirs = by_pairs(x, y, ranks, hyperbolic, additive)
    assert mine == pytest.approx(theirs, abs=1e-9, nan_ok=True)
    # rising functions of the values change nothing, equal weights give tau-b
    again = weighted_kendall(3 * x + 1, y**3, rank=ranks, additive=additive).value
    assert again == pytest.approx(mine, abs=1e-12, nan_ok=True)
    even = weighted_kendall(x, y, rank=ranks, weigher=np.ones_like, additive=additive).value
    assert even == pytest.approx(kendall(x, y).value, abs=1e-9, nan_ok=True)


def test_a_missing_value_is_dropped_and_counted():
    x, y = [1, 2, np.nan, 4, 5], [2, 1, 3, np.nan, 5]
    kept = ([1, 2, 5], [2, 1, 5])
    for rank in SCIPY:
        found = weighted_kendall(x, y, rank=rank)
        assert (found.n, found.dropped) == (3, 2)
        assert found.value == weighted_kendall(*kept, rank=rank).value
    own = weighted_kendall(x, y, rank=[4, 3, 2, 1, 0])
    assert own.value == weighted_kendall(*kept, rank=[4, 3, 0]).value
    assert math.isnan(weighted_kendall([1, np.nan], [1, 2]).value)
    assert math.isnan(weighted_kendall([], []).value)
    assert math.isnan(weighted_kendall([1, 1, 1], [1, 2, 3]).value)
    assert math.isnan(weighted_kendall([1, 2, 3], [1, 2, 3], weigher=np.zeros_like).value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": "top"}, "'mean', 'first', 'index'"),
        ({"rank": [0, 1]}, "one shape"),
        ({"rank": [0, 0.5, 1]}, "whole ranks"),
        ({"rank": [0, -1, 1]}, "whole ranks"),
        ({"weigher": lambda r: -1.0 - r}, "finite weights"),
        ({"weigher": lambda r: np.ones(2)}, "3 finite weights"),
    ],
)
def test_bad_options_are_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        weighted_kendall([1, 2, 3], [1, 2, 3], **changes)


@pytest.mark.parametrize("decimals", [-1, 0, 1, 2])
def test_sparse_kendall_rounds_the_predictions(decimals):
    rng = np.random.default_rng(2)
    truth = rng.normal(90, 3, size=300)
    predicted = truth + rng.normal(0, 1, size=300)
    predicted[7] = np.nan
    keep = ~np.isnan(predicted)
    rounded = np.array([round(v, decimals) for v in predicted[keep]])
    found = sparse_kendall(predicted, truth, decimals)
    assert found.value == pytest.approx(stats.kendalltau(rounded, truth[keep]).statistic)
    assert (found.n, found.dropped) == (299, 1)
    both = sparse_kendall(predicted, truth, decimals, round_truth=True).value
    theirs = stats.kendalltau(rounded, [round(v, decimals) for v in truth[keep]]).statistic
    assert both == pytest.approx(theirs)


def test_shapes_are_checked():
    with pytest.raises(UsageError, match=r"\(n,\)"):
        sparse_kendall([1, 2], [1])
    with pytest.raises(UsageError, match="one shape"):
        weighted_kendall([1, 2], [1])
