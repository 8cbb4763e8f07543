"""An exact Gaussian process after it has seen values."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from foretell.gaussian.kernels import JITTER
from foretell.types import Array

__all__ = ["Posterior"]


@dataclass(frozen=True)
class Posterior:
    """What was learned from n values of mean 0 and variance 1.

    Args:
        factor: (n, n) lower Cholesky factor of their covariance with noise.
        solved: (n,) inverse covariance times values.
        noise: variance of the noise.
    """

    factor: Array
    solved: Array
    noise: float

    @classmethod
    def of(cls, square: Array, t: Array, theta: Array) -> Self:
        """From the covariance of the values without noise, (n, n), and the values."""
        from scipy.linalg import cho_solve

        noise = math.exp(theta[-1])
        noisy = square + (noise + JITTER) * np.eye(len(t))
        factor = np.asarray(np.linalg.cholesky(noisy), dtype=np.float64)
        return cls(factor, cho_solve((factor, True), t, check_finite=False), noise)

    def at(self, cross: Array, total: float) -> tuple[Array, Array]:
        """Mean and standard deviation of new values, (m,) each.

        Args:
            cross: (m, n) their covariance with those that were seen.
            total: their variance before any is known, without noise.
        """
        from scipy.linalg import solve_triangular

        white = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        left = np.maximum(total - (white**2).sum(axis=0), 0.0)
        return cross @ self.solved, np.sqrt(left + self.noise)
