"""The exact posterior of a Gaussian process, whatever its kernel."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from foretell.types import Array

__all__ = ["PoolPosterior", "Posterior", "negative_log_evidence", "with_room"]


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process of prior mean 0 after n noisy values.

    Args:
        cholesky: (n, n) lower Cholesky factor of K + noise_var I.
        alpha: (n,) (K + noise_var I)^-1 y.
        inverse: (n, n) inverse of K + noise_var I, where it was asked for.

    Reference: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1.
    """

    cholesky: Array
    alpha: Array
    inverse: Array | None = None

    @classmethod
    def fit(cls, k: Array, y: Array, noise_var: float, *, invert: bool = False) -> Self:
        """Condition on values.

        Args:
            k: (n, n) covariance of the values without noise.
            y: (n,) the values.
            noise_var: variance of the noise, > 0.
            invert: keep the inverse: predictions from a few values at very many places are then
                matrix products, and lose digits where the covariance is nearly singular.

        Raises:
            numpy.linalg.LinAlgError: the covariance with noise is not positive definite.
        """
        from scipy.linalg import cho_solve

        noisy = k + noise_var * np.eye(len(y))
        cholesky = np.asarray(np.linalg.cholesky(noisy), dtype=np.float64)
        if not invert:
            return cls(cholesky, cho_solve((cholesky, True), y, check_finite=False))
        inverse = np.asarray(np.linalg.inv(noisy), dtype=np.float64)
        return cls(cholesky, inverse @ y, inverse)

    def predict(self, k_star: Array, prior_var: Array | float) -> tuple[Array, Array]:
        """Mean and variance of the function, without noise.

        Args:
            k_star: (m, n) covariance of new values with those that were seen.
            prior_var: variance of the new values before any is seen, (m,) or () if all are equal.

        Returns:
            (m,) and (m,), the variance never negative.
        """
        from scipy.linalg import solve_triangular

        if self.inverse is None:
            white = solve_triangular(self.cholesky, k_star.T, lower=True, check_finite=False)
            explained = (white**2).sum(axis=0)
        else:
            explained = ((k_star @ self.inverse) * k_star).sum(axis=1)
        return k_star @ self.alpha, np.maximum(prior_var - explained, 0.0)

    def solve(self, k_star: Array) -> Array:
        """The product (K + noise_var I)^-1 k_star.

        Args:
            k_star: (n,) covariance of one new value with those that were seen.

        Returns:
            (n,); the gradient of the variance is -2 times the derivative of k_star times this.
        """
        from scipy.linalg import cho_solve

        if self.inverse is not None:
            return np.asarray(self.inverse @ k_star)
        return np.asarray(cho_solve((self.cholesky, True), k_star, check_finite=False))


def negative_log_evidence(k: Array, y: Array, noise_var: float) -> float:
    """Negative log marginal likelihood of values, but for the constant n / 2 log 2 pi.

    Args:
        k: (n, n) covariance of the values without noise.
        y: (n,) the values.
        noise_var: variance of the noise, > 0.

    Returns:
        Infinity where the covariance with noise is not positive definite.
    """
    try:
        cholesky = np.linalg.cholesky(k + noise_var * np.eye(len(y)))
    except np.linalg.LinAlgError:
        return math.inf
    white = np.linalg.solve(cholesky, y)
    return float(0.5 * white @ white + np.log(np.diag(cholesky)).sum())


class PoolPosterior:
    """The variance of the same posterior at m fixed members, given one of them after another.

    The rows of L^-1 k_star are continued over the whole pool, so that a further observation costs
    O(k m), k the number of observations, where a new factorisation costs O(k^2 m).

    Args:
        prior_var: (m,) variance of each member before any is observed.
        noise_var: variance of the noise, > 0.
    """

    def __init__(self, prior_var: Array, noise_var: float) -> None:
        """Nothing is observed."""
        self._prior_var, self._noise_var = prior_var, noise_var
        self._white = np.zeros((0, len(prior_var)))
        self._explained = np.zeros(len(prior_var))
        self.observed: list[int] = []
        """Members in the order in which they were observed."""

    @property
    def variance(self) -> Array:
        """Posterior variance without noise, (m,), never negative."""
        return np.maximum(self._prior_var - self._explained, 0.0)

    def observe(self, member: int, k_star: Array) -> None:
        """Condition on one more member.

        Args:
            member: its index in the pool.
            k_star: (m,) its covariance with each member, without noise.
        """
        k = len(self.observed)
        before = self._white[:k]
        last = before[:, member]
        corner = k_star[member] + self._noise_var - float(last @ last)
        row = (k_star - last @ before) / math.sqrt(corner)
        self._white = with_room(self._white, k)
        self._white[k] = row
        self._explained += row * row
        self.observed.append(member)


def with_room(rows: Array, k: int) -> Array:
    """The same rows with room for row k: doubled where it is full."""
    if k < len(rows):
        return rows
    return np.concatenate([rows, np.zeros((max(k, 8), rows.shape[1]))])
