"""The exact posterior against scikit-learn's with a fixed kernel, at once and one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from foretell.gaussian.kernels import matern52, squared_distances
from foretell.gaussian.pool import NOISE_VAR, PoolProcess
from foretell.gaussian.posterior import PoolPosterior, Posterior, negative_log_evidence


def kernel(a, b, scale=0.8, variance=1.7):
    return variance * matern52(np.sqrt(squared_distances(a, b)), scale)


def made(seed, n=25, m=40):
    rng = np.random.default_rng(seed)
    x, new = rng.uniform(-1, 1, (n, 3)), rng.uniform(-1, 1, (m, 3))
    return x, np.sin(3 * x[:, 0]) + x[:, 1], new


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("noise_var", [1e-6, 0.01, 2.0])
@pytest.mark.parametrize("n", [1, 2, 25, 120])
def test_mean_variance_and_evidence_are_those_of_scikit_learn(n, noise_var, invert):
    x, y, new = made(n, n)
    fixed = ConstantKernel(1.7) * Matern(0.8, nu=2.5)
    theirs = GaussianProcessRegressor(fixed, alpha=noise_var, optimizer=None).fit(x, y)
    ours = Posterior.fit(kernel(x, x), y, noise_var, invert=invert)
    mean, variance = ours.predict(kernel(new, x), 1.7)
    expected_mean, expected_std = theirs.predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(variance, expected_std**2, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.cholesky, theirs.L_, rtol=1e-8, atol=1e-10)
    loss = negative_log_evidence(kernel(x, x), y, noise_var) + n / 2 * np.log(2 * np.pi)
    assert loss == pytest.approx(-theirs.log_marginal_likelihood_value_, rel=1e-9)


@pytest.mark.parametrize("invert", [False, True])
def test_solve_is_the_inverse_and_gives_the_gradient_of_the_variance(invert):
    x, y, new = made(3)
    posterior = Posterior.fit(kernel(x, x), y, 0.1, invert=invert)
    k_star = kernel(new[:1], x)[0]
    inverse = np.linalg.inv(kernel(x, x) + 0.1 * np.eye(len(x)))
    np.testing.assert_allclose(posterior.solve(k_star), inverse @ k_star, rtol=1e-9)
    _, variance = posterior.predict(k_star[None], 1.7)
    assert variance[0] == pytest.approx(1.7 - k_star @ inverse @ k_star)


def test_each_member_may_have_a_prior_variance_of_its_own():
    x, y, new = made(4)
    posterior = Posterior.fit(kernel(x, x), y, 0.1)
    k_star = kernel(new, x)
    prior = np.linspace(1.7, 3, len(new))
    difference = posterior.predict(k_star, prior)[1] - posterior.predict(k_star, 1.7)[1]
    np.testing.assert_allclose(difference, prior - 1.7, atol=1e-12)


def test_a_variance_is_never_negative_and_a_bad_covariance_is_refused():
    x, y, _ = made(5)
    posterior = Posterior.fit(kernel(x, x), y, 1e-12)
    assert (posterior.predict(kernel(x, x), 1.7)[1] >= 0).all()
    with pytest.raises(np.linalg.LinAlgError):
        Posterior.fit(-np.eye(3), np.zeros(3), 0.1)
    assert negative_log_evidence(-np.eye(3), np.zeros(3), 0.1) == np.inf


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_one_by_one_equals_all_at_once(seed, count):
    """The order of observations does not matter, and a member may be observed twice."""
    x, _, _ = made(seed, n=30)
    k = kernel(x, x)
    members = np.random.default_rng(seed).integers(30, size=count).tolist()
    grown = PoolPosterior(np.full(30, 1.7), 0.2)
    assert grown.variance == pytest.approx(np.full(30, 1.7))
    for member in members:
        grown.observe(member, k[member])
    assert grown.observed == members
    inner = k[np.ix_(members, members)]
    _, expected = Posterior.fit(inner, np.zeros(count), 0.2).predict(k[:, members], 1.7)
    np.testing.assert_allclose(grown.variance, expected, rtol=1e-9, atol=1e-12)


def test_a_pool_is_that_of_scikit_learn_whatever_was_asked_before():
    rng = np.random.default_rng(0)
    z, p = rng.standard_normal((60, 4)), 4
    process = PoolProcess(z)
    summed = ConstantKernel(0.3 / p) * DotProduct(sigma_0=1e-9) + Matern(np.sqrt(p), nu=2.5)
    for members in ([], [3], [3, 7, 50], [7, 50, 9], list(range(20)), [59]):
        values = rng.standard_normal(len(members))
        theirs = GaussianProcessRegressor(
            ConstantKernel(1.0) + summed, alpha=NOISE_VAR, optimizer=None
        )
        if members:
            theirs.fit(z[members], values)
        mean, std = theirs.predict(z, return_std=True)
        np.testing.assert_allclose(process.mean(members, values), mean, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(process.std(members), std, rtol=1e-8)
