"""The contract of a predictor: fit on what was measured, predict what was not."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from inspect import signature
from typing import Self

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.registry import Registry
from foretell.types import Array

__all__ = ["Prediction", "Predictor", "predictors", "seeded"]


@dataclass(frozen=True)
class Prediction:
    """Predicted values.

    Args:
        mean: (n,) in the unit of the values that were fitted.
        std: (n,) how uncertain each is, in the same unit; None where the method gives none.
    """

    mean: Array
    std: Array | None = None


class Predictor(ABC):
    """Learns from labelled architectures; the constructor only stores.

    ``fit`` and ``predict`` check; ``_fit`` and ``_predict`` are all a subclass has to give. What is
    learned stands in attributes that end in an underscore.
    """

    least = 2
    """Fewest labelled architectures that make sense."""

    def fit(self, encodings: Encodings, y: Array) -> Self:
        """Learn.

        Args:
            encodings: of the labelled architectures.
            y: (n,) their values; higher or lower may be better.

        Raises:
            PredictorError: the lengths differ, there are too few values, or one is not finite.
        """
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (len(encodings),):
            raise PredictorError(
                f"Expected one value for each of {len(encodings)} architectures, but got values of "
                f"shape {values.shape}."
            )
        if len(values) < self.least:
            raise PredictorError(
                f"{type(self).__name__} needs {self.least} measured architectures or more, but got "
                f"{len(values)}."
            )
        if not np.isfinite(values).all():
            raise PredictorError(
                f"{int((~np.isfinite(values)).sum())} of {len(values)} measured values are not "
                f"finite: leave those architectures out."
            )
        self._check(encodings)
        self.columns_ = encodings.names
        self._fit(encodings, values)
        return self

    def unfitted(self) -> Self:
        """A new one with the same options, and with what fitting chose among models."""
        new = copy(self)
        for name in [name for name in vars(new) if name.endswith("_")]:
            delattr(new, name)
        return new

    def held_out(self) -> Prediction | None:
        """Predictions for the fitted architectures by models that had not seen them.

        None where fitting makes none; ``foretell.predictors.held_out`` then makes them.
        """
        return None

    def predict(self, encodings: Encodings) -> Prediction:
        """Predict.

        Args:
            encodings: with the columns of those that were fitted.

        Raises:
            PredictorError: nothing was fitted, or the columns are others.
        """
        self._ready(encodings)
        return self._predict(encodings)

    def contributions(self, encodings: Encodings) -> Array | None:
        """What each column adds to each prediction, (n, columns + 1); the last is the base.

        Rows sum to the predicted means. None where the method says nothing of the kind;
        ``foretell.predictors.explain.contributions`` then explains a copy.

        Args:
            encodings: with the columns of those that were fitted.

        Raises:
            PredictorError: nothing was fitted, or the columns are others.
        """
        self._ready(encodings)
        return self._contributions(encodings)

    def _ready(self, encodings: Encodings) -> None:
        if not hasattr(self, "columns_"):
            raise PredictorError(f"{type(self).__name__} has learned nothing yet: call fit first.")
        if encodings.names != self.columns_:
            raise PredictorError(
                f"{type(self).__name__} was fitted on {len(self.columns_)} columns, but now gets "
                f"{len(encodings.names)} or others: encode all architectures in one call."
            )
        self._check(encodings)

    @staticmethod
    def _check(encodings: Encodings) -> None:
        if not np.isfinite(encodings.matrix()).all():
            raise PredictorError(
                "Some encodings are not finite: leave out what cannot be computed."
            )

    @abstractmethod
    def _fit(self, encodings: Encodings, y: Array) -> None:
        """Learn from checked values."""

    @abstractmethod
    def _predict(self, encodings: Encodings) -> Prediction:
        """Predict from checked columns."""

    def _contributions(self, encodings: Encodings) -> Array | None:
        """Contributions of checked columns, where the method gives any."""
        return None


predictors: Registry[type[Predictor]] = Registry("predictor")
"""Classes of predictors; facts: ``family``, and ``extra`` where one is needed."""


def seeded(name: str, seed: int) -> Callable[[], Predictor]:
    """What makes new predictors of a registered name, with the seed, if they take one.

    Raises:
        UnknownNameError: no such predictor.
    """
    kind = predictors[name]
    if "seed" in signature(kind).parameters:
        return lambda: kind(seed=seed)  # type: ignore[call-arg]
    return kind
