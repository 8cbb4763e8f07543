"""Contracted graphs, tables of counts over them, and column names."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from foretell.encodings._base import EncodingTable
from foretell.graph import Edges, Graph
from foretell.types import IntArray

__all__ = ["Form", "column_names", "count_table", "distinct_forms", "shortened"]

_UNSAFE = re.compile(r"[^A-Za-z0-9_.+*>()=~-]")
_LONGEST = 100


Form: TypeAlias = tuple[tuple[str, ...], Edges]
"""Operations, and edges as (source, target, multiplicity), from lower to higher nodes."""


def distinct_forms(graphs: Iterable[Graph]) -> tuple[list[Form], IntArray]:
    """Distinct contracted graphs, and the index of each graph's own among them, (n,).

    Isomorphic graphs may count as distinct: no canonical order is computed, as that can be slow.
    """
    index_of: dict[Form, int] = {}
    rows = [index_of.setdefault(g.contracted[:2], len(index_of)) for g in graphs]
    return list(index_of), np.array(rows, dtype=np.int64)


def count_table(
    texts: Sequence[str],
    counts: Sequence[Mapping[int, int]],
    rows: IntArray,
    most: int | None = None,
) -> EncodingTable:
    """A table of counts; columns in order of how many rows have them.

    Args:
        texts: what is counted; gives the names of the columns.
        counts: for each form, index into ``texts`` -> count > 0.
        rows: (n,) index of each row's form.
        most: maximum number of columns; by default all.
    """
    frequency = np.zeros(len(texts), dtype=np.int64)
    for form_counts, times in zip(counts, np.bincount(rows, minlength=len(counts)), strict=True):
        frequency[list(form_counts)] += times
    selected = [i for i in np.argsort(-frequency, kind="stable")[:most].tolist() if frequency[i]]
    column_of = {number: i for i, number in enumerate(selected)}
    values = np.zeros((len(counts), len(selected)))
    for row, form_counts in zip(values, counts, strict=True):
        for number, value in form_counts.items():
            if number in column_of:
                row[column_of[number]] = value
    return EncodingTable(column_names(texts[i] for i in selected), values[rows])


def shortened(text: str) -> str:
    """A text of at most 100 characters; a longer one is cut and ends in a hash of ten digits."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 11]}~{_digits(text)}"


def column_names(texts: Iterable[str]) -> tuple[str, ...]:
    """A unique column name for each text, in characters that every tree library accepts.

    >>> column_names(["path_conv>skip", "act=[1, 2]"])
    ('path_conv>skip', 'act=_1__2_')
    """
    texts = list(texts)
    names = [_UNSAFE.sub("_", text) for text in texts]
    often = Counter(names)
    return tuple(
        name if often[name] == 1 else f"{name}~{_digits(text)}"
        for name, text in zip(names, texts, strict=True)
    )


def _digits(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()
