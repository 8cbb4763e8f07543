"""Unrolled encoding: counts of the expressions that the output consists of."""

from collections import Counter
from collections.abc import Sequence

from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import Form, count_table, distinct_forms, shortened
from foretell.graph import Graph

__all__ = ["unrolled"]

_Expression = tuple[str, tuple[tuple[int, int], ...]]
"""An operation and its operands: (expression, multiplicity), sorted."""


def unrolled(graphs: Sequence[Graph], most: int | None = None) -> EncodingTable:
    """How often each expression occurs in the output of each graph.

    Written out from the input, the output is a sum of expressions such as
    conv3x3(x+conv1x1(x)): an operation applied to a sum. A value that two later operations read is
    written out, and counted, once for each. The sum at the output is left out: it would only
    identify the graph.

    Args:
        graphs: of any origin; dead parts and skips do not count.
        most: maximum number of expressions, the most frequent ones; by default all.

    Returns:
        (n, expressions) counts, in order of how many graphs have them; graphs with equal
        ``expression`` have equal rows.
    """
    forms, rows = distinct_forms(graphs)
    index_of: dict[_Expression, int] = {}
    texts: list[str] = []
    counts = [_count(form, index_of, texts) for form in forms]
    return count_table([f"term_{text}" for text in texts], counts, rows, most)


def _count(form: Form, index_of: dict[_Expression, int], texts: list[str]) -> dict[int, int]:
    """How often each expression occurs, by its index; new ones are added to both tables."""
    ops, edges = form
    last = len(ops) - 1
    uses = [0] * last + [1]  # paths to the output
    for source, target, times in sorted(edges, key=lambda e: -e[0]):
        uses[source] += times * uses[target]
    incoming: list[list[tuple[int, int]]] = [[] for _ in ops]
    for source, target, times in edges:
        incoming[target].append((source, times))
    number = [0] * last
    counts: Counter[int] = Counter()
    for v in range(last):
        terms: Counter[int] = Counter()
        for source, times in incoming[v]:
            terms[number[source]] += times
        key = ops[v], tuple(sorted(terms.items()))
        number[v] = index_of.setdefault(key, len(texts))
        if number[v] == len(texts):
            texts.append(_text(key, texts))
        if uses[v]:
            counts[number[v]] += uses[v]
    return counts


def _text(key: _Expression, texts: list[str]) -> str:
    op, terms = key
    if not terms:
        return "x"
    inside = sorted(texts[t] if n == 1 else f"{n}*{texts[t]}" for t, n in terms)
    return shortened(f"{op}({'+'.join(inside)})")
