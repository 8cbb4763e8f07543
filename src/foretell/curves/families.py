"""Parametric families of learning curves: shapes with linear coefficients.

Each family is a sum of one or two basis functions of the epoch x, whose coefficients are linear,
with at most two further parameters of the shape. These have the prior of a fixed grid of quadrature
points, so that the bases are the same for all architectures.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from foretell.types import Array

__all__ = ["FAMILIES", "Family"]

_POINTS = 96
"""Quadrature points of a family with two parameters of the shape; a quarter with one."""

Basis = Callable[[Array, Array, Array], Array]
"""Epochs (t,), first and second parameter (q, 1) -> the falling or rising function, (q, t)."""


@dataclass(frozen=True)
class Family:
    """A family y(x) = c - a g(x) with a falling g, or y(x) = a g(x) with a rising one.

    Args:
        name: as Domhan et al. call it.
        basis: g, of epochs and the parameters of the shape.
        bounds: of each parameter of the shape, two at most: the ends of its uniform logarithm. An
            end of None is the final epoch.
        level: whether there is a constant c.
    """

    name: str
    basis: Basis
    bounds: tuple[tuple[float, float | None], ...]
    level: bool = True

    def bases(self, epochs: Array, final_epoch: float) -> Array:
        """The basis functions at each quadrature point.

        Args:
            epochs: (t,) at least 1.
            final_epoch: the longest time scale.

        Returns:
            (q, t, 2); their coefficients are c and a. Without a constant the first are 0.
        """
        points = self._points(final_epoch)
        g = self.basis(epochs, points[:, :1], points[:, 1:])
        g = np.broadcast_to(g, (len(points), len(epochs)))
        if self.level:
            return np.stack([np.ones_like(g), -g], axis=2)
        return np.stack([np.zeros_like(g), g], axis=2)

    def _points(self, final_epoch: float) -> Array:
        """Quadrature points (q, 2): equally likely under the prior, and evenly spread."""
        count = (1, _POINTS // 4, _POINTS)[len(self.bounds)]
        i = np.arange(count)
        # a lattice of the golden ratio covers the unit square evenly
        unit = np.stack([(i + 0.5) / count, (0.5 + i * 0.6180339887498949) % 1.0], axis=1)
        points = np.zeros((count, 2))
        for column, (low, end) in enumerate(self.bounds):
            high = max(final_epoch, 2 * low) if end is None else end
            points[:, column] = low * (high / low) ** unit[:, column]
        return points


_SCALE = (0.5, None)
"""Prior of a time scale in epochs."""

_ALL = (
    Family("pow3", lambda x, p, _: x**-p, ((0.05, 3.0),)),
    Family("ilog2", lambda x, p, _: 1 / np.log(x + 1), ()),
    Family("loglog_linear", lambda x, p, _: np.log(1 + p + p * np.log(x)), ((0.02, 20.0),), False),
    Family("pow4", lambda x, p, q: (1 + x / q) ** -p, ((0.05, 3.0), _SCALE)),
    Family("mmf", lambda x, p, q: 1 / (1 + (x / q) ** p), ((0.1, 4.0), _SCALE)),
    Family("hill3", lambda x, p, q: 1 / (1 + (x / q) ** -p), ((0.1, 4.0), _SCALE), False),
    Family("weibull", lambda x, p, q: np.exp(-((x / q) ** p)), ((0.1, 2.0), _SCALE)),
    Family("vap", lambda x, p, q: np.exp(-p / x) * x**q, ((0.05, 10.0), (0.005, 0.5)), False),
)

FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _ALL})
"""Name -> family. Of the eleven of Domhan et al. three are the same in other parameters:
``log_power`` is ``hill3``, ``exp4`` and ``janoschek`` are ``weibull``."""
