"""Hyperparameters of an exact Gaussian process by maximum marginal likelihood."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from foretell.errors import PredictorError
from foretell.gaussian.kernels import JITTER, matern52_slope
from foretell.predictors.gp.groups import Prior
from foretell.types import Array, IntArray

__all__ = ["Loss", "exact_loss", "likeliest", "minimised", "spread_rows"]

_ITERATIONS = 60
_FEW = 200
"""With more than twice as many architectures, the search is warm-started on this many."""
_ENOUGH = 1e-5
"""Relative tolerance of the search."""

Loss: TypeAlias = Callable[[Array], tuple[float, Array]]
"""Parameters -> a negative log evidence and its gradient."""


def likeliest(
    distances: Sequence[Array],
    t: Array,
    fixed: Sequence[Array] = (),
    start: Array | None = None,
) -> tuple[Array, float]:
    """The parameters that maximise the marginal likelihood times the prior, and their loss.

    Args:
        distances: of each group, (n, n).
        t: (n,) values of mean 0 and variance 1.
        fixed: kernels without parameters of their own, (n, n).
        start: initial parameters; by default the mean of the prior.
    """
    if start is None and len(t) > 2 * _FEW:
        rows = spread_rows(t, _FEW)
        few = np.ix_(rows, rows)
        start, _ = likeliest([d[few] for d in distances], t[rows], [f[few] for f in fixed])
    prior = Prior.of(len(distances), len(fixed))
    return minimised(exact_loss(distances, t, fixed), prior, start)


def minimised(loss: Loss, prior: Prior, start: Array | None = None) -> tuple[Array, float]:
    """Parameters and value at the minimum of a loss plus the negative log prior."""
    from scipy.optimize import minimize

    def penalised(theta: Array) -> tuple[float, Array]:
        value, slope = loss(theta)
        more, steeper = prior.loss(theta)
        return value + more, slope + steeper

    first = prior.middle if start is None else start
    options = {"maxiter": _ITERATIONS, "ftol": _ENOUGH}
    optimum = minimize(
        penalised, first, jac=True, method="L-BFGS-B", bounds=prior.bounds, options=options
    )
    return np.asarray(optimum.x, dtype=np.float64), float(optimum.fun)


def exact_loss(distances: Sequence[Array], t: Array, fixed: Sequence[Array] = ()) -> Loss:
    """Negative log marginal likelihood up to a constant, and its gradient, as a function of theta.

    Only what lies above the diagonal is computed, and the covariance is factored and inverted in
    place.
    """
    from scipy.linalg.lapack import dpotrf, dpotri, dpotrs

    n, count = len(t), len(distances)
    row, column = np.triu_indices(n, 1)
    above = row * n + column
    apart = [d.ravel()[above] for d in distances]
    constant = [f.ravel()[above] for f in fixed]
    square = np.empty((n, n))
    diagonal = np.diag_indices(n)
    own = [np.ones(n)] * count + [f[diagonal] for f in fixed]

    def loss(theta: Array) -> tuple[float, Array]:
        noise = math.exp(theta[-1])
        pairs = [matern52_slope(d, math.exp(theta[2 * i + 1])) for i, d in enumerate(apart)]
        kernels = [m for m, _ in pairs] + constant
        variances = np.exp(np.concatenate([theta[: 2 * count : 2], theta[2 * count : -1]]))
        total = variances[0] * kernels[0]
        for variance, kernel in zip(variances[1:], kernels[1:], strict=True):
            total += variance * kernel
        square.ravel()[above] = total
        square[diagonal] = sum(v * d for v, d in zip(variances, own, strict=True)) + noise + JITTER
        factor, failed = dpotrf(square.T, lower=1, overwrite_a=1)
        if failed:
            raise PredictorError(
                "The covariance of the architectures is not positive definite: leave out "
                "columns of very different size, or duplicates."
            )
        value = float(np.log(factor[diagonal]).sum())
        solved, _ = dpotrs(factor, t, lower=1)
        value += 0.5 * float(t @ solved)
        inverse = dpotri(factor, lower=1, overwrite_c=1)[0].T
        outer = inverse.ravel()[above]
        outer -= solved[row] * solved[column]
        at = inverse[diagonal] - solved**2
        slope = np.empty(len(theta))
        by_variance = [outer @ k + 0.5 * at @ d for k, d in zip(kernels, own, strict=True)]
        slope[: 2 * count : 2] = variances[:count] * by_variance[:count]
        for i, (_, by_scale) in enumerate(pairs):
            slope[2 * i + 1] = variances[i] * (outer @ by_scale)
        slope[2 * count : -1] = variances[count:] * by_variance[count:]
        slope[-1] = 0.5 * noise * at.sum()
        return value, slope

    return loss


def spread_rows(t: Array, count: int) -> IntArray:
    """A subset of rows whose values are evenly spaced among the sorted values."""
    order = np.argsort(t, kind="stable")
    return np.sort(order[np.linspace(0, len(t) - 1, count).astype(np.int64)])
