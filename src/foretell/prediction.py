"""Predicted values of architectures, whatever they were predicted from."""

from dataclasses import dataclass

from foretell.types import Array

__all__ = ["Prediction"]


@dataclass(frozen=True)
class Prediction:
    """Predicted values.

    Args:
        mean: (n,) in the unit of the values that were fitted.
        std: (n,) predictive standard deviations in the same unit; None where the method gives none.
    """

    mean: Array
    std: Array | None = None
