"""Features: rows of numbers that say what an architecture looks like."""

from foretell.encodings._base import FeatureTable, Inputs
from foretell.encodings.adjacency import adjacency
from foretell.encodings.graf.compat import (
    graf_darts,
    graf_nb101,
    graf_nb201,
    graf_transnas_macro,
    graf_transnas_micro,
)
from foretell.encodings.graf.own import graf
from foretell.encodings.onehot import categorical, onehot
from foretell.encodings.paths import path_encoding
from foretell.encodings.registry import (
    Known,
    Representation,
    represent,
    representations,
)
from foretell.encodings.scores import cost_features, score_features
from foretell.encodings.unrolled import unrolled
from foretell.encodings.wl import wl

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
