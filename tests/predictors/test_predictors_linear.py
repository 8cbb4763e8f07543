"""Least squares and its penalty against scikit-learn and against leaving out one by one."""

import numpy as np
import pytest

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError
from foretell.predictors import Linear
from foretell.predictors.shared.targets import NormalTarget


def table(x):
    return Encodings({"x": EncodingTable(tuple(f"c{i}" for i in range(x.shape[1])), x)})


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((70, 6)) * [1, 10, 0.1, 1, 1, 1]
    y = x[:, 0] - 0.05 * x[:, 1] + 0.4 * rng.standard_normal(70)
    both = table(x)
    return both.take(np.arange(50)), y[:50], both.take(np.arange(50, 70))


@pytest.mark.parametrize("penalty", [0.0, 0.3, 40.0])
def test_it_equals_scikit_learns_ridge(data, penalty):
    linear_model = pytest.importorskip("sklearn.linear_model")
    fit, y, ask = data
    found = Linear(penalty, normal_target=False).fit(fit, y).predict(ask)
    reference = linear_model.Ridge(penalty).fit(fit.scaled(), y)
    np.testing.assert_allclose(found.mean, reference.predict(ask.scaled()), rtol=1e-9)
    assert found.std is None


def test_least_squares_with_more_columns_than_rows_takes_the_smallest_weights():
    rng = np.random.default_rng(1)
    both = table(rng.standard_normal((30, 40)))
    fit, y = both.take(np.arange(12)), rng.standard_normal(12)
    model = Linear(0.0, normal_target=False).fit(fit, y)
    x = fit.scaled()
    expected = np.linalg.pinv(x - x.mean(axis=0)) @ (y - y.mean())
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-9, atol=1e-12)


def test_the_penalty_has_the_least_generalised_cross_validation_error(data):
    """Against the hat matrix, written out."""
    fit, y, _ = data
    model = Linear(normal_target=False).fit(fit, y)
    x, t = fit.scaled() - model.shift_, y - y.mean()

    def error(penalty):
        hat = x @ np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)
        free = len(y) - 1 - np.trace(hat)
        return ((t - hat @ t) ** 2).sum() / free**2

    best = error(model.penalty_)
    assert best < min(error(model.penalty_ * f) for f in (0.2, 0.5, 2.0, 5.0))


@pytest.mark.parametrize("n", [7, 9, 12, 20])
def test_the_penalty_is_the_best_of_its_grid_where_each_degree_of_freedom_counts(n):
    """The mean takes one degree of freedom, and the hat matrix its trace; few rows tell."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, 5))
        y = x @ rng.standard_normal(5) + rng.standard_normal(n)
        fit = table(x)
        model = Linear(normal_target=False).fit(fit, y)
        centred = fit.scaled() - fit.scaled().mean(axis=0)
        t = y - y.mean()
        grid = np.logspace(-6, 2, 49) * np.linalg.norm(centred, 2) ** 2
        errors = []
        for penalty in grid:
            hat = centred @ np.linalg.solve(centred.T @ centred + penalty * np.eye(5), centred.T)
            missed = t - hat @ t
            errors.append(missed @ missed / (n - 1 - np.trace(hat)) ** 2)
        assert model.penalty_ == pytest.approx(grid[np.argmin(errors)], rel=1e-6)


def test_quantiles_of_the_values_are_what_is_fitted_by_default(data):
    fit, y, ask = data
    target = NormalTarget.of(y)
    inner = Linear(normal_target=False).fit(fit, target.transform(y)).predict(ask)
    found = Linear().fit(fit, y).predict(ask)
    np.testing.assert_allclose(found.mean, target.inverse_transform(inner.mean), rtol=1e-9)


@pytest.mark.parametrize("normal_target", [False, True])
def test_predictions_follow_an_affine_change_of_the_values_and_not_the_order_of_rows(
    data, normal_target
):
    fit, y, ask = data
    first = Linear(normal_target=normal_target).fit(fit, y).predict(ask).mean
    moved = Linear(normal_target=normal_target).fit(fit, 3 - 7 * y).predict(ask).mean
    np.testing.assert_allclose(moved, 3 - 7 * first, rtol=1e-6)
    order = np.random.default_rng(2).permutation(len(y))
    again = Linear(normal_target=normal_target).fit(fit.take(order), y[order]).predict(ask).mean
    np.testing.assert_allclose(again, first, rtol=1e-9)


def test_columns_that_do_not_vary_leave_the_mean():
    fit = table(np.ones((8, 3)))
    y = np.arange(8.0)
    np.testing.assert_allclose(Linear(normal_target=False).fit(fit, y).predict(fit).mean, 3.5)


def test_a_negative_penalty_is_refused(data):
    fit, y, _ = data
    with pytest.raises(PredictorError, match="penalty of 0 or more"):
        Linear(-1.0).fit(fit, y)
