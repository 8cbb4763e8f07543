"""Adjacency matrix encoding: flattened adjacency matrices and one-hot operations."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import column_names
from foretell.graph import Graph
from foretell.spaces import Space
from foretell.types import IntArray

__all__ = ["adjacency"]


def adjacency(space: Space, archs: Sequence[Arch]) -> EncodingTable:
    """Adjacency encoding: edge counts of all pairs of nodes, and one-hot operations of each node.

    The matrices are the space's own where it defines them (``Space.adjacency``), otherwise those of
    its graphs, dead parts included; smaller graphs are padded before the output. Columns that are
    constant over the given architectures are left out: NAS-Bench-201 has 30, the operations of its
    edges; NAS-Bench-101 up to 36, its 21 edges and three operations of five vertices; DARTS the
    source and the operation of each edge.

    Reference: Ying et al., NAS-Bench-101, ICML 2019; White et al., A Study on Encodings for Neural
    Architecture Search, NeurIPS 2020, section 3. Differs: constant
    columns are left out.
    """
    own = space.adjacency(archs)
    links, ops = _drawn([space.graph(a) for a in archs]) if own is None else own
    v = ops.shape[1]
    names, columns = [], []
    for source, target in zip(*np.triu_indices(v, 1), strict=True):
        names.append(f"edge_{source}_{target}")
        columns.append(links[:, source, target])
    for node in range(v):
        for op in np.unique(ops[:, node]).tolist():
            if op:
                names.append(f"node_{node}_is_{op}")
                columns.append(ops[:, node] == op)
    varying = [i for i, column in enumerate(columns) if (column != column[:1]).any()]
    values = np.zeros((len(archs), len(varying)))
    for position, i in enumerate(varying):
        values[:, position] = columns[i]
    return EncodingTable(column_names(names[i] for i in varying), values)


def _drawn(graphs: list[Graph]) -> tuple[IntArray, NDArray[np.str_]]:
    """Edge counts (n, v, v) and operations (n, v) of graphs, "" where a graph has no node."""
    v = max((len(g.nodes) for g in graphs), default=2)
    links = np.zeros((len(graphs), v, v), dtype=np.int64)
    ops = [[""] * v for _ in graphs]
    for row, own, graph in zip(links, ops, graphs, strict=True):
        last = len(graph.nodes) - 1
        for source, target in graph.edges:
            row[source, v - 1 if target == last else target] += 1
        own[:last] = [n.op for n in graph.nodes[:-1]]
        own[-1] = graph.nodes[-1].op
    return links, np.array(ops, dtype=np.str_).reshape(len(graphs), v)
