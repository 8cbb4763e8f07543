"""Features: rows of numbers that say what an architecture looks like."""

from foretell.features._base import FeatureTable
from foretell.features.graf_compat import (
    graf_darts,
    graf_nb101,
    graf_nb201,
    graf_transnas_macro,
    graf_transnas_micro,
)

__all__ = [
    "FeatureTable",
    "graf_darts",
    "graf_nb101",
    "graf_nb201",
    "graf_transnas_macro",
    "graf_transnas_micro",
]
