"""The contract of a predictor of curves: partial learning curves in, a prediction out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from foretell.curves._values import Curves
from foretell.errors import CurveError
from foretell.prediction import Prediction
from foretell.registry import Registry
from foretell.types import Array, IntArray

__all__ = ["CurvePrediction", "CurvePredictor", "curve_predictors", "same_epochs"]


@dataclass(frozen=True)
class CurvePrediction(Prediction):
    """What partial curves say of n architectures.

    Args:
        mean: (n,) higher is predicted better; the unit is the predictor's. NaN without a value.
        std: (n,) standard deviations in the same unit; None where the method gives none.
        reasons: row -> why its mean is NaN.
    """

    reasons: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))


class CurvePredictor(ABC):
    """Base class of predictors of curves; nothing is learned from finished trainings.

    The constructor only stores; ``predict`` validates; a subclass implements ``_predict``.
    """

    metric: ClassVar[str] = "val_accuracy"
    """The curves that are read."""
    unit: ClassVar[str] = "fraction"
    """Unit of the predictions."""
    extrapolates: ClassVar[bool] = False
    """Whether the value at the final epoch is predicted; otherwise only the order means something,
    and no final epoch is needed."""

    def predict(self, curves: Curves, final_epoch: int | None = None) -> CurvePrediction:
        """Predict what architectures will be worth.

        Epochs at which no architecture has a value of the metric are left out. Where a method
        extrapolates, an architecture with a value at the final epoch is predicted that value, with
        standard deviation 0.

        Args:
            curves: of n architectures, up to the epoch that was trained.
            final_epoch: at which the training will end; needed where the method extrapolates.

        Returns:
            Higher means are predicted better. The mean is NaN, with a reason, where a curve does
            not have what the method needs.

        Raises:
            CurveError: the curves lack the metric, or the final epoch is missing or before their
                last.
        """
        values, epochs = curves.metric(self.metric), curves.epochs
        measured = ~np.isnan(values)
        values, epochs = values[:, measured.any(axis=0)], epochs[measured.any(axis=0)]
        if self.extrapolates:
            final_epoch = self._final(final_epoch, curves.epochs)
        lost = ~measured.any(axis=1)
        reasons = dict.fromkeys(
            np.flatnonzero(lost).tolist(), f"no {self.metric} was measured at any epoch"
        )
        mean = np.full(len(values), np.nan)
        std: Array | None = None
        if not lost.all():
            some, std_some, why = self._predict(values[~lost], epochs, final_epoch or 0)
            rows = np.flatnonzero(~lost)
            mean[rows] = some
            reasons |= {int(rows[i]): reason for i, reason in why.items()}
            if std_some is not None:
                std = np.full(len(values), np.nan)
                std[rows] = std_some
        if self.extrapolates and len(epochs) and epochs[-1] == final_epoch:
            done = ~np.isnan(values[:, -1])
            mean[done] = values[done, -1]
            if std is not None:
                std[done] = 0.0
        return CurvePrediction(mean, std, MappingProxyType(dict(sorted(reasons.items()))))

    def _final(self, final_epoch: int | None, epochs: IntArray) -> int:
        if final_epoch is None:
            raise CurveError(
                f"{type(self).__name__} predicts the value at the final epoch: give final_epoch."
            )
        if final_epoch < epochs[-1]:
            raise CurveError(
                f"The final epoch {final_epoch} is before the last of the curves, {epochs[-1]}: "
                f"cut them with until({final_epoch})."
            )
        return final_epoch

    @abstractmethod
    def _predict(
        self, values: Array, epochs: IntArray, final_epoch: int
    ) -> tuple[Array, Array | None, Mapping[int, str]]:
        """Mean (n,), std (n,) or None, and row -> reason where the mean is NaN.

        Args:
            values: (n, e) with NaN; each row and column has some value.
            epochs: (e,)
            final_epoch: 0 where the method needs none.
        """


curve_predictors: Registry[type[CurvePredictor]] = Registry("curve-predictor")
"""Predictors of curves by name; facts: ``metric``, ``unit``, ``std``, and ``alone``: whether the
prediction of one architecture is independent of the others."""


def same_epochs(values: Array) -> Iterator[tuple[IntArray, IntArray]]:
    """Groups of rows that are measured at the same epochs.

    Args:
        values: (n, e) with NaN.

    Yields:
        Rows, and the columns that they have.
    """
    masks, group = np.unique(~np.isnan(values), axis=0, return_inverse=True)
    group = group.reshape(-1)
    for i, mask in enumerate(masks):
        yield np.flatnonzero(group == i), np.flatnonzero(mask)
