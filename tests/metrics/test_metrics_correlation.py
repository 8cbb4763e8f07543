"""Correlations against scipy, brute force and their own laws."""

import itertools
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foretell.errors import UnknownNameError, UsageError
from foretell.metrics import (
    CORRELATIONS,
    bootstrap,
    correlate,
    kendall,
    pearson,
    ranks,
    spearman,
)

REFERENCES = {
    "kendall": lambda x, y: stats.kendalltau(x, y, variant="b").statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
}
FUNCTIONS = {"kendall": kendall, "spearman": spearman, "pearson": pearson}


def reference(kind, x, y) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(REFERENCES[kind](x, y))


def kendall_by_pairs(x, y) -> float:
    """Tau-b from its definition, pair by pair."""
    top = left = right = 0
    for (a, b), (c, d) in itertools.combinations(zip(x, y, strict=True), 2):
        top += int(np.sign(a - c) * np.sign(b - d))
        left += a != c
        right += b != d
    return top / math.sqrt(left * right) if left and right else math.nan


@pytest.mark.parametrize("kind", list(CORRELATIONS))
@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 9, 64, 65, 1000])
@pytest.mark.parametrize("levels", [2, 3, 20, 10**9])
def test_values_are_those_of_scipy(kind, n, levels):
    rng = np.random.default_rng(n + levels)
    for _ in range(4):
        x, y = rng.integers(levels, size=(2, n)).astype(float)
        found = FUNCTIONS[kind](x, y)
        assert found.value == pytest.approx(reference(kind, x, y), abs=1e-12, nan_ok=True)
        assert (found.n, found.dropped) == (n, 0)
        assert float(found) == found.value or math.isnan(found.value)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=40),
)
@settings(max_examples=150, deadline=None)
def test_kendall_counts_pairs(pairs):
    x, y = np.array(pairs, dtype=float).T
    assert kendall(x, y).value == pytest.approx(kendall_by_pairs(x, y), abs=1e-12, nan_ok=True)


numbers = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


@pytest.mark.parametrize("kind", list(CORRELATIONS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_laws(kind, data):
    """Symmetry, sign, order of the pairs, and what does not matter."""
    function = FUNCTIONS[kind]
    n = data.draw(st.integers(3, 30))
    x = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    y = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    order = np.array(data.draw(st.permutations(range(n))))
    value = function(x, y).value
    close = pytest.approx(value, abs=1e-9, nan_ok=True)
    assert math.isnan(value) or -1 <= value <= 1
    assert function(y, x).value == close
    assert function(x[order], y[order]).value == close
    assert -function(-x, y).value == close
    assert function(2 * x + 1, y).value == close
    if kind != "pearson":
        assert function(np.arctan(x / 1e6), y).value == close
    if np.ptp(x) > 1e-3:
        assert function(x, x).value == pytest.approx(1.0)
        assert function(x, -x).value == pytest.approx(-1.0)


def test_extreme_scales_keep_their_correlation():
    x = np.array([1.0, 2.0, 3.0, 5.0])
    for scale in (1e-300, 1e300):
        assert pearson(x * scale, x).value == pytest.approx(1.0)
        assert kendall(x * scale, x).value == 1.0
    assert pearson(1e9 + x, x).value == pytest.approx(1.0)
    assert math.isnan(pearson(np.full(4, 0.1), x).value)
    assert math.isnan(kendall(np.full(4, 0.1), x).value)


@pytest.mark.parametrize("kind", list(CORRELATIONS))
def test_missing_values_are_dropped_and_counted(kind):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50))
    holed, cut = x.copy(), y.copy()
    holed[[3, 7]] = np.nan
    cut[[7, 9, 11]] = np.nan
    keep = ~(np.isnan(holed) | np.isnan(cut))
    found = FUNCTIONS[kind](holed, cut)
    assert (found.n, found.dropped) == (46, 4)
    assert found.value == pytest.approx(reference(kind, x[keep], y[keep]), abs=1e-12)
    nothing = FUNCTIONS[kind](np.full(5, np.nan), np.arange(5))
    assert (nothing.n, nothing.dropped) == (0, 5)
    assert math.isnan(nothing.value)
    assert math.isnan(FUNCTIONS[kind]([], []).value)
    assert math.isnan(FUNCTIONS[kind]([1.0], [2.0]).value)


def test_infinite_values_have_a_rank():
    x = [1.0, 2.0, np.inf, -np.inf]
    assert kendall(x, [2, 3, 4, 1]).value == 1.0
    assert spearman(x, [2, 3, 4, 1]).value == pytest.approx(1.0)
    assert math.isnan(pearson(x, [2, 3, 4, 1]).value)


@pytest.mark.parametrize("kind", list(CORRELATIONS))
def test_the_batch_form_is_the_single_form(kind, monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.integers(9, size=(6, 40)).astype(float), rng.normal(size=40)
    x[2, 5] = x[4, 0] = np.nan
    singles = tuple(FUNCTIONS[kind](row, y) for row in x)
    assert correlate(x, y, kind) == pytest.approx(singles)
    each = np.stack([np.roll(y, i) for i in range(6)])
    assert correlate(x, each, kind) == tuple(
        FUNCTIONS[kind](a, b) for a, b in zip(x, each, strict=True)
    )
    monkeypatch.setattr("foretell.metrics.correlation._CHUNK", 80)
    assert correlate(x, y, kind) == singles
    assert correlate(np.zeros((0, 4)), np.zeros(4), kind) == ()


def test_shapes_and_names_are_checked():
    with pytest.raises(UsageError, match=r"\(n,\)"):
        kendall([1, 2, 3], [1, 2])
    with pytest.raises(UsageError, match=r"\(n,\)"):
        spearman([[1, 2]], [[1, 2]])
    for x, y in (([1, 2], [1, 2]), ([[1, 2]], [1, 2, 3]), ([[1, 2]], [[1, 2], [3, 4]])):
        with pytest.raises(UsageError, match=r"\(k, n\)"):
            correlate(x, y)
    with pytest.raises(UnknownNameError, match="kendall"):
        correlate([[1, 2]], [1, 2], "tau")
    with pytest.raises(UnknownNameError):
        bootstrap([1, 2], [1, 2], np.random.default_rng(0), kind="tau")
    for wrong in ({"samples": 0}, {"level": 0.0}, {"level": 1.0}):
        with pytest.raises(UsageError, match="level"):
            bootstrap([1, 2], [1, 2], np.random.default_rng(0), **wrong)


@pytest.mark.parametrize("kind", list(CORRELATIONS))
def test_the_bootstrap_is_that_of_scipy(kind, monkeypatch):
    rng = np.random.default_rng(2)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    mine = bootstrap(x, y, np.random.default_rng(3), kind=kind, samples=2000, level=0.9)
    theirs = stats.bootstrap(
        (x, y),
        lambda a, b: reference(kind, a, b),
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        confidence_level=0.9,
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert mine.low < mine.value < mine.high
    assert (mine.n, mine.samples, mine.level) == (60, 2000, 0.9)
    again = bootstrap(x, y, np.random.default_rng(3), kind=kind, samples=2000, level=0.9)
    assert mine == again
    monkeypatch.setattr("foretell.metrics.correlation._CHUNK", 600)
    assert bootstrap(x, y, np.random.default_rng(3), kind=kind, samples=2000, level=0.9) == again


def test_the_bootstrap_counts_what_is_defined():
    holed = bootstrap([1, 2, np.nan, 4], [1, 3, 2, 4], np.random.default_rng(0), samples=200)
    assert holed.n == 3
    assert 0 < holed.samples < 200  # some resamples hold one value only
    for nothing in ([], [1.0], [2.0, 2.0]):
        found = bootstrap(nothing, nothing, np.random.default_rng(0), samples=10)
        assert found.samples == 0
        assert math.isnan(found.low)
        assert math.isnan(found.value)


def test_ranks_are_those_of_scipy():
    rng = np.random.default_rng(5)
    x = rng.integers(5, size=(3, 4, 30)).astype(float)
    assert np.array_equal(ranks(x), stats.rankdata(x, axis=-1) - 1)
    assert ranks([]).shape == (0,)


def test_metrics_load_neither_torch_nor_scipy():
    code = (
        "import sys, foretell.metrics; "
        "print([m for m in ('torch', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
