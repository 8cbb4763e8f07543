"""The contract of a predictor: fit on labelled architectures, predict others."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from inspect import signature
from typing import Self

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.prediction import Prediction
from foretell.registry import Registry
from foretell.types import Array

__all__ = ["Prediction", "Predictor", "predictors", "seeded"]


class Predictor(ABC):
    """Base class of predictors, with the conventions of scikit-learn.

    The constructor only stores; ``fit`` and ``predict`` validate; a subclass implements ``_fit``
    and ``_predict``. Fitted attributes end in an underscore.
    """

    min_train_size = 2
    """Minimum number of labelled architectures."""

    def fit(self, encodings: Encodings, y: Array) -> Self:
        """Fit on labelled architectures.

        Args:
            encodings: of the labelled architectures.
            y: (n,) their values; either direction may be better.

        Raises:
            PredictorError: the lengths differ, there are too few values, or one is not finite.
        """
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (len(encodings),):
            raise PredictorError(
                f"Expected one value for each of {len(encodings)} architectures, but got values of "
                f"shape {values.shape}."
            )
        if len(values) < self.min_train_size:
            raise PredictorError(
                f"{type(self).__name__} needs {self.min_train_size} measured architectures or "
                f"more, but got {len(values)}."
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
        """An unfitted copy with the same options; it keeps what was chosen by cross-validation."""
        new = copy(self)
        for name in [name for name in vars(new) if name.endswith("_")]:
            delattr(new, name)
        return new

    def held_out(self) -> Prediction | None:
        """Cross-validated predictions for the training architectures, if fitting made them.

        None otherwise; ``foretell.predictors.held_out`` then makes them.
        """
        return None

    def predict(self, encodings: Encodings) -> Prediction:
        """Predict the values of architectures.

        Args:
            encodings: with the same columns as in ``fit``.

        Raises:
            PredictorError: not fitted, or the columns differ from those in ``fit``.
        """
        self._ready(encodings)
        return self._predict(encodings)

    def contributions(self, encodings: Encodings) -> Array | None:
        """Contribution of each column to each prediction, (n, columns + 1); the last is the base.

        Rows sum to the predicted means. None where the method gives none;
        ``foretell.predictors.explain.contributions`` then explains a surrogate.

        Args:
            encodings: with the same columns as in ``fit``.

        Raises:
            PredictorError: not fitted, or the columns differ from those in ``fit``.
        """
        self._ready(encodings)
        return self._contributions(encodings)

    def _ready(self, encodings: Encodings) -> None:
        if not hasattr(self, "columns_"):
            raise PredictorError(f"{type(self).__name__} is not fitted yet: call fit first.")
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
        """Fit on validated encodings and values."""

    @abstractmethod
    def _predict(self, encodings: Encodings) -> Prediction:
        """Predict from validated encodings."""

    def _contributions(self, encodings: Encodings) -> Array | None:
        """Contributions from validated encodings; None where the method gives none."""
        return None


predictors: Registry[type[Predictor]] = Registry("predictor")
"""Classes of predictors; facts: ``family``, and ``extra`` where one is needed."""


def seeded(name: str, seed: int) -> Callable[[], Predictor]:
    """A factory of the predictor of a registered name, with the seed, if it takes one.

    Raises:
        UnknownNameError: no such predictor.
    """
    kind = predictors[name]
    if "seed" in signature(kind).parameters:
        return lambda: kind(seed=seed)  # type: ignore[call-arg]
    return kind
