"""Which expressions the output is made of, written out from the input."""

from collections import Counter
from collections.abc import Sequence

from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import Form, count_table, distinct_forms, shortened
from foretell.graph import Graph

__all__ = ["unrolled"]

_Expression = tuple[str, tuple[tuple[int, int], ...]]
"""An operation, and what it takes in: (expression, how often), sorted."""


def unrolled(graphs: Sequence[Graph], most: int | None = None) -> EncodingTable:
    """A column for each expression that occurs inside some graph, and how often it does.

    Written out from the input, the output is a sum of expressions such as
    conv3x3(x+conv1x1(x)); each operation, applied to a certain sum, is one. What two later
    operations share is written out, and counted, once for each of them. The sum at the output is
    no column: it would say which graph it is.

    Args:
        graphs: of any origin; dead parts and skips do not count.
        most: how many expressions are kept, those that most graphs have; by default all.

    Returns:
        (n, expressions) counts, in order of how many graphs have them; graphs with equal
        ``expression`` have equal rows.
    """
    forms, rows = distinct_forms(graphs)
    known: dict[_Expression, int] = {}
    texts: list[str] = []
    counts = [_count(form, known, texts) for form in forms]
    return count_table([f"term_{text}" for text in texts], counts, rows, most)


def _count(form: Form, known: dict[_Expression, int], texts: list[str]) -> dict[int, int]:
    """How often each expression occurs, by its number; new ones get numbers and texts."""
    ops, edges = form
    last = len(ops) - 1
    uses = [0] * last + [1]  # paths to the output
    for source, target, times in sorted(edges, key=lambda e: -e[0]):
        uses[source] += times * uses[target]
    incoming: list[list[tuple[int, int]]] = [[] for _ in ops]
    for source, target, times in edges:
        incoming[target].append((source, times))
    number = [0] * last
    found: Counter[int] = Counter()
    for v in range(last):
        terms: Counter[int] = Counter()
        for source, times in incoming[v]:
            terms[number[source]] += times
        key = ops[v], tuple(sorted(terms.items()))
        number[v] = known.setdefault(key, len(texts))
        if number[v] == len(texts):
            texts.append(_text(key, texts))
        if uses[v]:
            found[number[v]] += uses[v]
    return found


def _text(key: _Expression, texts: list[str]) -> str:
    op, terms = key
    if not terms:
        return "x"
    inside = sorted(texts[t] if n == 1 else f"{n}*{texts[t]}" for t, n in terms)
    return shortened(f"{op}({'+'.join(inside)})")
