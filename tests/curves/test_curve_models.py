"""LCE and the Gaussian process on curves against independent references."""

import numpy as np
import pytest
from scipy import integrate, stats

from foretell.curves import FAMILIES, LCE, LCEM, CurveGaussianProcess, Curves
from foretell.curves.extrapolation import NOISE, extrapolate, truncated_t
from foretell.curves.gp import _final, _Group, _means, decay_kernel
from foretell.errors import CurveError, UnknownNameError


def accuracy(values):
    values = np.atleast_2d(values)
    return Curves({"val_accuracy": values}, np.arange(1, values.shape[1] + 1))


# --- parametric families -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_families_rise_with_positive_coefficients(name):
    family, t = FAMILIES[name], np.arange(1.0, 101)
    bases = family.bases(t, 200.0)
    assert np.isfinite(bases).all()
    curve = bases @ np.array([0.9, 0.5])
    assert (np.diff(curve, axis=1) >= -1e-12).all()
    assert (bases[:, :, 0] == (1.0 if family.level else 0.0)).all()
    shapes = np.unique(bases[:, :, 1].round(12), axis=0)
    assert len(shapes) == len(bases)


@pytest.mark.parametrize(("low", "high", "freedom"), [(0, 1, 5), (0.4, 1, 6.5), (-3, 0.2, 54)])
def test_a_truncated_t_by_numerical_integration(low, high, freedom):
    centre, width = np.array([[0.3, 0.9]]), np.array([0.2, 0.3])
    mass, mean, second = truncated_t(centre, width, freedom, np.array([[float(low)]]), high)
    for j in range(2):
        density = stats.t(freedom, centre[0, j], width[j]).pdf
        ends = (max(low, centre[0, j] - 60 * width[j]), high)
        powers = [
            integrate.quad(lambda x, p=p, f=density: f(x) * x**p, *ends, points=[0.0, 0.3])[0]
            for p in range(3)
        ]
        np.testing.assert_allclose(mass[0, j], powers[0], rtol=1e-6)
        np.testing.assert_allclose(mean[0, j], powers[1] / powers[0], rtol=1e-6)
        np.testing.assert_allclose(second[0, j], powers[2] / powers[0], rtol=1e-6)


def test_no_mass_inside_leaves_the_nearer_end():
    mass, mean, second = truncated_t(np.array([[5.0]]), np.array([1e-5]), 50, np.zeros((1, 1)), 1.0)
    assert 0 < mass < 1e-11
    assert mean == second == 1.0


def stretched(log_density, walkers, steps, rng):
    """Affine-invariant Markov chains (Goodman and Weare 2010), without the first third."""
    half, size = len(walkers) // 2, walkers.shape[1]
    density, drawn = log_density(walkers), []
    for step in range(steps):
        for own, others in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
            z = (1 + rng.random(half)) ** 2 / 2
            base = walkers[others][rng.integers(half, size=half)]
            moved = base + z[:, None] * (walkers[own] - base)
            new = log_density(moved)
            taken = np.log(rng.random(half)) < (size - 1) * np.log(z) + new - density[own]
            walkers[own] = np.where(taken[:, None], moved, walkers[own])
            density[own] = np.where(taken, new, density[own])
        if step > steps // 3:
            drawn.append(walkers.copy())
    return np.concatenate(drawn)


@pytest.mark.parametrize("lower", [0.0, 0.75])
def test_the_posterior_is_that_of_markov_chains(lower):
    """Of pow3 with all priors written out: alpha, c, a and the noise are sampled."""
    rng = np.random.default_rng(3)
    t = np.arange(1.0, 13)
    y = 0.8 - 0.5 * t**-0.6 + 0.01 * rng.standard_normal(12)

    def log_density(walkers):
        log_alpha, c, a, log_sigma = walkers.T
        alpha, sigma = np.exp(log_alpha), np.exp(log_sigma)
        curve = c[:, None] - a[:, None] * t ** -alpha[:, None]
        end = c - a * 50.0**-alpha
        value = stats.norm.logpdf(y, curve, sigma[:, None]).sum(axis=1)
        value += stats.norm.logpdf(c, 0.6, 50 * sigma) + stats.norm.logpdf(a, 0.3, 50 * sigma)
        value += stats.invgamma.logpdf(sigma**2, 2.0, scale=2 * NOISE**2) + 2 * log_sigma
        inside = (alpha > 0.05) & (alpha < 3) & (end > lower) & (end < 1)
        return np.where(inside, value, -np.inf)

    start = np.array([np.log(0.6), 0.8, 0.5, np.log(0.01)])
    walkers = start + 0.02 * rng.standard_normal((100, 4))
    with np.errstate(invalid="ignore"):
        drawn = stretched(log_density, walkers, 500, rng)
    end = drawn[:, 1] - drawn[:, 2] * 50.0 ** -np.exp(drawn[:, 0])
    variance = end.var() + np.exp(2 * drawn[:, 3]).mean()
    mean, second, _ = extrapolate(y[None], t, 50, FAMILIES["pow3"], np.array([lower]))
    np.testing.assert_allclose(mean, end.mean(), atol=0.006)
    np.testing.assert_allclose(np.sqrt(second - mean**2), np.sqrt(variance), rtol=0.15)


def test_the_evidence_is_that_of_a_multivariate_t():
    y, t = np.array([[0.3, 0.5, 0.55], [0.6, 0.62, 0.61]]), np.arange(1.0, 4)
    log_evidence = extrapolate(y, t, 9, FAMILIES["ilog2"], np.full(2, -1e6))[2]
    phi = np.stack([np.ones(3), -1 / np.log(t + 1)], axis=1)
    cover = NOISE**2 * (np.eye(3) + 2500 * phi @ phi.T)
    law = stats.multivariate_t(phi @ [0.6, 0.3], cover, df=4)
    expected = law.logpdf(y)  # nearly all mass of both is below 1
    np.testing.assert_allclose(np.diff(log_evidence), np.diff(expected), atol=0.02)


@pytest.mark.parametrize("epochs", [10, 30])
def test_a_parametric_curve_is_extrapolated(epochs):
    t = np.arange(1, epochs + 1)
    ends = np.linspace(0.6, 0.95, 8)
    alphas = np.array([0.5, 0.8, 1.1, 0.5, 0.8, 1.1, 0.5, 0.8])
    curves = accuracy(ends[:, None] - 0.5 * t ** -alphas[:, None])
    truth = ends - 0.5 * 200.0**-alphas
    made = LCE(families=("pow3",)).predict(curves, 200)
    assert np.abs(made.mean - truth).max() < 0.02
    assert (np.abs(made.mean - truth) < 2 * made.std).all()
    assert np.abs(LCE().predict(curves, 200).mean - truth).mean() < 0.06
    assert np.abs(LCEM().predict(curves, 200).mean - truth).max() < 0.1


def test_the_monotone_prior():
    falling = accuracy(np.linspace(0.7, 0.6, 12))
    assert LCEM().predict(falling, 100).mean[0] >= 0.6
    assert LCE().predict(falling, 100).mean[0] < 0.7
    perfect = LCEM().predict(accuracy(np.ones(5)), 10)
    assert 0.99 < perfect.mean[0] <= 1


def test_families_that_are_none():
    with pytest.raises(UnknownNameError, match="pow3"):
        LCE(families=("pow5",)).predict(accuracy(np.ones(3)), 9)
    with pytest.raises(CurveError, match="one or more families"):
        LCE(families=()).predict(accuracy(np.ones(3)), 9)


# --- Gaussian process ----------------------------------------------------------------------------


def test_the_kernel_is_a_mixture_of_exponential_decays():
    alpha, beta = 1.7, 4.0
    rates = stats.gamma(alpha, scale=1 / beta)
    made = decay_kernel(np.array([1.0, 6.0]), np.array([2.0, 9.0]), alpha, beta)
    for i, s in enumerate((1.0, 6.0)):
        for j, t in enumerate((2.0, 9.0)):
            mean = rates.expect(lambda rate, s=s, t=t: np.exp(-rate * (s + t)))
            np.testing.assert_allclose(made[i, j], mean, rtol=1e-6)


def test_the_posterior_is_that_of_one_dense_process():
    """Two groups of curves with different epochs; the shared means are part of the covariance."""
    theta = np.log([1.3, 3.0, 0.2, 0.1, 0.02])
    alpha, beta, decay, level, noise = np.exp(theta)
    rng = np.random.default_rng(0)
    parts = [(rng.random((2, 3)), np.array([1.0, 2, 5])), (rng.random((1, 2)), np.array([2.0, 3]))]
    groups = [_Group(v, t, np.arange(len(v))) for v, t in parts]
    coefficients, covariance, evidence = _means(theta, groups)
    made = [_final(theta, g, 20.0, coefficients, covariance) for g in groups]

    owner = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    t = np.concatenate([parts[0][1], parts[0][1], parts[1][1]])
    y = np.concatenate([parts[0][0].ravel(), parts[1][0].ravel()])
    owner, t = np.append(owner, [0, 1, 2]), np.append(t, [20.0] * 3)
    h = np.stack([np.ones(11), -((beta / (t + beta)) ** alpha)], axis=1)
    k = (owner[:, None] == owner) * (level**2 + decay**2 * decay_kernel(t, t, alpha, beta))
    k = k + noise**2 * np.eye(11) + 0.09 * h @ h.T
    mean = h @ [0.7, 0.4]
    solved = np.linalg.solve(k[:8, :8], k[:8, 8:])
    expected = mean[8:] + solved.T @ (y - mean[:8])
    std = np.sqrt(np.diag(k[8:, 8:] - k[8:, :8] @ solved))
    np.testing.assert_allclose(np.concatenate([m for m, _ in made]), expected, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([s for _, s in made]), std, rtol=1e-5)
    law = stats.multivariate_normal(mean[:8], k[:8, :8])
    np.testing.assert_allclose(evidence - 4 * np.log(2 * np.pi), law.logpdf(y), rtol=1e-5)


def test_curves_of_the_process_are_inside_its_intervals():
    rng = np.random.default_rng(1)
    t = np.append(np.arange(1.0, 31), 100.0)
    k = 0.05**2 + 0.2**2 * decay_kernel(t, t, 1.2, 4.0) + 0.01**2 * np.eye(31)
    curves = 0.7 - 0.3 * (4 / (t + 4)) ** 1.2 + rng.multivariate_normal(np.zeros(31), k, size=80)
    curves = np.clip(curves, 0, 1)
    made = CurveGaussianProcess().predict(accuracy(curves[:, :30]), 100)
    inside = np.abs(curves[:, -1] - made.mean) < 1.645 * made.std
    assert 0.75 < inside.mean() <= 1
    assert stats.spearmanr(made.mean, curves[:, -1])[0] > 0.8


def test_ragged_curves_of_the_process():
    rng = np.random.default_rng(2)
    curves = 0.9 - 0.6 / np.sqrt(np.arange(1, 41)) - 0.05 * rng.random((9, 1))
    ragged = curves.copy()
    for i in range(9):
        ragged[i, 20 + 2 * i :] = np.nan
    made = CurveGaussianProcess().predict(accuracy(ragged), 60)
    assert np.isfinite(made.mean).all()
    assert (np.diff(made.std) < 0).mean() > 0.6  # longer curves say more
