"""Cells of four nodes with an operation on each of their six edges."""

from collections.abc import Sequence

from foretell.graph import Graph, Node
from foretell.spaces._cells import EDGES

__all__ = ["edge_cell", "edge_edit", "edge_name"]

_INPUT, _SUM, _OUTPUT = Node("input"), Node("sum"), Node("output")


def edge_cell(operations: Sequence[Node]) -> Graph:
    """The graph of a cell: one node per edge's operation, and a sum where edges meet.

    Args:
        operations: of the edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3.
    """
    nodes, edges, ends = [_INPUT], [], [0]
    incoming: list[int] = []
    for (source, target), operation in zip(EDGES, operations, strict=True):
        edges.append((ends[source], len(nodes)))
        incoming.append(len(nodes))
        nodes.append(operation)
        if source == target - 1:
            edges += [(i, len(nodes)) for i in incoming]
            ends.append(len(nodes))
            nodes.append(_SUM if target < 3 else _OUTPUT)
            incoming = []
    return Graph(tuple(nodes), tuple(edges))


def edge_edit(before: Sequence[str], after: Sequence[str]) -> str:
    """A description of the edges whose operation differs."""
    changes = [
        f"{new} on edge {source}->{target} instead of {old}"
        for (source, target), old, new in zip(EDGES, before, after, strict=True)
        if old != new
    ]
    return ", ".join(changes)


def edge_name(index: int) -> str:
    """Which edge a gene stands for, such as "edge 0->1"."""
    source, target = EDGES[index]
    return f"edge {source}->{target}"
