"""Target transformations: to normal quantiles and to unit variance."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from foretell.metrics import normal_scores
from foretell.predictors._base import Prediction
from foretell.types import Array

__all__ = ["NormalTarget", "UnitTarget"]


_BEYOND = 4.0
"""Extrapolate this many standard-normal units beyond the observed range."""


@dataclass(frozen=True)
class NormalTarget:
    """An increasing, piecewise linear map between observed values and normal quantiles.

    The distribution of accuracies is skewed: many just below the best, and a tail down to chance.
    As normal quantiles they meet the assumptions of a Gaussian process or a least-squares fit.
    Beyond the observed range the map continues with the slope over the last unit of quantiles, so
    that the long tail of bad networks does not affect the extrapolation at the top.

    Args:
        values: (k,) increasing.
        quantiles: (k,) of the values, increasing.
    """

    values: Array
    quantiles: Array

    @classmethod
    def of(cls, y: Array) -> Self:
        """The map for observed values, (n,)."""
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

    def transform(self, y: Array) -> Array:
        """Values to quantiles."""
        return np.asarray(np.interp(y, self.values, self.quantiles))

    def inverse_transform(self, z: Array) -> Array:
        """Quantiles to values."""
        return np.asarray(np.interp(z, self.quantiles, self.values))

    def inverse_std(self, z: Array, std: Array) -> Array:
        """Standard deviations of values from those of quantiles, by a central difference."""
        return (self.inverse_transform(z + std) - self.inverse_transform(z - std)) / 2


@dataclass(frozen=True)
class UnitTarget:
    """Standardisation to mean 0 and variance 1, optionally after the map to normal quantiles.

    Args:
        normal: the map to normal quantiles, if any.
        mean: before standardisation.
        std: before standardisation; 1 for a constant.
    """

    normal: NormalTarget | None
    mean: float
    std: float

    @classmethod
    def of(cls, y: Array, normal: bool) -> Self:
        """For observed values, (n,)."""
        target = NormalTarget.of(y) if normal else None
        z = y if target is None else target.transform(y)
        spread = float(z.std())
        return cls(target, float(z.mean()), spread if spread > 1e-12 * np.abs(z).max() else 1.0)

    def transform(self, y: Array) -> Array:
        """Values to standardised targets."""
        z = y if self.normal is None else self.normal.transform(y)
        return (z - self.mean) / self.std

    def prediction(self, t: Array, std: Array | None = None) -> Prediction:
        """Standardised predictions to predicted values.

        Args:
            t: (n,) means.
            std: (n,) standard deviations, if there are any.
        """
        z = self.mean + self.std * t
        wide = None if std is None else self.std * std
        if self.normal is None:
            return Prediction(z, wide)
        spread = None if wide is None else self.normal.inverse_std(z, wide)
        return Prediction(self.normal.inverse_transform(z), spread)
