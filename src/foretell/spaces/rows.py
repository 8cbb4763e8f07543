"""Architectures and values in the rows of a table: what is unknown, double, or of mixed units."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.spaces._base import Space
from foretell.types import Array, IntArray

__all__ = ["Duplicates", "check_units", "listed", "merge", "parse_rows"]

Duplicates: TypeAlias = Literal["mean", "first", "refuse"]
"""What is done with several rows about one architecture."""
_SHOWN = 10


def listed(rows: Sequence[int]) -> str:
    """Row numbers as text, the first few of many."""
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return ("row " if len(rows) == 1 else "rows ") + ", ".join(map(str, rows[:_SHOWN])) + more


def parse_rows(
    space: Space,
    texts: Sequence[str],
    rows: Sequence[int],
    what: str,
    *,
    skip_unknown: bool = False,
    noun: Literal["row", "entry"] = "row",
) -> tuple[list[Arch], list[int], str]:
    """The architectures that texts name.

    Args:
        space: whose texts they are.
        texts: one for each row.
        rows: (n,) numbers of the rows in the file, for messages.
        what: the file.
        skip_unknown: whether texts that are no architecture are left out.
        noun: what holds a text, for messages.

    Returns:
        Architectures, the indices of their texts, and a sentence about those left out; empty if
        there are none.

    Raises:
        ArchError: texts that are no architecture, all in one sentence.
    """
    archs: list[Arch] = []
    index: list[int] = []
    bad: list[int] = []
    first: ArchError | None = None
    for i, text in enumerate(texts):
        try:
            archs.append(space.parse(text))
            index.append(i)
        except ArchError as error:
            bad.append(rows[i])
            first = first or error
    if first is None:
        return archs, index, ""
    count = f"{len(bad)} of {len(texts)} entries of {what} ({listed(bad)})"
    if skip_unknown and archs:
        return archs, index, f"{count} are no architectures of {space.name!r} and were left out."
    said = str(first) if str(first).endswith(".") else f"{first}."
    raise ArchError(
        f"{noun.capitalize()} {bad[0]} of {what}: {said} In all, {count} are no architectures of "
        f"{space.name!r}: mend them, or leave them out (--skip-unknown)."
    )


def merge(
    keys: Sequence[object], values: Array, rows: Sequence[int], how: Duplicates
) -> tuple[IntArray, Array, list[int]]:
    """One row for each key.

    Args:
        keys: (n,) hashable.
        values: (n, k); NaN where nothing was measured.
        rows: (n,) numbers of the rows in the file.
        how: "mean" of what was measured, "first" row, or "refuse", which changes nothing.

    Returns:
        Indices of each key's first row, (m,), their values, (m, k), and the numbers of all rows
        whose key stands in an earlier row, too.
    """
    place: dict[object, int] = {}
    group = np.array([place.setdefault(key, len(place)) for key in keys], dtype=np.int64)
    first = np.unique(group, return_index=True)[1].astype(np.int64) if len(group) else group
    double = [rows[i] for i in range(len(keys)) if first[group[i]] != i]
    if how == "refuse" or not double:
        return np.arange(len(keys), dtype=np.int64), values, double
    if how == "first":
        return first, values[first], double
    total, count = np.zeros((len(place), values.shape[1])), np.zeros((len(place), values.shape[1]))
    there = ~np.isnan(values)
    np.add.at(total, group, np.where(there, values, 0.0))
    np.add.at(count, group, there)
    return first, np.where(count > 0, total / np.maximum(count, 1), np.nan), double


def check_units(values: Array, rows: Sequence[int], name: str) -> str:
    """A sentence if a few values look like fractions among per cents; empty otherwise.

    A value in (0, 1] is suspicious where most values are above 1 and at most 100, and a hundred
    times it lies among them: 0.93 where the others run from 80 to 95.

    Args:
        values: (n,) measured numbers.
        rows: (n,) numbers of the rows in the file.
        name: of the column.
    """
    finite = np.isfinite(values)
    large = values[finite & (values > 1)]
    small = finite & (values > 0) & (values <= 1)
    if not small.any() or len(large) <= small.sum() or large.max() > 100:
        return ""
    mixed = small & (100 * values >= large.min()) & (100 * values <= large.max())
    if not mixed.any():
        return ""
    where = [rows[i] for i in np.flatnonzero(mixed).tolist()]
    return (
        f"{len(where)} of {int(finite.sum())} values of {name} ({listed(where)}) lie between 0 and "
        f"1, the others up to {large.max():g}: these look like fractions among per cents. Give all "
        f"in one unit."
    )
