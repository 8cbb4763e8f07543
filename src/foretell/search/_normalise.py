"""Scores of many scales on one scale; an unknown score becomes 0 and so adds nothing to a sum."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from foretell.metrics import normal_scores, ranks
from foretell.types import Array

__all__ = ["NORMALISATIONS"]


def _rank(values: Array) -> Array:
    """Average ranks from -1/2 to 1/2."""
    known = ~np.isnan(values)
    out = np.zeros(len(values))
    if known.sum() > 1:
        out[known] = ranks(values[known]) / (known.sum() - 1) - 0.5
    return out


def _min_max(values: Array) -> Array:
    """From 0 at the lowest to 1 at the highest; an infinite score counts as unknown."""
    known = np.isfinite(values)
    out = np.zeros(len(values))
    if known.any() and (span := values[known].max() - values[known].min()) > 0:
        out[known] = (values[known] - values[known].min()) / span
    return out


NORMALISATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {"normal": normal_scores, "rank": _rank, "min-max": _min_max}
)
"""Name -> function of (n,) scores with NaN that gives (n,) without."""
