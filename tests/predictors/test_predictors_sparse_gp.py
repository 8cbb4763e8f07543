"""Sparse Gaussian processes against dense formulas, numerical gradients and the exact process."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal

from foretell.encodings import Encodings, EncodingTable
from foretell.gaussian.kernels import matern52
from foretell.gaussian.posterior import Posterior
from foretell.predictors import (
    GaussianProcess,
    SparseGaussianProcess,
    VariationalGaussianProcess,
)
from foretell.predictors.gp.evidence import exact_loss
from foretell.predictors.gp.groups import covariance, groups, noise_variance
from foretell.predictors.gp.sparse import inducing_rows, sparse_loss

BOTH = [SparseGaussianProcess, VariationalGaussianProcess]
THETA = np.array([-0.5, 0.3, -1.0, 0.6, -1.5])


def make_inputs(n, seed=0):
    """A description of three columns and an identity of four genes."""
    rng = np.random.default_rng(seed)
    x, genes = rng.standard_normal((n, 3)), rng.integers(0, 3, (n, 4))
    encodings = Encodings(
        {"x": EncodingTable(("a", "b", "c"), x), "g": EncodingTable(tuple("defg"), genes)},
        frozenset({"g"}),
    )
    return encodings, np.sin(2 * x[:, 0]) + x[:, 1] + 0.5 * (genes[:, 0] == 1)


@pytest.fixture
def problem():
    """Distances of each group among 40 labelled architectures, their values, and ten of them."""
    encodings, y = make_inputs(40)
    distances = [g.distances(encodings) for g in groups(encodings)]
    y = y + 0.2 * np.random.default_rng(1).standard_normal(40)
    return distances, (y - y.mean()) / y.std(), np.arange(0, 40, 4)


def dense(distances, theta, rows):
    """Covariance of all, and of all through some."""
    full = sum(
        np.exp(theta[2 * i]) * matern52(d, np.exp(theta[2 * i + 1]))
        for i, d in enumerate(distances)
    )
    cross = full[rows]
    return full, cross.T @ np.linalg.solve(full[np.ix_(rows, rows)], cross)


def parts(distances, rows):
    return [d[rows] for d in distances], [d[np.ix_(rows, rows)] for d in distances]


def test_exact_evidence_is_that_of_a_normal_and_its_gradient_is_right(problem):
    distances, t, _ = problem
    loss = exact_loss(distances, t)
    full, _ = dense(distances, THETA, np.arange(40))
    normal = multivariate_normal(np.zeros(40), full + (np.exp(THETA[-1]) + 1e-8) * np.eye(40))
    constant = 20 * np.log(2 * np.pi)
    assert loss(THETA)[0] == pytest.approx(-normal.logpdf(t) - constant, abs=1e-8)
    numeric = approx_fprime(THETA, lambda a: loss(a)[0], 1e-6)
    np.testing.assert_allclose(loss(THETA)[1], numeric, rtol=1e-4, atol=1e-4)


def test_exact_evidence_with_a_fixed_kernel(problem):
    distances, t, _ = problem
    rng = np.random.default_rng(3)
    counts = rng.random((40, 6))
    fixed = [counts @ counts.T]
    theta = np.array([-0.5, 0.3, -1.0, 0.6, -0.7, -1.5])
    loss = exact_loss(distances, t, fixed)
    full, _ = dense(distances, theta, np.arange(40))
    full = full + np.exp(-0.7) * fixed[0] + (np.exp(-1.5) + 1e-8) * np.eye(40)
    np.testing.assert_allclose(
        covariance(distances, theta, fixed), full - (np.exp(-1.5) + 1e-8) * np.eye(40)
    )
    expected = -multivariate_normal(np.zeros(40), full).logpdf(t) - 20 * np.log(2 * np.pi)
    assert loss(theta)[0] == pytest.approx(expected, abs=1e-8)
    numeric = approx_fprime(theta, lambda a: loss(a)[0], 1e-6)
    np.testing.assert_allclose(loss(theta)[1], numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [1.0, 0.0, 0.5])
def test_sparse_evidence_equals_the_dense_formula(problem, share):
    distances, t, rows = problem
    value, _ = sparse_loss(*parts(distances, rows), t, share)(THETA)
    full, through = dense(distances, THETA, rows)
    noise, left = np.exp(THETA[-1]) + 1e-8, np.diag(full - through)
    normal = multivariate_normal(np.zeros(40), through + np.diag(noise + share * left))
    expected = -normal.logpdf(t) - 20 * np.log(2 * np.pi) + (1 - share) * left.sum() / (2 * noise)
    assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.0, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_sparse_gradient_is_the_numerical_one(problem, share, seed):
    distances, t, rows = problem
    loss = sparse_loss(*parts(distances, rows), t, share)
    theta = THETA + np.random.default_rng(seed).uniform(-0.7, 0.7, 5)
    numeric = approx_fprime(theta, lambda a: loss(a)[0], 1e-6)
    np.testing.assert_allclose(loss(theta)[1], numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_with_all_architectures_the_evidence_is_the_exact_one(problem, share):
    distances, t, _ = problem
    value, slope = sparse_loss(distances, distances, t, share)(THETA)
    expected, steep = exact_loss(distances, t)(THETA)
    assert value == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(slope, steep, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1.5, 1.0), min_size=5, max_size=5), st.integers(1, 20))
def test_the_variational_bound_is_below_the_exact_evidence(theta, count):
    encodings, y = make_inputs(30, seed=count)
    distances = [g.distances(encodings) for g in groups(encodings)]
    t = (y - y.mean()) / y.std()
    bound, _ = sparse_loss(*parts(distances, np.arange(count)), t, 0.0)(np.array(theta))
    exact, _ = exact_loss(distances, t)(np.array(theta))
    assert bound >= exact - 1e-6


@pytest.mark.parametrize("make", BOTH)
def test_with_all_architectures_predictions_are_the_exact_ones(make):
    """At the parameters it found; and those are the ones that the exact process finds."""
    encodings, y = make_inputs(80)
    fit, ask = encodings.take(np.arange(60)), encodings.take(np.arange(60, 80))
    exact = GaussianProcess().fit(fit, y[:60])
    model = make(60).fit(fit, y[:60])
    assert len(model.rows_) == 60
    loss = exact_loss([g.distances(fit) for g in exact.groups_], model.target_.transform(y[:60]))
    assert loss(model.theta_)[0] == pytest.approx(loss(exact.theta_)[0], abs=0.05)
    exact.theta_ = model.theta_
    square = covariance([g.distances(fit) for g in exact.groups_], model.theta_)
    exact.posterior_ = Posterior.fit(
        square, model.target_.transform(y[:60]), noise_variance(model.theta_)
    )
    found, expected = model.predict(ask), exact.predict(ask)
    np.testing.assert_allclose(found.mean, expected.mean, atol=1e-6)
    np.testing.assert_allclose(found.std, expected.std, atol=1e-6)


@pytest.mark.parametrize("make", BOTH)
def test_predictions_equal_the_dense_formula(make):
    encodings, y = make_inputs(70)
    fit, ask = encodings.take(np.arange(50)), encodings.take(np.arange(50, 70))
    model = make(12, normal_target=False).fit(fit, y[:50])
    whole = [g.distances(encodings) for g in groups(fit)]
    labelled = covariance([d[:50] for d in whole], model.theta_)
    new = covariance([d[50:] for d in whole], model.theta_)
    rows = model.rows_
    inner = np.linalg.inv(labelled[np.ix_(rows, rows)] + 1e-9 * np.eye(len(rows)))
    through = labelled[:, rows] @ inner @ labelled[rows]
    cross = new[:, rows] @ inner @ labelled[rows]
    noise = np.exp(model.theta_[-1]) + 1e-8
    square = through + noise * np.eye(50)
    if make is SparseGaussianProcess:
        square += np.diag(np.diag(labelled - through))
    t = (y[:50] - y[:50].mean()) / y[:50].std()
    mean = cross @ np.linalg.solve(square, t)
    variance = np.exp(model.theta_[0]) + np.exp(model.theta_[2])
    variance = variance - np.sum(cross * np.linalg.solve(square, cross.T).T, axis=1) + noise
    found = model.predict(ask)
    np.testing.assert_allclose(found.mean, y[:50].mean() + y[:50].std() * mean, atol=1e-6)
    np.testing.assert_allclose(found.std, y[:50].std() * np.sqrt(variance), atol=1e-6)


def test_inducing_architectures_are_those_that_the_others_leave_open():
    encodings, _ = make_inputs(30)
    every = groups(encodings)
    full = covariance([g.distances(encodings) for g in every], THETA)
    order = inducing_rows(every, THETA, 1).tolist()
    while len(order) < 8:
        known = full[:, order] @ np.linalg.solve(full[np.ix_(order, order)], full[order])
        order.append(int(np.argmax(np.diag(full - known))))
        assert inducing_rows(every, THETA, len(order)).tolist() == sorted(order)


def test_an_architecture_that_stands_twice_is_chosen_once():
    encodings, y = make_inputs(10)
    twice = encodings.take(np.concatenate([np.arange(10), np.arange(10)]))
    rows = inducing_rows(groups(twice), THETA, 20)
    assert len(rows) == len(set((rows % 10).tolist())) == 10
    model = VariationalGaussianProcess().fit(twice, np.concatenate([y, y]))
    assert len(model.rows_) <= 10


@pytest.mark.parametrize("make", BOTH)
def test_more_inducing_architectures_predict_better(cells, make):
    encodings, y = cells
    fit, ask = encodings.take(np.arange(250)), encodings.take(np.arange(250, 400))
    missed = [
        np.abs(make(count).fit(fit, y[:250]).predict(ask).mean - y[250:]).mean()
        for count in (5, 40, 160)
    ]
    assert missed[0] > missed[1] > missed[2]


@pytest.mark.parametrize("make", BOTH)
def test_the_unit_of_the_values_and_the_order_of_rows_do_not_matter(make):
    encodings, y = make_inputs(90)
    fit, ask = encodings.take(np.arange(60)), encodings.take(np.arange(60, 90))
    first = make(25).fit(fit, y[:60]).predict(ask)
    moved = make(25).fit(fit, 3 + 7 * y[:60]).predict(ask)
    np.testing.assert_allclose(moved.mean, 3 + 7 * first.mean, atol=1e-5)
    np.testing.assert_allclose(moved.std, 7 * first.std, rtol=1e-4)
    order = np.random.default_rng(5).permutation(60)
    again = make(25).fit(fit.take(order), y[order]).predict(ask)
    np.testing.assert_allclose(again.mean, first.mean, atol=2e-3)


def test_a_search_may_start_from_an_earlier_one():
    encodings, y = make_inputs(60)
    first = SparseGaussianProcess(20).fit(encodings, y)
    again = SparseGaussianProcess(20, start=first.theta_).fit(encodings, y)
    np.testing.assert_allclose(again.theta_, first.theta_, atol=0.3)
    exact = GaussianProcess().fit(encodings, y)
    near = GaussianProcess(start=exact.theta_).fit(encodings, y)
    np.testing.assert_allclose(
        near.predict(encodings).mean, exact.predict(encodings).mean, atol=0.02
    )
