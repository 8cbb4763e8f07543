"""A Gaussian process on learning curves, in the manner of freeze-thaw optimisation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from foretell.curves._base import CurvePredictor, curve_predictors, same_epochs
from foretell.types import Array, IntArray

__all__ = ["CurveGaussianProcess", "decay_kernel"]

_Result = tuple[Array, Array | None, Mapping[int, str]]

_PRIOR = np.array([0.0, np.log(3.0), np.log(0.15), np.log(0.1), np.log(0.015)])
_WIDTH = np.array([0.7, 1.0, 1.0, 1.0, 1.0])
"""Normal prior of the logarithms of alpha, beta, and the standard deviations of the decay, the
asymptote and the noise: accuracies."""
_MEAN, _MEAN_VAR = np.array([0.7, 0.4]), np.array([0.3, 0.3]) ** 2
"""Normal prior of the mean asymptote and of the mean amplitude of the decay."""
_THINNED = 24
"""Most epochs of a curve that the evidence is computed from."""


def decay_kernel(first: Array, second: Array, alpha: float, beta: float) -> Array:
    """Covariance of mixtures of exponential decays, beta^alpha / (t + t' + beta)^alpha.

    Args:
        first: (m,) epochs.
        second: (k,) epochs.
        alpha: shape of the gamma distribution of rates.
        beta: its rate, in epochs.

    Returns:
        (m, k)
    """
    return np.asarray((beta / (first[:, None] + second + beta)) ** alpha)


@curve_predictors.add(
    "curve_gp", metric="val_accuracy", unit="fraction", std=True, alone=False,
    reference="Swersky et al., Freeze-Thaw Bayesian Optimization, 2014, section 3",
)  # fmt: skip
class CurveGaussianProcess(CurvePredictor):
    """Gaussian process with an exponential-decay kernel over epochs; a fraction with std.

    A curve is an asymptote, a decay towards it with covariance a^2 beta^alpha / (t + t' +
    beta)^alpha, and noise. Asymptotes and decays are independent between architectures and share
    their means, m and -b (beta / (t + beta))^alpha, which are integrated. The five hyper-parameters
    maximise evidence times prior on the curves at hand, so that predictions depend on the company;
    the order of rows has no influence. Means are limited to [0, 1].
    As for ``LCE``, the standard deviation knows nothing of schedules.

    Reference: Swersky et al., Freeze-Thaw Bayesian Optimization, 2014, section 3.

    Differs from the paper: the decay has a mean, as accuracies rise; there is no kernel over
    configurations, as nothing but curves is seen; hyper-parameters are optimised, not sampled.
    """

    extrapolates = True

    def _predict(self, values: Array, epochs: IntArray, final_epoch: int) -> _Result:
        from scipy.optimize import minimize

        order = np.lexsort(np.nan_to_num(values, nan=-1.0).T)
        rows = values[order]
        t = epochs.astype(np.float64)
        groups = [_Group(rows[np.ix_(r, c)], t[c], r) for r, c in same_epochs(rows)]
        thin = [g.thinned() for g in groups]

        def loss(theta: Array) -> float:
            return _loss(theta, thin)

        found = minimize(loss, _PRIOR, method="L-BFGS-B", options={"maxiter": 60})
        theta = np.clip(found.x, _PRIOR - 5 * _WIDTH, _PRIOR + 5 * _WIDTH)
        mean, std = np.empty(len(values)), np.empty(len(values))
        coefficients, covariance = _means(theta, groups)[:2]
        for group in groups:
            m, s = _final(theta, group, float(final_epoch), coefficients, covariance)
            mean[order[group.rows]], std[order[group.rows]] = m, s
        return np.clip(mean, 0.0, 1.0), std, {}


@dataclass(frozen=True)
class _Group:
    """Curves (n, t) that are measured at the same epochs (t,), and their rows."""

    values: Array
    epochs: Array
    rows: IntArray

    def thinned(self) -> "_Group":
        """The same at epochs whose logarithms are evenly spread."""
        count = len(self.epochs)
        if count <= _THINNED:
            return self
        columns = np.unique(np.round(np.geomspace(1, count, _THINNED)).astype(np.int64)) - 1
        return _Group(self.values[:, columns], self.epochs[columns], self.rows)

    def cholesky(self, theta: Array) -> tuple[Array, Array]:
        """Lower Cholesky factor (t, t) of the covariance, and the bases (t, 2) of the mean."""
        alpha, beta, decay, level, noise = np.exp(theta)
        covariance = level**2 + decay**2 * decay_kernel(self.epochs, self.epochs, alpha, beta)
        covariance[np.diag_indices(len(covariance))] += noise**2 + 1e-10
        return np.linalg.cholesky(covariance), _bases(self.epochs, alpha, beta)


def _bases(epochs: Array, alpha: float, beta: float) -> Array:
    return np.stack([np.ones_like(epochs), -((beta / (epochs + beta)) ** alpha)], axis=1)


def _means(theta: Array, groups: list[_Group]) -> tuple[Array, Array, float]:
    """Posterior mean (2,) and covariance (2, 2) of the shared means, and the log evidence."""
    from scipy.linalg import solve_triangular

    precision, right = np.diag(1 / _MEAN_VAR), _MEAN / _MEAN_VAR
    total = float(_MEAN @ right)
    log_det = float(np.log(_MEAN_VAR).sum())
    for group in groups:
        cholesky, bases = group.cholesky(theta)
        white = solve_triangular(cholesky, group.values.T, lower=True, check_finite=False)
        phi = solve_triangular(cholesky, bases, lower=True, check_finite=False)
        n = len(group.values)
        precision = precision + n * phi.T @ phi
        right = right + phi.T @ white.sum(axis=1)
        total += float((white**2).sum())
        log_det += 2 * n * float(np.log(np.diag(cholesky)).sum())
    covariance = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    coefficients = covariance @ right
    log_det += float(np.linalg.slogdet(precision)[1])
    return coefficients, covariance, -0.5 * (total - float(right @ coefficients) + log_det)


def _loss(theta: Array, groups: list[_Group]) -> float:
    """Minus log evidence and log prior, but for constants."""
    away = (theta - _PRIOR) / _WIDTH
    if np.abs(away).max() > 5:
        return 1e10 * float(np.abs(away).max())
    return 0.5 * float(away @ away) - _means(theta, groups)[2]


def _final(
    theta: Array, group: _Group, final_epoch: float, coefficients: Array, covariance: Array
) -> tuple[Array, Array]:
    """Mean and standard deviation, (n,) each, of what would be measured at the final epoch."""
    from scipy.linalg import cho_solve

    alpha, beta, decay, level, noise = np.exp(theta)
    cholesky, bases = group.cholesky(theta)
    end = np.array([final_epoch])
    k = level**2 + decay**2 * decay_kernel(end, group.epochs, alpha, beta)[0]
    prior_var = level**2 + decay**2 * decay_kernel(end, end, alpha, beta)[0, 0]
    solved = cho_solve((cholesky, True), k, check_finite=False)
    h = _bases(end, alpha, beta)[0] - bases.T @ solved
    mean = h @ coefficients + group.values @ solved
    variance = prior_var - k @ solved + noise**2 + h @ covariance @ h
    return mean, np.full(len(mean), np.sqrt(max(float(variance), 0.0)))
