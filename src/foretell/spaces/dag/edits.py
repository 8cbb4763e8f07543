"""Edits of a cell with operations on vertices, and descriptions of the difference of two cells."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from foretell.spaces.dag.cells import MIDDLE, VERTICES
from foretell.types import IntArray

__all__ = ["differences", "edits", "place_name"]

_OUTPUT = VERTICES - 1
_Pairs = list[tuple[int, int]]


def edits(
    linked: NDArray[np.bool_], ops: IntArray, operations: int
) -> tuple[NDArray[np.bool_], IntArray]:
    """Everything one edit away, valid or not, in a fixed order.

    An edit adds or removes an edge, changes an operation, removes a vertex with one edge in and one
    out, or inserts such a vertex; the edge that bypasses the vertex may be added on removal, or
    removed on insertion. Every edit has an inverse.

    Args:
        linked: (7, 7).
        ops: (5,), absent vertices last.
        operations: how many there are.

    Returns:
        (m, 7, 7) and (m, 5), including cells with cycles and cells that are not whole.
    """
    cells: list[NDArray[np.bool_]] = []
    codes: list[IntArray] = []

    def add(pairs: _Pairs, vertex: int = 0, op: int = 0) -> None:
        """The cell with these edges toggled, and perhaps another operation."""
        cells.append(linked.copy())
        codes.append(ops.copy())
        for source, target in pairs:
            cells[-1][source, target] ^= True
        if vertex:
            codes[-1][vertex - 1] = op

    present = (np.flatnonzero(ops) + 1).tolist()
    pairs = [
        (u, v) for u in (0, *present) for v in (*present, _OUTPUT) if u != v and not linked[v, u]
    ]
    for pair in pairs:
        add([pair])
    for v in present:
        for op in range(1, operations + 1):
            if op != ops[v - 1]:
                add([], v, op)
    for v in present:
        if linked[:, v].sum() == linked[v].sum() == 1:
            u, w = int(linked[:, v].argmax()), int(linked[v].argmax())
            add([(u, v), (v, w)], v)
            if not linked[u, w]:
                add([(u, v), (v, w), (u, w)], v)
    if len(present) < MIDDLE:
        v = len(present) + 1
        for u, w in pairs:
            for op in range(1, operations + 1):
                add([(u, v), (v, w)], v, op)
                if linked[u, w]:
                    add([(u, v), (v, w), (u, w)], v, op)
    return np.array(cells), np.array(codes)


def place_name(vertex: int) -> str:
    """A vertex in words."""
    return {0: "input", _OUTPUT: "output"}.get(vertex, str(vertex))


def differences(linked: NDArray[np.bool_], ops: IntArray, names: Sequence[str]) -> list[str]:
    """A description of the edit that turns the first of two cells into the second.

    Vertices have their numbers in the first cell, or the next free ones.

    Args:
        linked: (2, 7, 7).
        ops: (2, 5).
        names: of the operations 1, 2, ...
    """
    (old, new), (was, now) = _aligned(linked, ops)
    changed = old != new
    words = []
    for v in (np.flatnonzero(was != now) + 1).tolist():
        before, after = int(was[v - 1]), int(now[v - 1])
        if before and after:
            words.append(f"{names[after - 1]} on vertex {v} instead of {names[before - 1]}")
            continue
        edges = new if after else old
        sources, targets = np.flatnonzero(edges[:, v]).tolist(), np.flatnonzero(edges[v]).tolist()
        ends = " and ".join(", ".join(place_name(u) for u in side) for side in (sources, targets))
        done = "added" if after else "removed"
        words.append(f"vertex {v} ({names[max(before, after) - 1]}) between {ends} {done}")
        changed[v] = changed[:, v] = False
    for u, v in np.argwhere(changed).tolist():
        done = "added" if new[u, v] else "removed"
        words.append(f"edge {place_name(u)}->{place_name(v)} {done}")
    return words


def _aligned(
    linked: NDArray[np.bool_], ops: IntArray
) -> tuple[list[NDArray[np.bool_]], list[IntArray]]:
    """Two cells, the second with its vertices permuted to match the first best."""

    def moved(order: tuple[int, ...]) -> tuple[NDArray[np.bool_], IntArray]:
        places = [0, *order, _OUTPUT]
        return linked[1][np.ix_(places, places)], ops[1][np.array(order) - 1]

    def distance(order: tuple[int, ...]) -> int:
        edges, codes = moved(order)
        return int((edges != linked[0]).sum() + (codes != ops[0]).sum())

    edges, codes = moved(min(permutations(range(1, _OUTPUT)), key=distance))
    return [linked[0], edges], [ops[0], codes]
