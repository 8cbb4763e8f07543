"""GRAF's own columns for architectures of each space that its authors describe.

A space names its function here in ``published_features``.
"""

from collections.abc import Sequence

import numpy as np

from foretell.arch import Arch
from foretell.encodings._base import EncodingTable
from foretell.encodings.graf.compat import (
    graf_darts,
    graf_nb101,
    graf_nb201,
    graf_transnas_macro,
    graf_transnas_micro,
)
from foretell.errors import ArchError
from foretell.spaces import NB101, NB201, Darts, TransNASMacro, TransNASMicro

__all__ = ["darts", "nb101", "nb201", "transnas_macro", "transnas_micro"]


def nb201(space: NB201, archs: Sequence[Arch]) -> EncodingTable:
    """The 191 columns of NAS-Bench-201 cells."""
    operation = np.array([1, 0, 3, 2, 4])  # theirs of ours: none, skip, 1x1, 3x3, pooling
    ops = space.genes(archs)[:, [0, 1, 3, 2, 4, 5]]  # edges by where they start
    return graf_nb201(operation[ops])


def transnas_micro(space: TransNASMicro, archs: Sequence[Arch]) -> EncodingTable:
    """The 94 columns of TransNAS-Bench-101's cells, whose edges and operations are ours."""
    return graf_transnas_micro(space.genes(archs))


def transnas_macro(space: TransNASMacro, archs: Sequence[Arch]) -> EncodingTable:
    """The 16 columns of TransNAS-Bench-101's macro networks."""
    return graf_transnas_macro([a.genes for a in archs])


def nb101(space: NB101, archs: Sequence[Arch]) -> EncodingTable:
    """The 47 columns of NAS-Bench-101 cells, absent vertices left out."""
    linked, codes = space.matrices(archs)
    operation = np.array([-1, 3, 4, 2])  # theirs of ours: absent, 1x1, 3x3, pooling
    counts = (codes > 0).sum(axis=1)
    tables, order = [], []
    for count in range(codes.shape[1] + 1):
        rows = np.flatnonzero(counts == count)
        vertices = [*range(count + 1), linked.shape[1] - 1]
        ops = np.ones((len(rows), count + 2), dtype=np.int64)
        ops[:, 0] = 0
        ops[:, 1:-1] = operation[codes[rows, :count]]
        tables.append(graf_nb101(linked[np.ix_(rows, vertices, vertices)], ops))
        order.append(rows)
    values = np.concatenate([t.values for t in tables])[np.argsort(np.concatenate(order))]
    return EncodingTable(tables[0].names, values)


def darts(space: Darts, archs: Sequence[Arch]) -> EncodingTable:
    """The 1,540 columns of DARTS cells.

    Raises:
        ArchError: a cell holds ``none``, or a node takes one source twice, for which the authors
            have no columns.
    """
    cells = space.cells(archs)
    odd = (cells[..., 1] == space.ops.index("none")).any(axis=(1, 2))
    odd |= (cells[:, :, ::2, 0] == cells[:, :, 1::2, 0]).any(axis=(1, 2))
    if odd.any():
        first = space.format(archs[int(odd.argmax())])
        raise ArchError(
            f"'graf_compat' has no columns for {int(odd.sum())} of {len(archs)} architectures, "
            f"which hold 'none' or one source twice, first: {first}. Leave them out, or use 'graf' "
            f"instead."
        )
    return graf_darts(cells[..., 0], cells[..., 1])
