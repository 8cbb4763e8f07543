"""Base class of neural predictors: inputs and targets of unit variance."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.predictors._base import Prediction, Predictor
from foretell.predictors.neural.losses import RANK_LOSSES
from foretell.predictors.neural.networks import Networks
from foretell.predictors.shared.targets import NormalTarget
from foretell.types import Array

__all__ = ["Neural", "check_at_least", "to_targets"]


class Neural(Predictor):
    """Passes standardised inputs and targets to a subclass.

    All encodings have equal weight, and columns have a variance of 1 on average.

    Args:
        normal_target: whether to transform values to normal quantiles first.
    """

    def __init__(self, normal_target: bool) -> None:
        """Store the option."""
        self.normal_target = normal_target

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        z = y if self.target_ is None else self.target_.transform(y)
        self.middle_, self.spread_ = float(z.mean()), float(z.std())
        self.scales_ = encodings.scales
        self._train(self._inputs(encodings), (z - self.middle_) / (self.spread_ or 1.0))

    def _predict(self, encodings: Encodings) -> Prediction:
        mean, std = self._predict_targets(self._inputs(encodings))
        z = self.middle_ + self.spread_ * mean
        wide = None if std is None else self.spread_ * std
        if self.target_ is None:
            return Prediction(z, wide)
        return Prediction(
            self.target_.inverse_transform(z),
            None if wide is None else self.target_.inverse_std(z, wide),
        )

    def _inputs(self, encodings: Encodings) -> Array:
        x = encodings.scaled(self.scales_)
        return x * math.sqrt(x.shape[1] / len(encodings.tables))

    @abstractmethod
    def _train(self, x: Array, t: Array) -> None:
        """Train on inputs (n, d) and targets (n,)."""

    @abstractmethod
    def _predict_targets(self, x: Array) -> tuple[Array, Array | None]:
        """Mean (n,) and standard deviation (n,), if any, on the scale of the targets."""


def to_targets(networks: Networks, x: Array, t: Array, loss: str) -> tuple[Array, Array]:
    """The increasing linear map from each network's outputs to targets.

    With a rank loss the outputs have no scale: the map is the least-squares fit to the labelled
    architectures. With other losses it is the identity.

    Args:
        networks: trained ones.
        x: (members, n, d) inputs each was trained on.
        t: (members, n) targets.
        loss: they were trained with.

    Returns:
        Slope and offset, (members, 1) each; no slope is negative.
    """
    members = len(t)
    if loss not in RANK_LOSSES:
        return np.ones((members, 1)), np.zeros((members, 1))
    scores = networks(x)
    middle = scores.mean(axis=1, keepdims=True)
    apart = scores - middle
    square = (apart**2).sum(axis=1, keepdims=True)
    along = (apart * t).sum(axis=1, keepdims=True)
    slope = np.divide(np.maximum(along, 0.0), square, out=np.zeros_like(square), where=square > 0)
    return slope, t.mean(axis=1, keepdims=True) - slope * middle


def check_at_least(least: int, **counts: int | Sequence[int]) -> None:
    """Refuse counts that are too small.

    Raises:
        PredictorError: one is.
    """
    for name, value in counts.items():
        each = [value] if isinstance(value, int) else value
        if not each or min(each) < least:
            raise PredictorError(f"Expected {name} of {least} or more, but got {value!r}.")
