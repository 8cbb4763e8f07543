"""A Gaussian process over the members of a pool, grown by one observation at a time."""

import math
from collections.abc import Sequence

import numpy as np

from foretell.gaussian.kernels import matern52
from foretell.types import Array

__all__ = ["NOISE", "PoolProcess"]

_CONSTANT, _LINEAR, _SMOOTH = 1.0, 0.3, 1.0
"""Prior variances: of the mean value, of all weights together, of what no weights can say."""
NOISE = 0.2
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
        self._prior = _CONSTANT + _SMOOTH + _LINEAR / p * self._squares
        self._row: dict[int, int] = {}
        self._covariances = np.zeros((0, n))
        self._forget()

    def mean(self, places: Sequence[int], values: Array) -> Array:
        """Posterior mean of a prior mean of 0.

        Args:
            places: k members that were observed.
            values: (k,) their values.

        Returns:
            (n,) one per member.
        """
        rows = [self._covariance(i) for i in places]
        if not rows:
            return np.zeros(len(self._z))
        inner = self._covariances[np.ix_(rows, places)] + NOISE * np.eye(len(rows))
        weights = np.zeros(len(self._covariances))
        weights[rows] = np.linalg.solve(inner, values)
        return np.asarray(weights @ self._covariances)

    def std(self, places: Sequence[int]) -> Array:
        """Posterior standard deviation of what an observation is worth without its noise.

        Args:
            places: k members that were or are being observed; cheap if the last call's come first.

        Returns:
            (n,) one per member.
        """
        if not set(self._seen) <= set(places):
            self._forget()
        known = set(self._seen)
        for place in places:
            if place not in known:
                self._observe(place)
        return np.asarray(np.sqrt(np.maximum(self._prior - self._shrink, 0.0)))

    def _forget(self) -> None:
        self._seen: list[int] = []
        self._white = np.zeros((0, len(self._z)))
        self._shrink = np.zeros(len(self._z))

    def _observe(self, place: int) -> None:
        """One more row of the Cholesky factor, continued over the whole pool."""
        k = len(self._seen)
        index = self._covariance(place)  # may make room for itself
        covariance = self._covariances[index]
        before = self._white[:k]
        corner = covariance[place] + NOISE - float(before[:, place] @ before[:, place])
        row = (covariance - before[:, place] @ before) / math.sqrt(corner)
        self._white = _room(self._white, k)
        self._white[k] = row
        self._shrink += row * row
        self._seen.append(place)

    def _covariance(self, place: int) -> int:
        """The row that holds the covariance of a member with all, (n,)."""
        if place not in self._row:
            dot = self._z @ self._z[place]
            square = self._squares + self._squares[place] - 2 * dot
            smooth = matern52(np.sqrt(np.maximum(square, 0.0)), math.sqrt(self._p))
            row = self._row[place] = len(self._row)
            self._covariances = _room(self._covariances, row)
            self._covariances[row] = _CONSTANT + _LINEAR / self._p * dot + _SMOOTH * smooth
        return self._row[place]


def _room(rows: Array, k: int) -> Array:
    """The same rows with room for row k: doubled where it is full."""
    if k < len(rows):
        return rows
    return np.concatenate([rows, np.zeros((max(k, 8), rows.shape[1]))])
