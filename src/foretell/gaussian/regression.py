"""Regression on a few points: Matern 5/2, one length scale, values normalised."""

import math
from dataclasses import dataclass

import numpy as np

from foretell.gaussian.kernels import matern52, squared_distances
from foretell.gaussian.posterior import Posterior, negative_log_evidence
from foretell.types import Array

__all__ = ["GaussianProcess", "fit_gaussian_process"]

_LENGTH_SCALES = (1e-5, 1e5)
_GRID = 41
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GaussianProcess:
    """A posterior over functions of d variables.

    Args:
        x: (n, d) where the function is known.
        length_scale: of the kernel.
        y_mean: mean of the values.
        y_std: standard deviation of the values, 1 if they are all equal.
        posterior: given (y - y_mean) / y_std.
    """

    x: Array
    length_scale: float
    y_mean: float
    y_std: float
    posterior: Posterior

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation.

        Args:
            x: (m, d) where to predict.

        Returns:
            (m,) and (m,), in the unit of the values.
        """
        k_star = matern52(_distances(x, self.x), self.length_scale)
        mean, variance = self.posterior.predict(k_star, 1.0)
        return self.y_mean + self.y_std * mean, self.y_std * np.sqrt(variance)

    def upper_bound(self, x: Array, kappa: float) -> tuple[float, Array]:
        """Upper confidence bound, mean + kappa * std, at one point, and its gradient.

        Args:
            x: (d,) the point.
            kappa: weight of the standard deviation.

        Returns:
            The value in the unit of the values, and (d,) its gradient.
        """
        difference = x[None, :] - self.x
        distance = np.sqrt((difference**2).sum(axis=1))
        k_star = matern52(distance, self.length_scale)
        s = math.sqrt(5) / self.length_scale * distance
        slope = -5 / (3 * self.length_scale**2) * ((1 + s) * np.exp(-s))[:, None] * difference
        alpha, solved = self.posterior.alpha, self.posterior.solve(k_star)
        std = math.sqrt(max(1.0 - float(k_star @ solved), 1e-12))
        value = float(k_star @ alpha) + kappa * std
        gradient = slope.T @ alpha - kappa / std * (slope.T @ solved)
        return self.y_mean + self.y_std * value, self.y_std * gradient


def fit_gaussian_process(x: Array, y: Array, *, noise_var: float = 1e-6) -> GaussianProcess:
    """The process whose length scale makes the values most likely.

    Args:
        x: (n, d) where the function is known, n >= 1.
        y: (n,) its values.
        noise_var: variance added to the diagonal, in units of the values' variance.

    Returns:
        The posterior.
    """
    y_mean, y_std = float(y.mean()), float(y.std())
    y_std = y_std if y_std > 0 else 1.0
    target = (y - y_mean) / y_std
    distances = _distances(x, x)
    scale = _likeliest(distances, target, noise_var)
    posterior = Posterior.fit(matern52(distances, scale), target, noise_var, invert=True)
    return GaussianProcess(x, scale, y_mean, y_std, posterior)


def _likeliest(distances: Array, target: Array, noise_var: float) -> float:
    """Length scale of highest evidence: a grid, then a golden section around its best."""

    def loss(log_scale: float) -> float:
        k = matern52(distances, math.exp(log_scale))
        return negative_log_evidence(k, target, noise_var)

    grid = np.linspace(math.log(_LENGTH_SCALES[0]), math.log(_LENGTH_SCALES[1]), _GRID)
    losses = [loss(float(g)) for g in grid]
    best = int(np.argmin(losses))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    for _ in range(18):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    middle = (low + high) / 2
    return math.exp(middle if loss(middle) <= losses[best] else float(grid[best]))


def _distances(a: Array, b: Array) -> Array:
    return np.asarray(np.sqrt(squared_distances(a, b)))
