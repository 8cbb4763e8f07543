"""Smallest forms of graphs, tables of what was counted in them, and names of columns."""

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
"""Operations, and edges as (from, to, how often), from lower to higher places."""


def distinct_forms(graphs: Iterable[Graph]) -> tuple[list[Form], IntArray]:
    """The smallest forms of some graphs, each once, and which of them each graph has, (n,).

    Isomorphic ones may stay apart: no order is sought, which can take long on large graphs.
    """
    places: dict[Form, int] = {}
    rows = [places.setdefault(g.contracted[:2], len(places)) for g in graphs]
    return list(places), np.array(rows, dtype=np.int64)


def count_table(
    texts: Sequence[str],
    counts: Sequence[Mapping[int, int]],
    rows: IntArray,
    most: int | None = None,
) -> EncodingTable:
    """A table of counts; the first columns are those that most rows have.

    Args:
        texts: what could be counted, the names of the columns.
        counts: of each form: place in ``texts`` -> how often, > 0.
        rows: (n,) form of each row.
        most: how many columns are kept; by default all.
    """
    often = np.zeros(len(texts), dtype=np.int64)
    for found, times in zip(counts, np.bincount(rows, minlength=len(counts)), strict=True):
        often[list(found)] += times
    kept = [i for i in np.argsort(-often, kind="stable")[:most].tolist() if often[i]]
    place = {number: i for i, number in enumerate(kept)}
    values = np.zeros((len(counts), len(kept)))
    for row, found in zip(values, counts, strict=True):
        for number, value in found.items():
            if number in place:
                row[place[number]] = value
    return EncodingTable(column_names(texts[i] for i in kept), values[rows])


def shortened(text: str) -> str:
    """A text of at most 100 characters; what is cut off is told apart by ten digits."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 11]}~{_digits(text)}"


def column_names(texts: Iterable[str]) -> tuple[str, ...]:
    """One name for each of some distinct texts, of letters and signs that are safe everywhere.

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
