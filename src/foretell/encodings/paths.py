"""Path encoding: the sequences of operations from input to output."""

from collections.abc import Sequence

from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import Form, count_table, distinct_forms, shortened
from foretell.graph import Graph

__all__ = ["path_encoding"]

_Path = tuple[str, ...]


def path_encoding(
    graphs: Sequence[Graph], *, longest: int = 6, most: int | None = None
) -> EncodingTable:
    """Path encoding: which sequences of operations lead from input to output.

    Graphs are contracted: skips do not appear, a direct edge is the empty sequence.

    Args:
        graphs: of any origin; the columns are the sequences that occur among these, in order of
            how many graphs have them.
        longest: maximum number of operations in a sequence; longer ones are left out.
        most: maximum number of columns, the most frequent ones; by default all.

    Returns:
        (n, sequences) of 0 and 1.

    Reference: White et al., BANANAS, AAAI 2021, section 4; truncated: White et al., A Study on
    Encodings for Neural Architecture Search, NeurIPS 2020, section 3. Differs: contracted
    graphs; sequences that no graph has are left out; the most frequent ones are counted among the
    given graphs, not derived from a space's sampling.
    """
    forms, rows = distinct_forms(graphs)
    index_of: dict[_Path, int] = {}
    counts = [
        {index_of.setdefault(path, len(index_of)): 1 for path in sorted(_paths(form, longest))}
        for form in forms
    ]
    texts = ["path_" + shortened(">".join(path) or "direct") for path in index_of]
    return count_table(texts, counts, rows, most)


def _paths(form: Form, longest: int) -> set[_Path]:
    """The sequences of operations of a contracted graph."""
    ops, edges = form
    ends: list[set[_Path]] = [set() for _ in ops]
    ends[0] = {()}
    last = len(ops) - 1
    for source, target, _ in sorted(edges, key=lambda e: e[1]):
        own = () if target == last or ops[target] in ("sum", "concat") else (ops[target],)
        ends[target] |= {p + own for p in ends[source] if len(p) + len(own) <= longest}
    return ends[last]
