"""Natural-gradient boosting against numerical Fisher matrices and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import MissingExtraError, PredictorError
from foretell.predictors.ngboost import NGBoost, _line_search, natural_gradient

pytest.importorskip("sklearn")


def table(x):
    return Encodings({"x": EncodingTable(tuple(f"c{i}" for i in range(x.shape[1])), x)})


def minus_log_density(y, mean, log_std):
    return 0.5 * np.log(2 * np.pi) + log_std + 0.5 * ((y - mean) / np.exp(log_std)) ** 2


def slope(y, mean, log_std, step=1e-5):
    """Central differences of the negative log density by both parameters."""
    by_mean = minus_log_density(y, mean + step, log_std) - minus_log_density(
        y, mean - step, log_std
    )
    by_log = minus_log_density(y, mean, log_std + step) - minus_log_density(y, mean, log_std - step)
    return np.stack([by_mean, by_log]) / (2 * step)


@given(st.floats(-3, 3), st.floats(-2, 2), st.floats(-1.5, 1.5))
def test_natural_gradient_is_the_slope_by_the_inverse_fisher_matrix(y, mean, log_std):
    """The Fisher matrix, the mean of slope slope', by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    slopes = slope(mean + np.exp(log_std) * nodes, mean, log_std)
    fisher = (slopes * weights) @ slopes.T / weights.sum()
    expected = np.linalg.solve(fisher, slope(y, mean, log_std))
    found = natural_gradient(np.array([y]), np.array([[mean, log_std]]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_two_groups_get_their_own_mean_and_standard_deviation():
    rng = np.random.default_rng(0)
    group = np.repeat([0.0, 1.0], 40)
    y = np.where(group == 0, 2 + 0.1 * rng.standard_normal(80), 5 + rng.standard_normal(80))
    model = NGBoost(300, depth=1, rows=1.0, columns=1.0, folds=0, normal_target=False)
    found = model.fit(table(group[:, None]), y).predict(table(np.array([[0.0], [1.0]])))
    parts = [y[group == g] for g in (0, 1)]
    np.testing.assert_allclose(found.mean, [p.mean() for p in parts], rtol=1e-3)
    np.testing.assert_allclose(found.std, [p.std() for p in parts], rtol=1e-3)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_line_search_ends_where_a_step_twice_as_long_is_no_better(scale):
    rng = np.random.default_rng(1)
    y, normal = rng.standard_normal(50), np.zeros((50, 2))
    direction = natural_gradient(y, normal) / scale

    def loss(length):
        mean, log_std = (normal - length * direction).T
        return minus_log_density(y, mean, log_std).mean()

    length = _line_search(y, normal, direction)
    assert loss(length) < loss(0.0)
    assert loss(2 * length) >= loss(length) or length == 256


def test_more_rounds_raise_the_likelihood_of_what_was_learned(cells):
    encodings, y = cells
    fit, y = encodings.take(np.arange(80)), y[:80]
    losses = []
    for trees in (1, 10, 60):
        found = NGBoost(trees, folds=0, normal_target=False).fit(fit, y).predict(fit)
        losses.append(minus_log_density(y, found.mean, np.log(found.std)).mean())
    assert losses[0] > losses[1] > losses[2]


def test_where_values_scatter_it_is_less_sure():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (300, 1))
    y = np.where(x[:, 0] < 0, 0.05, 1.0) * rng.standard_normal(300)
    model = NGBoost(40, depth=2, min_samples_leaf=20, normal_target=False).fit(table(x), y)
    low, high = model.predict(table(np.array([[-0.5], [0.5]]))).std
    assert high > 3 * low


def test_folds_widen_the_standard_deviation_to_what_is_held_out(cells):
    """Of other architectures, about two thirds lie within one standard deviation."""
    encodings, y = cells
    fit, ask = encodings.take(np.arange(150)), encodings.take(np.arange(150, 400))

    def inside(model):
        found = model.fit(fit, y[:150]).predict(ask)
        return (np.abs(y[150:] - found.mean) < found.std).mean()

    assert inside(NGBoost(folds=0)) < 0.35
    model = NGBoost()
    assert 0.5 < inside(model) < 0.9
    out = model.held_out()
    assert 0.6 < np.corrcoef(out.mean, y[:150])[0, 1] < 0.999
    assert NGBoost(5, folds=0).fit(fit, y[:150]).held_out() is None


@pytest.mark.parametrize("normal_target", [False, True])
def test_predictions_follow_a_change_of_unit_of_the_values(cells, normal_target):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(60)), encodings.take(np.arange(60, 120))
    # a power of two: rounding stays the same, so that no split flips
    first = NGBoost(20, normal_target=normal_target).fit(fit, y[:60]).predict(ask)
    moved = NGBoost(20, normal_target=normal_target).fit(fit, 4 * y[:60]).predict(ask)
    np.testing.assert_allclose(moved.mean, 4 * first.mean, rtol=1e-9)
    np.testing.assert_allclose(moved.std, 4 * first.std, rtol=1e-6)


def test_the_seed_decides_and_the_order_of_rows_hardly_does(cells):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(100)), encodings.take(np.arange(100, 400))
    first = NGBoost(60, seed=1).fit(fit, y[:100]).predict(ask).mean
    np.testing.assert_array_equal(first, NGBoost(60, seed=1).fit(fit, y[:100]).predict(ask).mean)
    assert not np.array_equal(first, NGBoost(60, seed=2).fit(fit, y[:100]).predict(ask).mean)
    order = np.random.default_rng(0).permutation(100)
    other = NGBoost(60, seed=1).fit(fit.take(order), y[order]).predict(ask).mean
    assert np.corrcoef(first, other)[0, 1] > 0.97


@pytest.mark.parametrize("options", [{"rows": 0.0}, {"rows": 1.5}, {"columns": 0.0}])
def test_shares_out_of_range_are_refused(cells, options):
    encodings, y = cells
    with pytest.raises(PredictorError, match="shares of rows and columns"):
        NGBoost(**options).fit(encodings, y)


def test_without_scikit_learn_it_says_what_to_install(cells, monkeypatch):
    encodings, y = cells
    monkeypatch.setitem(__import__("sys").modules, "sklearn.tree", None)
    with pytest.raises(MissingExtraError, match=r"foretell\[trees\]"):
        NGBoost().fit(encodings, y)
