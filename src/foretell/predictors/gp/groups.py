"""Groups of encodings that share a kernel, and the prior of the hyperparameters.

The hyperparameters form one vector ``theta``: log variance and log length scale of each Matern
kernel, then the log variance of each fixed kernel, then the log noise variance; values have unit
variance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foretell.encodings import Encodings
from foretell.gaussian.kernels import JITTER, matern52, squared_distances
from foretell.types import Array, IntArray

__all__ = ["Group", "Prior", "covariance", "groups", "noise_variance", "total_variance"]

_SOME = 1000
"""Number of labelled rows that the median distance is computed from."""


@dataclass
class Group:
    """Encodings that share a Matern kernel.

    Args:
        names: theirs.
        scales: of their columns.
        rows: (labelled, d) scaled columns.
        typical: median squared distance between labelled rows.
    """

    names: frozenset[str]
    scales: Mapping[str, tuple[Array, Array]]
    rows: Array
    typical: float = 1.0

    def distances(self, encodings: Encodings) -> Array:
        """Distances to the labelled rows in units of the typical one, (n, labelled)."""
        other = encodings.only(self.names).scaled(self.scales)
        return np.asarray(np.sqrt(squared_distances(other, self.rows) / self.typical))

    def take(self, rows: IntArray) -> "Group":
        """The group with some of its labelled rows."""
        return Group(self.names, self.scales, self.rows[rows], self.typical)


def groups(encodings: Encodings) -> list[Group]:
    """Encodings that describe, then encodings that identify an architecture, if any."""
    result = []
    for identity in (False, True):
        names = frozenset(k for k in encodings.tables if (k in encodings.identity) == identity)
        if not names:
            continue
        group = Group(names, encodings.scales, encodings.only(names).scaled())
        some = group.rows[:: max(1, len(group.rows) // _SOME)]
        square = squared_distances(some, some)
        apart = square[square > 1e-9]
        group.typical = float(np.median(apart)) if len(apart) else 1.0
        result.append(group)
    return result


def covariance(distances: Sequence[Array], theta: Array, fixed: Sequence[Array] = ()) -> Array:
    """Sum of the kernels, without noise.

    Args:
        distances: of each group, (n, m).
        theta: the parameters.
        fixed: kernels without parameters of their own, (n, m).
    """
    k = 2 * len(distances)
    matern = sum(
        math.exp(theta[2 * i]) * matern52(d, math.exp(theta[2 * i + 1]))
        for i, d in enumerate(distances)
    )
    return np.asarray(
        matern + sum(math.exp(v) * f for v, f in zip(theta[k:-1], fixed, strict=True))
    )


def total_variance(theta: Array, count: int) -> float:
    """Variance of a value before any is known, without noise.

    Args:
        theta: the parameters.
        count: Matern kernels.
    """
    return float(np.exp(theta[: 2 * count : 2]).sum() + np.exp(theta[2 * count : -1]).sum())


def noise_variance(theta: Array) -> float:
    """Variance of the noise, and what is added to it so that equal rows can be factored.

    Args:
        theta: the parameters.
    """
    return math.exp(theta[-1]) + JITTER


@dataclass(frozen=True)
class Prior:
    """Independent normal distributions of the parameters.

    Args:
        middle: (p,) means, where the search starts.
        width: (p,) standard deviations.
        bounds: of each parameter.
    """

    middle: Array
    width: Array
    bounds: list[tuple[float, float | None]]

    @classmethod
    def of(cls, count: int, fixed: int = 0) -> "Prior":
        """The prior for a number of Matern and fixed kernels."""
        share = math.log(0.5 / (count + fixed))
        return cls(
            np.array([share, math.log(2.0)] * count + [share] * fixed + [math.log(0.1)]),
            np.array([1.5, 1.0] * count + [1.5] * (fixed + 1)),
            [(-12.0, 6.0), (-4.0, 6.0)] * count + [(-12.0, 6.0)] * fixed + [(-12.0, None)],
        )

    def loss(self, theta: Array) -> tuple[float, Array]:
        """Negative log density up to a constant, and its gradient."""
        away = (theta - self.middle) / self.width
        return 0.5 * float(away @ away), away / self.width
