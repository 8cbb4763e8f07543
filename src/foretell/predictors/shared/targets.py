"""Targets as normal quantiles, and back."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from foretell.metrics import normal_scores
from foretell.predictors._base import Prediction
from foretell.types import Array

__all__ = ["NormalTarget", "UnitTarget"]


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


@dataclass(frozen=True)
class UnitTarget:
    """Values of mean 0 and variance 1, if wanted after a turn into normal quantiles.

    Args:
        normal: the turn into normal quantiles, if it is wanted.
        mean: of what is scaled.
        std: of what is scaled; 1 where that does not vary.
    """

    normal: NormalTarget | None
    mean: float
    std: float

    @classmethod
    def of(cls, y: Array, normal: bool) -> Self:
        """For measured values, (n,)."""
        target = NormalTarget.of(y) if normal else None
        z = y if target is None else target.forward(y)
        spread = float(z.std())
        return cls(target, float(z.mean()), spread if spread > 1e-12 * np.abs(z).max() else 1.0)

    def forward(self, y: Array) -> Array:
        """Values to what is learned."""
        z = y if self.normal is None else self.normal.forward(y)
        return (z - self.mean) / self.std

    def prediction(self, t: Array, std: Array | None = None) -> Prediction:
        """What was learned, to predicted values.

        Args:
            t: (n,) means.
            std: (n,) standard deviations, if there are any.
        """
        z = self.mean + self.std * t
        wide = None if std is None else self.std * std
        if self.normal is None:
            return Prediction(z, wide)
        spread = None if wide is None else self.normal.spread(z, wide)
        return Prediction(self.normal.back(z), spread)
