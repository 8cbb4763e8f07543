"""Learning curves: partial ones as values, and predictors of what they lead to."""

from foretell.curves._base import CurvePrediction, CurvePredictor, curve_predictors
from foretell.curves._values import METRICS, Curves
from foretell.curves.early import (
    EarlyStopAccuracy,
    EarlyStopLoss,
    LastLoss,
    LastTrainAccuracy,
    SumOfLosses,
    SumOfLossesEMA,
)
from foretell.curves.families import FAMILIES, Family
from foretell.curves.gp import CurveGaussianProcess
from foretell.curves.lce import LCE, LCEM

__all__ = [
    "FAMILIES",
    "LCE",
    "LCEM",
    "METRICS",
    "CurveGaussianProcess",
    "CurvePrediction",
    "CurvePredictor",
    "Curves",
    "EarlyStopAccuracy",
    "EarlyStopLoss",
    "Family",
    "LastLoss",
    "LastTrainAccuracy",
    "SumOfLosses",
    "SumOfLossesEMA",
    "curve_predictors",
]
