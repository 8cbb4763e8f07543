"""A small Gaussian process: Matern 5/2, one length scale, values normalised."""

import math
from dataclasses import dataclass

import numpy as np

from foretell.gaussian.kernels import matern52, squared_distances
from foretell.types import Array

__all__ = ["GaussianProcess", "fit_gaussian_process"]

_SCALES = (1e-5, 1e5)
_GRID = 41
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class GaussianProcess:
    """A posterior over functions of d variables.

    Args:
        x: (n, d) where the function is known.
        scale: length scale of the kernel.
        mean: mean of the values.
        spread: standard deviation of the values, 1 if they are all equal.
        solved: (n,) K^-1 (y - mean) / spread.
        inverse: (n, n) K^-1.
    """

    x: Array
    scale: float
    mean: float
    spread: float
    solved: Array
    inverse: Array

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Posterior mean and standard deviation.

        Args:
            x: (m, d) where to predict.

        Returns:
            (m,) and (m,), in the unit of the values.
        """
        cross = matern52(_distances(x, self.x), self.scale)
        variance = 1.0 - ((cross @ self.inverse) * cross).sum(axis=1)
        mean = self.mean + self.spread * (cross @ self.solved)
        return mean, self.spread * np.sqrt(np.maximum(variance, 0.0))

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
        cross = matern52(distance, self.scale)
        s = math.sqrt(5) / self.scale * distance
        slope = -5 / (3 * self.scale**2) * ((1 + s) * np.exp(-s))[:, None] * difference
        weighted = self.inverse @ cross
        std = math.sqrt(max(1.0 - float(cross @ weighted), 1e-12))
        value = float(cross @ self.solved) + kappa * std
        gradient = slope.T @ self.solved - kappa / std * (slope.T @ weighted)
        return self.mean + self.spread * value, self.spread * gradient


def fit_gaussian_process(x: Array, y: Array, *, noise: float = 1e-6) -> GaussianProcess:
    """The process whose length scale makes the values most likely.

    Args:
        x: (n, d) where the function is known, n >= 1.
        y: (n,) its values.
        noise: variance added to the diagonal, in units of the values' variance.

    Returns:
        The posterior.
    """
    mean, spread = float(y.mean()), float(y.std())
    spread = spread if spread > 0 else 1.0
    target = (y - mean) / spread
    distances = _distances(x, x)
    scale = _likeliest(distances, target, noise)
    inverse = np.asarray(np.linalg.inv(_covariance(distances, scale, noise)), dtype=np.float64)
    return GaussianProcess(x, scale, mean, spread, inverse @ target, inverse)


def _likeliest(distances: Array, target: Array, noise: float) -> float:
    """Length scale of highest likelihood: a grid, then a golden section around its best."""

    def loss(log_scale: float) -> float:
        try:
            factor = np.linalg.cholesky(_covariance(distances, math.exp(log_scale), noise))
        except np.linalg.LinAlgError:
            return math.inf
        white = np.linalg.solve(factor, target)
        return float(0.5 * white @ white + np.log(np.diag(factor)).sum())

    grid = np.linspace(math.log(_SCALES[0]), math.log(_SCALES[1]), _GRID)
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


def _covariance(distances: Array, scale: float, noise: float) -> Array:
    return matern52(distances, scale) + noise * np.eye(len(distances))


def _distances(a: Array, b: Array) -> Array:
    return np.asarray(np.sqrt(squared_distances(a, b)))
