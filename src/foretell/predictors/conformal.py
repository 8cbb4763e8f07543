"""Conformal prediction intervals by cross-validation."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError, UsageError
from foretell.predictors._base import Prediction, Predictor
from foretell.predictors.shared.folds import held_out
from foretell.types import Array

__all__ = ["Conformal", "Intervals"]

_FOLDS = 10


@dataclass(frozen=True)
class Intervals:
    """Predictions with intervals.

    Args:
        mean: (n,) predicted values.
        low: (n,) lower ends.
        high: (n,) upper ends.
        level: nominal coverage.
    """

    mean: Array
    low: Array
    high: Array
    level: float


class Conformal:
    """Conformal prediction intervals around any predictor.

    The half width of every interval is a quantile of the absolute cross-validation errors, from ten
    folds or from the predictor's own cross-validation. If the predictor gives standard deviations,
    errors are divided by these first, so that intervals are wider where it is uncertain. If the
    labelled architectures are a random sample, the coverage is about ``level`` for any predictor.

    Reference: Vovk, Cross-conformal predictors, 2015; Lei et al., JASA 2018, section 5.2 (scaling).
    Differs: one width from all folds, around the predictor that was fitted on all architectures.

    Args:
        make: factory of the predictor.
        level: nominal coverage.
        seed: of the folds.
    """

    def __init__(self, make: Callable[[], Predictor], *, level: float = 0.9, seed: int = 0) -> None:
        """Store the options.

        Raises:
            UsageError: the level is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise UsageError(f"Expected a level between 0 and 1, but got {level}.")
        self.make, self.level, self.seed = make, level, seed

    @staticmethod
    def min_train_size(level: float) -> int:
        """How many labelled architectures intervals of a level need."""
        return math.ceil(round(level / (1 - level), 6))

    def fit(
        self, encodings: Encodings, y: Array, *, fitted: Predictor | None = None
    ) -> "Conformal":
        """Fit the predictor and calibrate the width of the intervals.

        Args:
            encodings: of the labelled architectures.
            y: (n,) their values.
            fitted: the predictor, if it is already fitted on these.

        Raises:
            PredictorError: there are too few values for the level, or the predictor refuses them.
        """
        n = len(y)
        rank = math.ceil((n + 1) * self.level)
        if rank > n:
            raise PredictorError(
                f"{self.level:.0%} intervals need {self.min_train_size(self.level)} measured "
                f"architectures or more, but there are {n}: measure more, or ask for a lower level."
            )
        self.predictor_ = self.make().fit(encodings, y) if fitted is None else fitted
        out = self.predictor_.held_out()
        if out is None:
            out = held_out(self.make, encodings, y, _FOLDS, np.random.default_rng(self.seed))
        errors = np.abs(y - out.mean)
        self.scaled_ = out.std is not None
        if out.std is not None:
            self.floor_ = max(float(np.median(out.std)) / 10, 1e-12)
            errors = errors / np.maximum(out.std, self.floor_)
        self.errors_ = errors
        self.width_ = float(np.sort(errors)[rank - 1])
        self.held_out_ = out
        return self

    def held_out(self) -> Intervals:
        """Leave-one-out intervals for the training architectures, from the errors of the others.

        Their overall coverage is the nominal one by construction; look at them to see the coverage
        of a part, such as the best third.

        Raises:
            PredictorError: nothing was fitted.
        """
        self._fitted()
        n, order = len(self.errors_), np.argsort(self.errors_, kind="stable")
        rank = math.ceil(n * self.level) - 1  # among the n - 1 others
        widths = np.append(self.errors_[order], np.inf)
        half = np.empty(n)
        half[order] = np.where(np.arange(n) <= rank, widths[rank + 1], widths[rank])
        out = self.held_out_
        if out.std is not None:
            half = half * np.maximum(out.std, self.floor_)
        return Intervals(out.mean, out.mean - half, out.mean + half, self.level)

    def predict(self, encodings: Encodings) -> Intervals:
        """Predictions with intervals.

        Raises:
            PredictorError: nothing was fitted, or the columns are others.
        """
        self._fitted()
        prediction: Prediction = self.predictor_.predict(encodings)
        half = np.full(len(prediction.mean), self.width_)
        if self.scaled_ and prediction.std is not None:
            half = self.width_ * np.maximum(prediction.std, self.floor_)
        return Intervals(
            prediction.mean, prediction.mean - half, prediction.mean + half, self.level
        )

    def _fitted(self) -> None:
        if not hasattr(self, "width_"):
            raise PredictorError("Conformal is not fitted yet: call fit first.")
