"""One sentence on a network from the places of its scores, its size and its expected accuracy."""

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from foretell.studies.score.explain import Explained

__all__ = ["verdict"]

_APART = 0.5
"""Scores whose middle half spans more than this share of the reference disagree."""
_NEAR = 0.1
"""Places that differ by less say the same."""


def verdict(row: "Explained", *, alive: bool, failure: str) -> str:
    """The sentence.

    Args:
        row: the network; its own ``verdict`` is not read.
        alive: whether input reaches output.
        failure: why it could not be scored; empty if it was.
    """
    if failure:
        return f"It could not be scored: {failure.rstrip('.')}."
    if not alive:
        return "No path leads from its input to its output: it cannot learn, however it is trained."
    if row.reason:
        return f"Its scores say little by themselves: {row.reason}"
    return f"{_place(row)}{_prospect(row)}."


def _place(row: "Explained") -> str:
    """Where it stands, as the beginning of a sentence."""
    places = np.array([s.percentile for s in row.scores if not s.size and _informs(s.name)])
    places = places[np.isfinite(places)]
    size = next((s.percentile for s in row.scores if s.name == "params"), float("nan"))
    sized = f"it has more parameters than {size:.0%} of {row.reference}" if isfinite(size) else ""
    if not len(places):
        return f"Only its size is known: {sized}" if sized else "None of its scores has a value"
    low, middle, high = (float(v) for v in np.quantile(places, (0.25, 0.5, 0.75)))
    if high - low > _APART:
        return (
            f"Its scores disagree (the middle half of them lies from {low:.0%} to {high:.0%} of "
            f"{row.reference}), so they do not say whether it is a good one"
        )
    scores = "its score" if len(places) == 1 else f"the median of its {len(places)} scores"
    place = f"By {scores} it ranks above {middle:.0%} of {row.reference}"
    if not sized:
        return place
    if abs(middle - size) < _NEAR:
        return f"{place}, which its size says as well ({size:.0%} have fewer parameters)"
    if middle > size:
        return f"{place}, more than its size promises ({size:.0%} have fewer parameters)"
    return f"{place}, less than its size promises ({size:.0%} have fewer parameters)"


def _informs(name: str) -> bool:
    """Whether a score says more than how large a network is."""
    return name != "flops"


def _prospect(row: "Explained") -> str:
    """The expected accuracy, as the end of a sentence."""
    found = row.expected
    if found is None:
        return ""
    text = (
        f"; trained as the table's networks were it should reach {found.accuracy:.1%} ("
        f"{found.level:.0%} interval {found.low:.1%} to {found.high:.1%})"
    )
    if found.low <= found.typical <= found.high:
        text += f", which does not tell it from the table's typical {found.typical:.1%}"
    return text
