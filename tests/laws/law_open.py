"""Cells of the matrix that are not right yet, by patterns, with the reason."""

from fnmatch import fnmatchcase

__all__ = ["OPEN", "is_open"]

OPEN: dict[tuple[str, str, str], str] = {}
"""(network, spelling, proxy) as patterns -> why it is not right yet."""


def is_open(*cell: str) -> bool:
    """Whether a cell may differ for now."""
    return any(all(map(fnmatchcase, cell, pattern)) for pattern in OPEN)
