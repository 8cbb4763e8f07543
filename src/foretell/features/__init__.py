"""Features: rows of numbers that say what an architecture looks like."""

from foretell.features._base import FeatureTable, Inputs
from foretell.features.adjacency import adjacency
from foretell.features.encodings import categorical, onehot
from foretell.features.graf import graf
from foretell.features.graf_compat import (
    graf_darts,
    graf_nb101,
    graf_nb201,
    graf_transnas_macro,
    graf_transnas_micro,
)
from foretell.features.paths import path_encoding
from foretell.features.representations import (
    Known,
    Representation,
    represent,
    representations,
)
from foretell.features.scores import cost_features, score_features
from foretell.features.unrolled import unrolled
from foretell.features.wl import wl

__all__ = [
    "FeatureTable",
    "Inputs",
    "Known",
    "Representation",
    "adjacency",
    "categorical",
    "cost_features",
    "graf",
    "graf_darts",
    "graf_nb101",
    "graf_nb201",
    "graf_transnas_macro",
    "graf_transnas_micro",
    "onehot",
    "path_encoding",
    "represent",
    "representations",
    "score_features",
    "unrolled",
    "wl",
]
