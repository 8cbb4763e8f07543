"""A Gaussian process over the members of a pool, grown by one observation at a time."""

import math
from collections.abc import Sequence

import numpy as np

from foretell.gaussian.kernels import matern52
from foretell.gaussian.posterior import PoolPosterior, Posterior, with_room
from foretell.types import Array

__all__ = ["NOISE_VAR", "PoolProcess"]

_CONSTANT, _LINEAR, _SMOOTH = 1.0, 0.3, 1.0
"""Prior variances: of the mean value, of all weights together, of what no weights can say."""
NOISE_VAR = 0.2
"""Variance of a value around what its proxies can tell; all in units of the values' own."""


class PoolProcess:
    """The prior ``constant + w . z + r(z)`` at each member of a pool, and its posteriors.

    The covariance of two members with proxies z and z' of p standardised columns is
    ``1 + 0.3 / p z . z' + matern52(|z - z'|; sqrt(p))``.

    Args:
        z: (n, p) standardised proxies, p >= 1.
    """

    def __init__(self, z: Array) -> None:
        """Nothing is observed."""
        n, p = z.shape
        self._z, self._p = z, p
        self._squares = np.asarray((z**2).sum(axis=1))
        self._prior_var = _CONSTANT + _SMOOTH + _LINEAR / p * self._squares
        self._row: dict[int, int] = {}
        self._k_star = np.zeros((0, n))
        self._posterior = PoolPosterior(self._prior_var, NOISE_VAR)

    def mean(self, members: Sequence[int], values: Array) -> Array:
        """Posterior mean of a prior mean of 0.

        Args:
            members: indices of the k members that were observed.
            values: (k,) their values.

        Returns:
            (n,) one per member.
        """
        rows = [self._covariance(i) for i in members]
        if not rows:
            return np.zeros(len(self._z))
        posterior = Posterior.fit(self._k_star[np.ix_(rows, members)], values, NOISE_VAR)
        alpha = np.zeros(len(self._k_star))
        alpha[rows] = posterior.alpha
        return np.asarray(alpha @ self._k_star)

    def std(self, members: Sequence[int]) -> Array:
        """Posterior standard deviation of what an observation is worth without its noise.

        Args:
            members: indices of the k members that were or are being observed; cheap if those of the
                last call are among them.

        Returns:
            (n,) one per member.
        """
        if not set(self._posterior.observed) <= set(members):
            self._posterior = PoolPosterior(self._prior_var, NOISE_VAR)
        observed = set(self._posterior.observed)
        for member in members:
            if member not in observed:
                index = self._covariance(member)  # may make room for itself
                self._posterior.observe(member, self._k_star[index])
        return np.asarray(np.sqrt(self._posterior.variance))

    def _covariance(self, member: int) -> int:
        """The row that holds the covariance of a member with all, (n,)."""
        if member not in self._row:
            dot = self._z @ self._z[member]
            square = self._squares + self._squares[member] - 2 * dot
            smooth = matern52(np.sqrt(np.maximum(square, 0.0)), math.sqrt(self._p))
            row = self._row[member] = len(self._row)
            self._k_star = with_room(self._k_star, row)
            self._k_star[row] = _CONSTANT + _LINEAR / self._p * dot + _SMOOTH * smooth
        return self._row[member]
