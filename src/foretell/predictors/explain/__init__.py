"""Explanations of a fitted predictor: contributions and permutation importance."""

from foretell.predictors.explain.contributions import Contributions, Fidelity, contributions
from foretell.predictors.explain.families import families, tables
from foretell.predictors.explain.permutation import Importance, permutation_importance

__all__ = [
    "Contributions",
    "Fidelity",
    "Importance",
    "contributions",
    "families",
    "permutation_importance",
    "tables",
]
