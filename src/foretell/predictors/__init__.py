"""Predictors: from encodings of architectures to the values that training would give."""

from foretell.predictors._base import Prediction, Predictor, predictors, seeded
from foretell.predictors.auto import Auto, Candidate
from foretell.predictors.conformal import Conformal, Intervals
from foretell.predictors.dngo import DNGO
from foretell.predictors.gp.exact import GaussianProcess
from foretell.predictors.gp.sparse import SparseGaussianProcess, VariationalGaussianProcess
from foretell.predictors.gp.wl import GraphGaussianProcess
from foretell.predictors.lc_svr import LcSVR
from foretell.predictors.linear import BayesianLinear, Linear
from foretell.predictors.neural.bananas import BANANAS
from foretell.predictors.neural.bohamiann import BOHAMIANN
from foretell.predictors.neural.mlp import MLP
from foretell.predictors.ngboost import NGBoost
from foretell.predictors.shared.folds import folds, held_out
from foretell.predictors.svr import SVR
from foretell.predictors.trees import ExtraTrees, LightGBM, RandomForest, XGBoost

__all__ = [
    "BANANAS",
    "BOHAMIANN",
    "DNGO",
    "MLP",
    "SVR",
    "Auto",
    "BayesianLinear",
    "Candidate",
    "Conformal",
    "ExtraTrees",
    "GaussianProcess",
    "GraphGaussianProcess",
    "Intervals",
    "LcSVR",
    "LightGBM",
    "Linear",
    "NGBoost",
    "Prediction",
    "Predictor",
    "RandomForest",
    "SparseGaussianProcess",
    "VariationalGaussianProcess",
    "XGBoost",
    "folds",
    "held_out",
    "predictors",
    "seeded",
]
