"""Cells with operations on vertices: validity and canonical form, vectorised over cells.

A cell has up to seven vertices: the input 0, the output 6 and inner ones. It is an adjacency matrix
(7, 7) of 0 and 1 and five operations, 0 where there is no vertex. Permuting inner vertices gives an
isomorphic cell; of all topological orders the canonical one has the largest key: the upper triangle
row by row as bits, then the operations.
"""

from functools import cache
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray

from foretell.types import Array, IntArray

__all__ = ["EDGES", "MIDDLE", "MOST_EDGES", "VERTICES", "all_keys", "decode", "is_whole", "keys"]

VERTICES = 7
"""Most vertices of a cell, input and output included."""
MIDDLE = VERTICES - 2
"""Most vertices between input and output."""
MOST_EDGES = 9
"""Most edges of a cell."""
EDGES = tuple(combinations(range(VERTICES), 2))
"""(source, target) of each bit of a key, row by row."""
_OPERATIONS = 3
_OPERATION_BITS = 2 * MIDDLE
_BITS = len(EDGES) + _OPERATION_BITS
_CHUNK = 20_000


def keys(linked: NDArray[np.bool_], ops: IntArray) -> IntArray:
    """Canonical key of each cell, the largest over all orders, (n,); equal for isomorphic cells.

    Args:
        linked: (n, 7, 7), edges in any direction.
        ops: (n, 5) operations 0..3.

    Returns:
        (n,) int64; negative where the edges form a cycle.
    """
    largest = np.empty(len(linked), dtype=np.int64)
    for start in range(0, len(linked), _CHUNK):
        part = slice(start, start + _CHUNK)
        flat = linked[part].reshape(-1, VERTICES * VERTICES)
        cells = np.concatenate([flat, ops[part]], axis=1, dtype=np.float64)
        largest[part] = (cells @ _weights()).max(axis=1)
    return largest


def decode(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Upper triangles row by row, (n, 21), and operations, (n, 5), of keys."""
    bits = codes[:, None] >> np.arange(_BITS - 1, _OPERATION_BITS - 1, -1) & 1
    return bits, codes[:, None] >> np.arange(_OPERATION_BITS - 2, -1, -2) & 3


def is_whole(linked: NDArray[np.bool_], ops: IntArray) -> NDArray[np.bool_]:
    """Whether every vertex is on a path from input to output, with at most nine edges, (n,).

    Args:
        linked: (n, 7, 7), acyclic.
        ops: (n, 5) operations, 0 where there should be no vertex.
    """
    enters, leaves = linked.sum(axis=1), linked.sum(axis=2)
    there = np.ones((len(linked), VERTICES), dtype=bool)
    there[:, 1:-1] = ops > 0
    # without circles, who has an edge in and one out is on such a path
    sound = (enters > 0)[:, 1:] == there[:, 1:]
    sound &= (leaves > 0)[:, :-1] == there[:, :-1]
    return np.asarray(sound.all(axis=1) & (enters.sum(axis=1) <= MOST_EDGES))


@cache
def all_keys() -> IntArray:
    """Keys of all 423,624 whole cells, increasing, (423624,): about two seconds on first use."""
    few = [m for m in range(1 << len(EDGES)) if m.bit_count() <= MOST_EDGES]
    linked, there = _shapes(np.array(few))
    whole = is_whole(linked, there)
    shapes = np.unique(keys(linked[whole], np.zeros_like(there[whole])) >> _OPERATION_BITS)
    linked, there = _shapes(shapes)
    counts, cells = there.sum(axis=1), []
    for count in range(MIDDLE + 1):
        ops = np.zeros((_OPERATIONS**count, MIDDLE), dtype=np.int64)
        ops[:, :count] = list(product(range(1, _OPERATIONS + 1), repeat=count))
        cells += [
            np.unique(keys(np.repeat(shape[None], len(ops), axis=0), ops))
            for shape in linked[counts == count]
        ]
    return np.sort(np.concatenate(cells))


def _shapes(triangles: IntArray) -> tuple[NDArray[np.bool_], IntArray]:
    """Adjacency (n, 7, 7) of upper triangles (n,), and which vertices they link, (n, 5)."""
    linked = np.zeros((len(triangles), VERTICES, VERTICES), dtype=bool)
    linked[:, *np.array(EDGES).T], _ = decode(triangles << _OPERATION_BITS)
    between = linked[:, :, 1:-1].sum(axis=1) + linked[:, 1:-1].sum(axis=2) > 0
    return linked, between.astype(np.int64)


@cache
def _weights() -> Array:
    """Contribution of each edge and operation to the key under each order, (54, 120)."""
    edge_index = {edge: i for i, edge in enumerate(EDGES)}
    orders = list(permutations(range(1, VERTICES - 1)))
    weights = np.zeros((VERTICES * VERTICES + MIDDLE, len(orders)))
    for column, order in enumerate(orders):
        moved = (0, *order, VERTICES - 1)
        for source, target in product(range(VERTICES), repeat=2):
            bit = edge_index.get((moved[source], moved[target]))
            weights[source * VERTICES + target, column] = (
                -(2.0**_BITS) * len(EDGES) if bit is None else 2.0 ** (_BITS - 1 - bit)
            )
        for vertex in range(1, VERTICES - 1):
            weights[VERTICES * VERTICES + vertex - 1, column] = 4.0 ** (MIDDLE - moved[vertex])
    return weights
