"""Intervals that hold whatever the predictor: conformal prediction by cross-validation."""

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
    """Predictions with what surely lies around them.

    Args:
        mean: (n,) predicted values.
        low: (n,) lower ends.
        high: (n,) upper ends.
        level: share of values that should lie between.
    """

    mean: Array
    low: Array
    high: Array
    level: float


class Conformal:
    """Intervals around any predictor, from how far off it is on what it has not seen.

    The labelled architectures are predicted in ten folds, or as the predictor did while it was
    fitted; the quantile of their errors is the half width of every interval. Where the predictor
    says how uncertain it is, errors are divided by that first, so that intervals are wide where it
    knows little. If the labelled architectures are a random sample, about ``level`` of all values
    lie inside, whatever the predictor is worth.

    Reference: Vovk, Cross-conformal predictors, 2015; Lei et al., JASA 2018, section 5.2 (scaling).
    Differs: one width from all folds around the predictor that was fitted on everything.

    Args:
        make: a new predictor.
        level: share of values that should lie inside.
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
    def least(level: float) -> int:
        """How many labelled architectures intervals of a level need."""
        return math.ceil(round(level / (1 - level), 6))

    def fit(
        self, encodings: Encodings, y: Array, *, fitted: Predictor | None = None
    ) -> "Conformal":
        """Fit the predictor, and learn how wide intervals have to be.

        Args:
            encodings: of the labelled architectures.
            y: (n,) their values.
            fitted: the predictor, if it was fitted on the same before.

        Raises:
            PredictorError: there are too few values for the level, or the predictor refuses them.
        """
        n = len(y)
        place = math.ceil((n + 1) * self.level)
        if place > n:
            raise PredictorError(
                f"{self.level:.0%} intervals need {self.least(self.level)} measured "
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
        self.width_ = float(np.sort(errors)[place - 1])
        self.held_out_ = out
        return self

    def held_out(self) -> Intervals:
        """Intervals for the fitted architectures, each as wide as the others' errors ask for.

        Of all of them together they hold the level by construction; of a part, such as the best
        third, they may not, which is what they are good to look at for.

        Raises:
            PredictorError: nothing was fitted.
        """
        self._fitted()
        n, order = len(self.errors_), np.argsort(self.errors_, kind="stable")
        place = math.ceil(n * self.level) - 1  # among the n - 1 others
        widths = np.append(self.errors_[order], np.inf)
        half = np.empty(n)
        half[order] = np.where(np.arange(n) <= place, widths[place + 1], widths[place])
        out = self.held_out_
        if out.std is not None:
            half = half * np.maximum(out.std, self.floor_)
        return Intervals(out.mean, out.mean - half, out.mean + half, self.level)

    def predict(self, encodings: Encodings) -> Intervals:
        """Predictions and intervals.

        Raises:
            PredictorError: nothing was fitted, or the columns are others.
        """
        self._fitted()
        found: Prediction = self.predictor_.predict(encodings)
        half = np.full(len(found.mean), self.width_)
        if self.scaled_ and found.std is not None:
            half = self.width_ * np.maximum(found.std, self.floor_)
        return Intervals(found.mean, found.mean - half, found.mean + half, self.level)

    def _fitted(self) -> None:
        if not hasattr(self, "width_"):
            raise PredictorError("Conformal has learned nothing yet: call fit first.")
