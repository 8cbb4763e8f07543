"""Weisfeiler-Lehman encoding: counts of the labels of all rounds."""

from collections import Counter
from collections.abc import Sequence

from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import Form, count_table, distinct_forms, shortened
from foretell.errors import UsageError
from foretell.graph import Graph

__all__ = ["wl"]

_Key = tuple[int, tuple[int, ...], tuple[int, ...]]
"""A label, and the sorted labels of predecessors and successors."""


def wl(graphs: Sequence[Graph], rounds: int = 2, most: int | None = None) -> EncodingTable:
    """How often each Weisfeiler-Lehman label occurs in each contracted graph.

    In round 0 the label of a node is its operation; in each further round it is its last label
    with those of its predecessors and successors, twice where two edges join them. The
    scalar product of two rows is the Weisfeiler-Lehman subtree kernel of the two graphs.

    Args:
        graphs: of any origin; dead parts and skips do not count.
        rounds: of refinement, >= 0.
        most: maximum number of labels, the most frequent ones; by default all.

    Returns:
        (n, labels) counts, in order of how many graphs have them. ``wl1_a+b>conv>c`` is a conv
        that takes in a and b and leads to c.

    Raises:
        UsageError: ``rounds`` is negative.

    Reference: Shervashidze et al., JMLR 2011; on cells: Ru et al., Interpretable NAS via Bayesian
    Optimisation with Weisfeiler-Lehman Kernels, ICLR 2021. Differs: contracted
    graphs; predecessors and successors are kept apart.
    """
    if rounds < 0:
        raise UsageError(f"Expected rounds >= 0, but got {rounds}.")
    forms, rows = distinct_forms(graphs)
    links = [_neighbours(form) for form in forms]
    ops: dict[str, int] = {}
    labels = [[ops.setdefault(op, len(ops)) for op in form[0]] for form in forms]
    counts = [Counter(own) for own in labels]
    texts = list(ops)
    names = [f"wl0_{text}" for text in texts]
    for step in range(1, rounds + 1):
        index_of: dict[_Key, int] = {}
        labels = [
            [index_of.setdefault(key, len(index_of)) for key in _keys(own, *link)]
            for own, link in zip(labels, links, strict=True)
        ]
        for count, own in zip(counts, labels, strict=True):
            count.update([len(names) + label for label in own])
        texts = [_text(key, texts, step) for key in index_of]
        names += [f"wl{step}_{text}" for text in texts]
    return count_table(names, counts, rows, most)


def _neighbours(form: Form) -> tuple[list[list[int]], list[list[int]]]:
    """Predecessors and successors of each node, with repeats."""
    ops, edges = form
    before: list[list[int]] = [[] for _ in ops]
    after: list[list[int]] = [[] for _ in ops]
    for source, target, times in edges:
        before[target] += [source] * times
        after[source] += [target] * times
    return before, after


def _keys(labels: list[int], before: list[list[int]], after: list[list[int]]) -> list[_Key]:
    return [
        (own, tuple(sorted(labels[u] for u in ins)), tuple(sorted(labels[w] for w in outs)))
        for own, ins, outs in zip(labels, before, after, strict=True)
    ]


def _text(key: _Key, texts: list[str], step: int) -> str:
    """A label written out; those of later rounds in brackets."""
    own, ins, outs = key
    inside = [texts[own] if step == 1 else f"({texts[own]})"]
    for part in (ins, outs):
        words = sorted(texts[label] if step == 1 else f"({texts[label]})" for label in part)
        inside.append("+".join(words))
    return shortened(f"{inside[1]}>{inside[0]}>{inside[2]}")
