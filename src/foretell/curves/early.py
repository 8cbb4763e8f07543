"""Predictors that only read the curves: last values, and sums of training losses."""

from collections.abc import Mapping

import numpy as np

from foretell.curves._base import CurvePredictor, curve_predictors
from foretell.errors import CurveError
from foretell.types import Array, IntArray

__all__ = [
    "EarlyStopAccuracy",
    "EarlyStopLoss",
    "LastLoss",
    "LastTrainAccuracy",
    "SumOfLosses",
    "SumOfLossesEMA",
]

_RU = "Ru et al., Speedy Performance Estimation for NAS, NeurIPS 2021, section 3"
_WHITE = "White et al., How Powerful are Performance Predictors in NAS?, NeurIPS 2021, section 3"

_Result = tuple[Array, Array | None, Mapping[int, str]]


def _last(values: Array) -> Array:
    """The last measured value of each row, (n,)."""
    column = values.shape[1] - 1 - np.argmax(~np.isnan(values)[:, ::-1], axis=1)
    return np.asarray(values[np.arange(len(values)), column])


@curve_predictors.add(
    "early_stop_accuracy", metric="val_accuracy", unit="fraction", std=False, alone=True,
    reference=_WHITE,
)  # fmt: skip
class EarlyStopAccuracy(CurvePredictor):
    """Early stopping: the last measured validation accuracy, a fraction.

    Reference: White et al., NeurIPS 2021, section 3.
    """

    def _predict(self, values: Array, epochs: IntArray, final_epoch: int) -> _Result:
        return _last(values), None, {}


@curve_predictors.add(
    "early_stop_loss", metric="val_loss", unit="-nats", std=False, alone=True, reference=_WHITE
)
class EarlyStopLoss(CurvePredictor):
    """Early stopping: minus the last measured validation loss, in nats.

    Reference: White et al., NeurIPS 2021, section 3.
    """

    metric = "val_loss"
    unit = "-nats"

    def _predict(self, values: Array, epochs: IntArray, final_epoch: int) -> _Result:
        return -_last(values), None, {}


@curve_predictors.add(
    "train_accuracy", metric="train_accuracy", unit="fraction", std=False, alone=True,
    reference=_WHITE,
)  # fmt: skip
class LastTrainAccuracy(EarlyStopAccuracy):
    """The last measured training accuracy, a fraction; its noise is less than validation's."""

    metric = "train_accuracy"


@curve_predictors.add(
    "sotl", metric="train_loss", unit="-nats", std=False, alone=True, reference=_RU
)
class SumOfLosses(CurvePredictor):
    """SoTL: minus the sum of training losses over the epochs, in nats.

    A sum over fewer epochs would look better, so an architecture that lacks one of the epochs has
    no prediction.

    Reference: Ru et al., NeurIPS 2021, section 3. Differs from automl/NASLib@0e58dfe: there a
    missing epoch is not noticed.
    """

    metric = "train_loss"
    unit = "-nats"

    def _predict(self, values: Array, epochs: IntArray, final_epoch: int) -> _Result:
        return -self._sums(values), None, _incomplete(values, epochs)

    def _sums(self, values: Array) -> Array:
        return np.asarray(values.sum(axis=1))


@curve_predictors.add(
    "sotl_ema", metric="train_loss", unit="-nats", std=False, alone=True, reference=_RU
)
class SumOfLossesEMA(SumOfLosses):
    """SoTL-EMA: minus the sum of an exponential average of training losses, in nats.

    The average starts at the first loss and is a_t = (1 - momentum) a_(t-1) + momentum loss_t,
    as in the survey's code; with its .99 it is close to SoTL.

    Args:
        momentum: weight of the newest loss, in (0, 1]; another one raises CurveError on
            ``predict``.

    Reference: Ru et al., NeurIPS 2021, section 3.
    """

    def __init__(self, momentum: float = 0.99) -> None:
        """Store the options."""
        self.momentum = momentum

    def _sums(self, values: Array) -> Array:
        if not 0 < self.momentum <= 1:
            raise CurveError(f"Expected a momentum in (0, 1], but got {self.momentum}.")
        average = values[:, 0]
        total = average.copy()
        for loss in values.T[1:]:
            average = (1 - self.momentum) * average + self.momentum * loss
            total += average
        return total


@curve_predictors.add(
    "sotl_e", metric="train_loss", unit="-nats", std=False, alone=True, reference=_RU
)
class LastLoss(EarlyStopLoss):
    """SoTL-E: minus the last measured epoch's training loss, in nats.

    Reference: Ru et al., NeurIPS 2021, section 3.
    """

    metric = "train_loss"


def _incomplete(values: Array, epochs: IntArray) -> dict[int, str]:
    """Row -> why its epochs cannot be summed."""
    lost = np.isnan(values)
    return {
        int(i): f"train_loss is missing at {lost[i].sum()} of {len(epochs)} epochs, first "
        f"{epochs[lost[i]][0]}, and the sum is over all"
        for i in np.flatnonzero(lost.any(axis=1))
    }
