"""Encodings that say which architecture it is, and nothing about what it does."""

from collections.abc import Sequence

import numpy as np

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.features._base import FeatureTable
from foretell.spaces import Space

__all__ = ["categorical", "onehot", "path_encoding"]


def categorical(space: Space, archs: Sequence[Arch]) -> FeatureTable:
    """The genes as they are, (n, genes) int64.

    Raises:
        ArchError: the space's architectures differ in length.
    """
    _check(space)
    return FeatureTable(
        tuple(f"gene_{i}" for i in range(len(space.cardinalities))), space.genes(archs)
    )


def onehot(space: Space, archs: Sequence[Arch]) -> FeatureTable:
    """A column for each choice of each gene, 1 where it was made, (n, choices).

    Raises:
        ArchError: the space's architectures differ in length.
    """
    _check(space)
    genes, counts = space.genes(archs), space.cardinalities
    columns = [genes[:, i] == choice for i, count in enumerate(counts) for choice in range(count)]
    names = [f"gene_{i}_is_{c}" for i, count in enumerate(counts) for c in range(count)]
    return FeatureTable(tuple(names), np.stack(columns, axis=1).astype(np.float64))


def path_encoding(space: Space, archs: Sequence[Arch], *, longest: int = 4) -> FeatureTable:
    """A column for each sequence of operations that leads from input to output in some graph.

    Graphs are canonical, so that skips do not appear and a direct edge is the empty sequence.

    Args:
        space: gives the graphs.
        archs: the columns are the sequences that occur among these, in order of first occurrence.
        longest: sequences of more operations are left out, as in the truncated encoding.

    Returns:
        (n, sequences) of 0 and 1.

    Reference: White et al., BANANAS, AAAI 2021, section 4. Differs: canonical graphs; sequences
    that no graph has are no columns.
    """
    known: dict[tuple[str, ...], int] = {}
    rows = []
    for arch in archs:
        graph = space.graph(arch).canonical()
        ends: list[set[tuple[str, ...]]] = [set() for _ in graph.nodes]
        ends[0] = {()}
        last = len(graph.nodes) - 1
        for source, target in sorted(graph.edges, key=lambda e: e[1]):
            op = graph.nodes[target].op
            own = () if target == last or op in ("sum", "concat") else (op,)
            ends[target] |= {p + own for p in ends[source] if len(p) + len(own) <= longest}
        rows.append([known.setdefault(p, len(known)) for p in sorted(ends[last])])
    values = np.zeros((len(archs), len(known)))
    for row, places in zip(values, rows, strict=True):
        row[places] = 1
    names = tuple("path_" + (">".join(path) or "direct") for path in known)
    return FeatureTable(names, values)


def _check(space: Space) -> None:
    if not space.cardinalities:
        raise ArchError(
            f"The architectures of {space.name!r} differ in length: use 'graf' or 'path' instead."
        )
