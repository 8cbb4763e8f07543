"""Numbers about predictions: correlations, populations, rankings, Pareto fronts; no torch."""

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
from foretell.metrics.pareto import hypervolume, non_dominated
from foretell.metrics.populations import (
    deduplicated,
    every,
    populations,
    top_k,
    unreachable,
)
from foretell.metrics.ranking import ndcg, precision_at_k, top_k_regret

__all__ = [
    "CORRELATIONS",
    "Correlation",
    "Interval",
    "bootstrap",
    "correlate",
    "deduplicated",
    "every",
    "hypervolume",
    "kendall",
    "ndcg",
    "non_dominated",
    "pearson",
    "populations",
    "precision_at_k",
    "ranks",
    "spearman",
    "top_k",
    "top_k_regret",
    "unreachable",
]
