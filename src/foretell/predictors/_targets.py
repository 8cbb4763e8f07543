"""Targets as normal quantiles, and back."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from foretell.metrics import normal_scores
from foretell.types import Array

__all__ = ["NormalTarget"]


_BEYOND = 4.0
"""So many quantiles beyond the measured values the map goes on."""


@dataclass(frozen=True)
class NormalTarget:
    """A rising, piecewise linear map between measured values and normal quantiles.

    Accuracies crowd below the best and trail off to chance; in quantiles they are what a Gaussian
    process or a least-squares fit assumes. Beyond the measured values it goes on as steeply as over
    the last unit of quantiles, so that the long tail of bad networks does not blur the best ones.

    Args:
        values: (k,) rising.
        quantiles: (k,) theirs, rising.
    """

    values: Array
    quantiles: Array

    @classmethod
    def of(cls, y: Array) -> Self:
        """The map of measured values, (n,)."""
        values, first = np.unique(y, return_index=True)
        z = normal_scores(y)[first]
        if len(values) == 1:
            return cls(values, z)
        low = np.interp(z[0] + 1, z, values) - values[0]
        high = values[-1] - np.interp(z[-1] - 1, z, values)
        return cls(
            np.concatenate([[values[0] - _BEYOND * low], values, [values[-1] + _BEYOND * high]]),
            np.concatenate([[z[0] - _BEYOND], z, [z[-1] + _BEYOND]]),
        )

    def forward(self, y: Array) -> Array:
        """Values to quantiles."""
        return np.asarray(np.interp(y, self.values, self.quantiles))

    def back(self, z: Array) -> Array:
        """Quantiles to values."""
        return np.asarray(np.interp(z, self.quantiles, self.values))

    def spread(self, z: Array, std: Array) -> Array:
        """Standard deviations of values from those of quantiles: half of what lies between."""
        return (self.back(z + std) - self.back(z - std)) / 2
