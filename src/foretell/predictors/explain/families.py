"""Columns that say the same kind of thing, so that their shares are told together."""

import re
from collections.abc import Callable

import numpy as np

from foretell.encodings import Encodings
from foretell.types import IntArray

__all__ = ["families", "tables"]

_GRAF = re.compile(r"_(total|max|min|mean|spread|depth|first|last)$")
_COMPAT = re.compile(r"op_count|min_path_len|max_op_on_path|node_degree|count_ops|pos_state")
_GENE = re.compile(r"gene_(\d+)")


def _gene(index: int) -> str:
    return f"gene {index}"


def families(encodings: Encodings, gene: Callable[[int], str] = _gene) -> dict[str, IntArray]:
    """Families of columns.

    Inside ``graf`` a quantity is one, inside ``onehot`` and ``categorical`` a gene, inside
    ``scores`` a proxy, inside ``graf_compat`` one of its authors' families; every other
    encoding is a family as a whole.

    Args:
        encodings: the columns.
        gene: the name of a gene.

    Returns:
        Name, such as "graf: conv" or "costs" -> places of its columns in ``encodings.matrix()``.
    """
    found: dict[str, list[int]] = {}
    place = 0
    for table, values in encodings.tables.items():
        for column in values.names:
            part = _part(table, column, gene)
            found.setdefault(f"{table}: {part}" if part else table, []).append(place)
            place += 1
    return {name: np.array(places, dtype=np.int64) for name, places in found.items()}


def tables(encodings: Encodings) -> dict[str, IntArray]:
    """Whole encodings: name -> places of its columns in ``encodings.matrix()``."""
    found, place = {}, 0
    for name, table in encodings.tables.items():
        found[name] = np.arange(place, place + len(table.names))
        place += len(table.names)
    return found


def _part(table: str, column: str, gene: Callable[[int], str]) -> str:
    if table == "graf":
        return _GRAF.sub("", column)
    if table == "scores":
        return column.removesuffix("_missing")
    if table == "graf_compat":
        prefix = _COMPAT.match(column)
        return prefix[0] if prefix else column
    if table in ("onehot", "categorical"):
        number = _GENE.match(column)
        return gene(int(number[1])) if number else column
    return ""
