"""Distances and kernels that Gaussian processes are made of."""

import math

import numpy as np

from foretell.types import Array

__all__ = ["matern52", "matern52_slope", "squared_distances"]


def squared_distances(a: Array, b: Array) -> Array:
    """Squared Euclidean distance of each row of one to each row of the other.

    Args:
        a: (n, d).
        b: (m, d).

    Returns:
        (n, m), never negative.
    """
    square = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
    return np.asarray(np.maximum(square, 0.0))


def matern52(distance: Array, scale: float) -> Array:
    """(1 + s + s^2 / 3) exp(-s) with s = sqrt(5) distance / scale; any shape."""
    s = math.sqrt(5) / scale * distance
    return np.asarray((1 + s + s * s / 3) * np.exp(-s))


def matern52_slope(distance: Array, scale: float) -> tuple[Array, Array]:
    """``matern52`` and its derivative by the logarithm of the scale; any shape."""
    s = math.sqrt(5) / scale * distance
    decay = np.exp(-s)
    return np.asarray((1 + s + s * s / 3) * decay), np.asarray(s * s * (1 + s) / 3 * decay)
