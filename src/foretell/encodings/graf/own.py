"""GRAF of our own: what paths from input to output go through, on the contracted graph.

Dead and zero operations are gone and skips are contracted before anything is counted, so that
graphs of the same function have the same GRAF features; operations fall into a few coarse classes,
so that any labelled DAG has the same columns. A quantity along a path is the sum over its
operations: how many there are, how many carry weights, how far they see, and how many are of each
class. Of each quantity the largest, the smallest and the mean over all paths are taken, and its sum
over the operations; of multiply-adds, parameters and halvings of the resolution the mean and the
sum. Where the operations of each class stand between input and output is kept as well. Nothing is
missing: what a graph has not is zero, a dead graph has zeros everywhere, and its column ``paths``
says so.

Reference: after Kadlecova et al., ICML 2024. Differs: contracted graphs instead of raw ones; a few
quantities instead of all subsets of operations; means over paths, the number of paths, costs along
paths and positions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from foretell.encodings._base import EncodingTable
from foretell.encodings.graf.classes import CLASSES, Operation
from foretell.graph import Graph, Parts
from foretell.types import Array

__all__ = ["graf"]

QUANTITIES = ("ops", "weighted", "reach", *CLASSES)
"""Along a path: operations, those with weights, pixels that are seen beyond the first, classes."""
KINDS = ("total", "max", "min", "mean", "spread")
COSTS = ("flops", "params", "halvings")
"""Of these only the total and the mean over paths."""
_OPS, _CLASS = 0, slice(3, len(QUANTITIES))
_FAR = 1e9
_Key = tuple[str, int, int | None]


def graf(graphs: Sequence[Graph]) -> EncodingTable:
    """The GRAF features of labelled DAGs.

    Args:
        graphs: of any origin; they need not be canonical. Nodes may say ``kind``, ``kernel``,
            ``stride``, ``weights``, ``flops``, ``params`` and ``resolution``; what they do not say
            is taken from the operation's name, and costs are then guessed from kernel and class,
            in units of a pointwise convolution.

    Returns:
        ``paths`` (log of 1 + their number), ``direct`` (edges from input to output),
        ``fan_out`` of the input and ``fan_in`` of the output, ``joins`` (operations and sums that
        take in more than one value), ``edges``; for each quantity ``total``, ``max``, ``min``,
        ``mean`` and ``spread`` (max - min); of ``flops`` and ``params`` the logarithm of 1 + the
        ``total``, and the ``mean`` over paths as a share of it; of ``halvings`` (log2 of strides,
        but for a pooling of the whole image) ``total`` and ``mean``; for each class the mean
        ``depth`` of its operations (0 at the input, 1 at the output, on the longest paths through
        them). Columns are the same for all graphs.
    """
    parts = [g.contracted for g in graphs]
    names = ["paths", "direct", "fan_out", "fan_in", "joins", "edges"]
    names += [f"{q}_{kind}" for q in QUANTITIES for kind in KINDS]
    names += [f"{c}_{kind}" for c in COSTS for kind in ("total", "mean")]
    names += [f"{c}_depth" for c in CLASSES]
    values = np.zeros((len(graphs), len(names)))
    sizes = np.array([len(ops) for ops, _, _ in parts], dtype=np.int64)
    cache: dict[_Key, Array] = {}
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        values[rows] = _same_size([parts[i] for i in rows], int(size), cache)
    return EncodingTable(tuple(names), values)


def _same_size(graphs: list[Parts], size: int, cache: dict[_Key, Array]) -> Array:
    """Features of contracted graphs with the same number of nodes, (n, columns)."""
    n = len(graphs)
    times = np.zeros((n, size, size))
    weights = np.zeros((n, size, len(QUANTITIES) + len(COSTS)))
    for i, (ops, links, attrs) in enumerate(graphs):
        for source, target, often in links:
            times[i, source, target] = often
        image = attrs[0].get("resolution")
        for v, op in enumerate(ops):
            key = op, id(attrs[v]), image
            if key not in cache:
                cache[key] = _quantities(op, attrs[v], image)
            weights[i, v] = cache[key]
    paths, mean, high, low = _walk(times, weights, range(size))
    _, _, ahead, _ = _walk(times.swapaxes(1, 2), weights[..., :1], range(size)[::-1])
    shape = np.stack(
        [
            np.logaddexp(0.0, paths[:, -1]),
            times[:, 0, -1],
            times[:, 0].sum(axis=1),
            times[:, :, -1].sum(axis=1),
            (times[:, :, :-1].sum(axis=1) > 1).sum(axis=1),
            times.sum(axis=(1, 2)),
        ],
        axis=1,
    )
    whole, q = weights.sum(axis=1), len(QUANTITIES)
    most, least = high[:, -1], low[:, -1]
    along = np.stack([whole, most, least, mean[:, -1], most - least], axis=2)[:, :q]
    costs = np.stack([whole, mean[:, -1]], axis=2)[:, q:]
    costs[:, :2, 1] /= np.where(whole > 0, whole, 1.0)[:, q : q + 2]
    costs[:, :2, 0] = np.log1p(whole[:, q : q + 2])
    depth = _depth(high[..., _OPS], ahead[..., _OPS], weights[..., _CLASS])
    every = [shape, along.reshape(n, -1), costs.reshape(n, -1), depth]
    return np.concatenate(every, axis=1) * (paths[:, -1:] >= 0)


def _walk(times: Array, weights: Array, order: Sequence[int]) -> tuple[Array, Array, Array, Array]:
    """Quantities along all paths from the first node of an order to each, its own included.

    Args:
        times: (n, size, size) how often an edge is there.
        weights: (n, size, quantities) what a node adds.
        order: of the nodes, such that edges lead forward.

    Returns:
        Logarithm of the number of paths (n, size), -inf for none; then their means, largest and
        smallest, (n, size, quantities) each.
    """
    with np.errstate(divide="ignore"):
        often = np.log(times)
    paths = np.full(times.shape[:2], -np.inf)
    paths[:, order[0]] = 0
    mean, high, low = np.zeros_like(weights), np.zeros_like(weights), np.zeros_like(weights)
    linked = np.asarray(times.any(axis=0))
    for position, target in enumerate(order):
        sources = [s for s in order[:position] if linked[s, target]]
        if not sources:
            continue
        through = often[:, sources, target] + paths[:, sources]
        paths[:, target] = number = np.logaddexp.reduce(through, axis=1)
        share = np.exp(through - np.where(number > -np.inf, number, 0.0)[:, None])[:, :, None]
        own = weights[:, target]
        mean[:, target] = (share * mean[:, sources]).sum(axis=1) + own
        there = np.isfinite(through[:, :, None])
        high[:, target] = np.where(there, high[:, sources], -_FAR).max(axis=1) + own
        low[:, target] = np.where(there, low[:, sources], _FAR).min(axis=1) + own
    return paths, mean, high, low


def _depth(behind: Array, ahead: Array, classes: Array) -> Array:
    """Where operations of each class stand between input and output, (n, classes).

    Args:
        behind: (n, size) most operations on a path from the input to a node, itself included.
        ahead: the same from a node to the output.
        classes: (n, size, classes) 1 where a node is of a class.
    """
    position = (behind - 0.5) / np.maximum(behind + ahead - 1, 1)
    number = classes.sum(axis=1)
    return np.asarray((classes * position[:, :, None]).sum(axis=1) / np.maximum(number, 1))


def _quantities(op: str, attrs: Mapping[str, Any], image: int | None) -> Array:
    """What passing through a node adds to each quantity, then to each cost."""
    row = np.zeros(len(QUANTITIES) + len(COSTS))
    operation = Operation.of(op, attrs)
    inner = attrs.get("resolution")
    whole = operation.kind == "pool" and inner == 1  # of the whole image: no step on the way down
    row[-3:] = operation.flops, operation.params, 0.0 if whole else np.log2(operation.stride)
    if operation.kind is not None:
        apart = image / (inner * operation.stride) if image and inner else 1.0
        row[:3] = 1, operation.weighted, (operation.kernel - 1) * apart
        row[_CLASS][CLASSES.index(operation.kind)] = 1
    return row
