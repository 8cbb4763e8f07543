"""R2, RMSE, MAE and calibration against scikit-learn, scipy and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn

from foretell.errors import UsageError
from foretell.metrics import (
    bootstrap_of,
    calibration_error,
    coverage,
    mae,
    ndcg,
    normal_interval,
    r2,
    rmse,
    sharpness,
    spearman,
)

REFERENCES = {
    r2: sklearn.r2_score,
    rmse: sklearn.root_mean_squared_error,
    mae: sklearn.mean_absolute_error,
}
errors = pytest.mark.parametrize("function", list(REFERENCES), ids=lambda f: f.__name__)
numbers = st.floats(-1e3, 1e3).map(lambda v: round(v, 3))


@errors
@given(data=st.data())
@settings(max_examples=60)
def test_values_are_those_of_scikit_learn(function, data):
    n = data.draw(st.integers(2, 30))
    p = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    t = np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))
    found = function(p, t)
    assert (found.n, found.dropped) == (n, 0)
    if function is r2 and (t == t[0]).all():
        assert math.isnan(found.value)
    else:
        assert found.value == pytest.approx(REFERENCES[function](t, p), rel=1e-6, abs=1e-9)


@errors
def test_missing_values_are_dropped_and_counted(function):
    found = function([1, np.nan, 3, 5], [1, 2, np.nan, 6])
    assert (found.n, found.dropped) == (2, 2)
    assert found.value == function([1, 5], [1, 6]).value == float(found)
    nothing = function([np.nan], [1.0])
    assert math.isnan(nothing.value)
    assert (nothing.n, nothing.dropped) == (0, 1)
    with pytest.raises(UsageError, match="one shape"):
        function([1, 2], [1, 2, 3])
    with pytest.raises(UsageError, match="one shape"):
        function([[1, 2]], [[1, 2]])


def test_infinite_predictions_are_no_number_by_magic():
    assert rmse([np.inf, 1], [1, 1]).value == math.inf
    assert r2([np.inf, 1], [1, 2]).value == -math.inf


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9, 0.95, 0.999])
def test_normal_intervals_are_those_of_scipy(level):
    mean, std = np.array([0.0, 3.0, -1.0]), np.array([1.0, 0.0, 2.5])
    low, high = normal_interval(mean, std, level)
    a, b = stats.norm.interval(level, loc=mean[[0, 2]], scale=std[[0, 2]])
    assert low[[0, 2]] == pytest.approx(a)
    assert high[[0, 2]] == pytest.approx(b)
    assert low[1] == high[1] == 3.0


def test_calibrated_predictions_cover_what_they_promise():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=20_000), rng.uniform(0.5, 2, size=20_000)
    truth = mean + std * rng.normal(size=20_000)
    for level in (0.5, 0.9):
        low, high = normal_interval(mean, std, level)
        assert coverage(low, high, truth).value == pytest.approx(level, abs=0.012)
        width = 2 * stats.norm.ppf((1 + level) / 2) * std.mean()
        assert sharpness(low, high).value == pytest.approx(width)
    assert calibration_error(mean, std, truth).value < 0.012
    # half the deviation: a level p covers P(|Z| <= z_p / 2)
    levels = np.array([0.25, 0.5, 0.75])
    true = 2 * stats.norm.cdf(stats.norm.ppf((1 + levels) / 2) / 2) - 1
    bold = calibration_error(mean, std / 2, truth, levels).value
    assert bold == pytest.approx(np.abs(true - levels).mean(), abs=0.012)


def test_intervals_count_what_is_missing():
    low, high = normal_interval([0.0, 0.0, 1.0], [1.0, np.nan, 1.0])
    found = coverage(low, high, [0.0, 0.0, np.nan])
    assert (found.value, found.n, found.dropped) == (1.0, 1, 2)
    assert sharpness(low, high).dropped == 1
    assert math.isnan(coverage([], [], []).value)
    assert math.isnan(sharpness([np.nan], [1.0]).value)
    assert calibration_error([0.0, 1.0], [1.0, np.nan], [0.0, 0.0]).dropped == 1
    assert coverage([0, 1], [1, np.inf], [1, 5]).value == 1.0


def test_what_is_no_interval_is_refused():
    for call in (lambda: coverage([1.0], [0.0], [0.5]), lambda: sharpness([1.0], [0.0])):
        with pytest.raises(UsageError, match="have low > high"):
            call()
    with pytest.raises(UsageError, match="deviations >= 0"):
        normal_interval([0.0], [-1.0])
    for level in (0.0, 1.0, -1.0):
        with pytest.raises(UsageError, match="level"):
            normal_interval([0.0], [1.0], level)
    with pytest.raises(UsageError, match="one shape"):
        normal_interval([0.0], [1.0, 2.0])
    with pytest.raises(UsageError, match="level"):
        calibration_error([0.0], [1.0], [0.0], levels=[])


def test_bootstrap_of_any_figure_is_that_of_scipy():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=80)
    predicted = truth + rng.normal(size=80)
    mine = bootstrap_of(rmse, (predicted, truth), np.random.default_rng(1), samples=1500, level=0.9)
    theirs = stats.bootstrap(
        (predicted, truth),
        lambda p, t: sklearn.root_mean_squared_error(t, p),
        paired=True,
        vectorized=False,
        n_resamples=1500,
        method="percentile",
        confidence_level=0.9,
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    assert mine.value == rmse(predicted, truth).value
    assert (mine.n, mine.samples, mine.level) == (80, 1500, 0.9)
    again = bootstrap_of(
        rmse, (predicted, truth), np.random.default_rng(1), samples=1500, level=0.9
    )
    assert mine == again


def test_bootstrap_of_differences_and_rankings():
    rng = np.random.default_rng(5)
    truth = rng.uniform(size=100)
    one, two = truth + rng.normal(size=(2, 100)) / 3

    def difference(a, b, t):
        return spearman(a, t).value - spearman(b, t).value

    same = bootstrap_of(difference, (one, one, truth), np.random.default_rng(0), samples=50)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    found = bootstrap_of(difference, (one, two, truth), np.random.default_rng(0), samples=200)
    assert found.low < found.value < found.high
    gain = bootstrap_of(ndcg, (one, truth), np.random.default_rng(0), samples=50)
    assert gain.low <= gain.value <= gain.high <= 1


def test_bootstrap_of_counts_and_refuses():
    rng = np.random.default_rng(0)
    holed = bootstrap_of(r2, ([1, 2, np.nan], [1, 3, 2]), rng, samples=100)
    assert holed.n == 2
    assert 0 < holed.samples < 100  # some resamples hold one value only
    empty = bootstrap_of(rmse, ([np.nan], [1]), rng, samples=10)
    assert empty.samples == empty.n == 0
    assert math.isnan(empty.value)
    for wrong in ({"samples": 0}, {"level": 1.0}):
        with pytest.raises(UsageError, match="level"):
            bootstrap_of(rmse, ([1], [1]), rng, **wrong)
    with pytest.raises(UsageError, match="columns"):
        bootstrap_of(rmse, (), rng)
