"""GRAF of our own: what paths from input to output go through, on the canonical graph.

Dead and zero operations are gone and skips are contracted before anything is counted, so that
graphs of the same function have the same features; operations fall into a few coarse classes, so
that any labelled DAG has the same columns. A quantity along a path is the sum over its operations:
how many there are, how many carry weights, how far they see, and how many are of each class. Of
each quantity the largest, the smallest and the mean over all paths are taken, and its sum over the
operations. Nothing is missing: a dead graph has zeros everywhere, and its column ``paths`` says so.

Reference: after Kadlecova et al., ICML 2024. Differs: canonical graphs instead of raw ones; a few
quantities instead of all subsets of operations; means over paths and the number of paths.
"""

from collections.abc import Sequence

import numpy as np

from foretell.features._base import FeatureTable
from foretell.features._classes import CLASSES, kernel_size, op_class
from foretell.graph import Graph, Node
from foretell.types import Array

__all__ = ["graf"]

QUANTITIES = ("ops", "weighted", "reach", *CLASSES)
"""Along a path: operations, those with weights, pixels that are seen beyond the first, classes."""
_FAR = 1e9
_Key = tuple[str, tuple[str, ...]]


def graf(graphs: Sequence[Graph]) -> FeatureTable:
    """The features of labelled DAGs.

    Args:
        graphs: of any origin; they need not be canonical.

    Returns:
        ``paths`` (log of 1 + their number), ``direct`` (edges from input to output),
        ``fan_out`` of the input and ``fan_in`` of the output, ``joins`` (operations and sums that
        take in more than one value), ``edges``; and for each quantity ``total``, ``max``, ``min``,
        ``mean`` and ``spread`` (max - min). Columns are the same for all graphs.
    """
    canonical = [g.canonical() for g in graphs]
    names = ["paths", "direct", "fan_out", "fan_in", "joins", "edges"]
    kinds = ("total", "max", "min", "mean", "spread")
    names += [f"{q}_{kind}" for q in QUANTITIES for kind in kinds]
    values = np.zeros((len(graphs), len(names)))
    sizes = np.array([len(g.nodes) for g in canonical], dtype=np.int64)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        values[rows] = _same_size([canonical[i] for i in rows], int(size))
    return FeatureTable(tuple(names), values)


def _same_size(graphs: list[Graph], size: int) -> Array:
    """Features of canonical graphs with the same number of nodes, (n, columns)."""
    n, known = len(graphs), dict[_Key, Array]()
    times = np.zeros((n, size, size))
    weights = np.zeros((n, size, len(QUANTITIES)))
    for i, graph in enumerate(graphs):
        for source, target in graph.edges:
            times[i, source, target] += 1
        for v, node in enumerate(graph.nodes):
            weights[i, v] = _quantities(node, known)
    edges = times.sum(axis=(1, 2))
    count = np.zeros((n, size))
    count[:, 0] = 1
    total = np.zeros_like(weights)
    most, least = np.full_like(weights, -_FAR), np.full_like(weights, _FAR)
    most[:, 0] = least[:, 0] = 0
    for target in range(1, size):
        for source in range(target):
            edge = times[:, source, target]
            through = np.asarray(edge[:, None], dtype=bool)
            if not through.any():
                continue
            count[:, target] += edge * count[:, source]
            total[:, target] += edge[:, None] * total[:, source]
            np.maximum(most[:, target], most[:, source], out=most[:, target], where=through)
            np.minimum(least[:, target], least[:, source], out=least[:, target], where=through)
        total[:, target] += count[:, target, None] * weights[:, target]
        most[:, target] += weights[:, target]
        least[:, target] += weights[:, target]
    paths = count[:, -1]
    mean = total[:, -1] / np.maximum(paths, 1)[:, None]
    high, low = (np.where(edges[:, None] > 0, x[:, -1], 0.0) for x in (most, least))
    shape = np.stack(
        [
            np.log1p(paths),
            times[:, 0, -1],
            times[:, 0].sum(axis=1),
            times[:, :, -1].sum(axis=1),
            (times[:, :, :-1].sum(axis=1) > 1).sum(axis=1),
            edges,
        ],
        axis=1,
    )
    along = np.stack([weights.sum(axis=1), high, low, mean, high - low], axis=2)
    return np.concatenate([shape, along.reshape(n, -1)], axis=1)


def _quantities(node: Node, known: dict[_Key, Array]) -> Array:
    """What passing through a node adds to each quantity, (quantities,)."""
    key = node.op, tuple(f"{k}={node.attrs[k]}" for k in sorted(node.attrs))
    if key not in known:
        kind = op_class(node)
        row = np.zeros(len(QUANTITIES))
        if kind is not None:
            has_weights = node.attrs.get("weights", kind not in ("pool", "other"))
            row[:3] = 1, bool(has_weights), kernel_size(node) - 1
            row[3 + CLASSES.index(kind)] = 1
        known[key] = row
    return known[key]
