"""Families of columns, whose contributions are summed."""

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

    A family is a quantity of ``graf``, a gene of ``onehot`` and ``categorical``, a proxy of
    ``scores``, one of the authors' families of ``graf_compat``; any other encoding is one family.

    Args:
        encodings: whose columns are grouped.
        gene: gives the name of a gene.

    Returns:
        Name, such as "graf: conv" or "costs" -> indices of its columns in ``encodings.matrix()``.
    """
    columns_of: dict[str, list[int]] = {}
    index = 0
    for table, values in encodings.tables.items():
        for column in values.names:
            part = _part(table, column, gene)
            columns_of.setdefault(f"{table}: {part}" if part else table, []).append(index)
            index += 1
    return {name: np.array(indices, dtype=np.int64) for name, indices in columns_of.items()}


def tables(encodings: Encodings) -> dict[str, IntArray]:
    """Name of an encoding -> indices of its columns in ``encodings.matrix()``."""
    columns_of, start = {}, 0
    for name, table in encodings.tables.items():
        columns_of[name] = np.arange(start, start + len(table.names))
        start += len(table.names)
    return columns_of


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
