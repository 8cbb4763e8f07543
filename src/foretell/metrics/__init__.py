"""Metrics of predictions: correlations, errors, calibration, ranking, Pareto fronts; no torch."""

from foretell.metrics._estimate import Estimate
from foretell.metrics.calibration import (
    calibration_error,
    coverage,
    normal_interval,
    sharpness,
)
from foretell.metrics.correlation import (
    CORRELATIONS,
    Correlation,
    Interval,
    bootstrap,
    correlate,
    kendall,
    pearson,
    ranks,
    spearman,
)
from foretell.metrics.errors import mae, r2, rmse
from foretell.metrics.matrix import Cross, cross
from foretell.metrics.normal import normal_scores
from foretell.metrics.pareto import hypervolume, non_dominated
from foretell.metrics.populations import (
    deduplicated,
    every,
    populations,
    top_k,
    unreachable,
)
from foretell.metrics.ranking import ndcg, precision_at_k, top_k_regret
from foretell.metrics.resampling import bootstrap_of
from foretell.metrics.weighted import hyperbolic, sparse_kendall, weighted_kendall

__all__ = [
    "CORRELATIONS",
    "Correlation",
    "Cross",
    "Estimate",
    "Interval",
    "bootstrap",
    "bootstrap_of",
    "calibration_error",
    "correlate",
    "coverage",
    "cross",
    "deduplicated",
    "every",
    "hyperbolic",
    "hypervolume",
    "kendall",
    "mae",
    "ndcg",
    "non_dominated",
    "normal_interval",
    "normal_scores",
    "pearson",
    "populations",
    "precision_at_k",
    "r2",
    "ranks",
    "rmse",
    "sharpness",
    "sparse_kendall",
    "spearman",
    "top_k",
    "top_k_regret",
    "unreachable",
    "weighted_kendall",
]
