"""Encodings: rows of numbers that describe an architecture."""

from foretell.encodings._base import Encodings, EncodingTable
from foretell.encodings.adjacency import adjacency
from foretell.encodings.curve import curve_encoding
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
    Encoding,
    EncodingContext,
    encode,
    encodings,
)
from foretell.encodings.scores import cost_encoding, score_encoding
from foretell.encodings.unrolled import unrolled
from foretell.encodings.wl import wl

__all__ = [
    "Encoding",
    "EncodingContext",
    "EncodingTable",
    "Encodings",
    "adjacency",
    "categorical",
    "cost_encoding",
    "curve_encoding",
    "encode",
    "encodings",
    "graf",
    "graf_darts",
    "graf_nb101",
    "graf_nb201",
    "graf_transnas_macro",
    "graf_transnas_micro",
    "onehot",
    "path_encoding",
    "score_encoding",
    "unrolled",
    "wl",
]
