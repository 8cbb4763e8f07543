"""Cells of the matrix that are not right yet, by patterns, with the reason."""

from fnmatch import fnmatchcase

__all__ = ["OPEN", "is_open"]

_BIAS = "a linear layer over tokens that do not lie in order adds its bias in another operation"
_SCALES = "Zen tells the scales of a normalisation by the class of its module"

OPEN: dict[tuple[str, str, str], str] = {
    ("vit_*", "*", "fisher*"): _BIAS,
    ("mixer", "*", "fisher*"): _BIAS,
    ("recurrent", "*", "fisher*"): _BIAS,
    ("layernorm", "batch axis moved", "fisher*"): _BIAS,
    ("*", "functional", "zen"): _SCALES,
    ("scripted", "*", "zen"): _SCALES,
    (
        "orthogonal",
        "*",
        "zen",
    ): "what an orthogonal weight is made of is read as a layer; NaN with a sentence",
    ("deep", "weights computed", "zen"): "blocks that do not run take no turn in the draws",
}
"""(network, spelling, proxy) as patterns -> why it is not right yet."""


def is_open(*cell: str) -> bool:
    """Whether a cell may differ for now."""
    return any(all(map(fnmatchcase, cell, pattern)) for pattern in OPEN)
