"""GRAF as its authors compute it: the same columns, the same values, the same missing codes.

Every family is taken over subsets of the operations, and zero and skip operations are operations
like any other. It differs from the authors' code in speed alone: no graph is rebuilt for each
network and subset; path lengths are looked up by the set of allowed edges, or computed for all
networks and subsets at once.

Reference: Kadlecova et al., Surprisingly Strong Performance Prediction with Neural Graph Features,
ICML 2024; code zc_combine at 5a14948.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.encodings._base import EncodingTable
from foretell.encodings.graf.subsets import allowed_edges, edge_masks, label, subsets
from foretell.errors import ArchError

__all__ = ["graf_darts", "graf_nb101", "graf_nb201", "graf_transnas_macro", "graf_transnas_micro"]

Ints = NDArray[np.integer[Any]]

NB201_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
TRANSNAS_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
DARTS_INPUTS = ("c_{k-2}", "c_{k-1}")


def graf_nb201(ops: Ints) -> EncodingTable:
    """The 191 features of NAS-Bench-201 cells.

    Args:
        ops: (n, 6) operations of the edges 0->1, 0->2, 0->3, 1->2, 1->3, 2->3: 0 skip_connect,
            1 none, 2 nor_conv_3x3, 3 nor_conv_1x1, 4 avg_pool_3x3.

    Raises:
        ArchError: the array has another shape, or an operation is unknown.
    """
    return _edge_cells(ops, NB201_EDGES, 5)


def graf_transnas_micro(ops: Ints) -> EncodingTable:
    """The 94 features of TransNAS-Bench-101's cells.

    Args:
        ops: (n, 6) operations of the edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3: 0 none, 1 skip,
            2 conv1x1, 3 conv3x3.

    Raises:
        ArchError: the array has another shape, or an operation is unknown.
    """
    return _edge_cells(ops, TRANSNAS_EDGES, 4)


def _edge_cells(ops: Ints, edges: tuple[tuple[int, int], ...], count: int) -> EncodingTable:
    ops = _checked(ops, (len(edges),), count)
    masks = edge_masks(ops, count)
    shortest, longest, leaving, entering, size = _edge_tables(edges)
    banned = subsets(range(count), 0, count - 1)
    allowed = subsets(range(count))
    rest = [tuple(o for o in range(count) if o not in b) for b in banned]
    edges_without = allowed_edges(masks, rest)
    edges_with = allowed_edges(masks, allowed)
    names = [f"op_count_{o}" for o in range(count)]
    blocks = [size[masks].T]
    names += [f"min_path_len_banned_{label(b)}" for b in banned]
    blocks.append(shortest[edges_without].T)
    names += [f"max_op_on_path_allowed_{label(s)}" for s in allowed]
    blocks.append(longest[edges_with].T)
    kinds = ("in_degree", "out_degree", "avg_in", "avg_out")
    names += [f"node_degree_allowed_{label(s)}_{k}" for s in allowed for k in kinds]
    mean = size[edges_with] / np.float32(4)
    degrees = np.stack([leaving[edges_with], entering[edges_with], mean, mean], axis=1)
    blocks.append(degrees.reshape(math.prod(degrees.shape[:2]), len(ops)).T)
    return EncodingTable(tuple(names), np.concatenate(blocks, axis=1, dtype=np.float32))


@cache
def _edge_tables(edges: tuple[tuple[int, int], ...]) -> tuple[NDArray[np.float32], ...]:
    """Facts about every set of edges of a cell with four nodes, each (sets,).

    Shortest path (5 if there is none), longest path (-1), edges that leave the input, edges that
    enter the output, edges.
    """
    facts = np.empty((5, 1 << len(edges)), dtype=np.float32)
    for mask in range(facts.shape[1]):
        present = [e for i, e in enumerate(edges) if mask >> i & 1]
        lengths: list[set[int]] = [{0}, set(), set(), set()]
        for target in range(1, 4):  # every length of a path to each node
            for source, to in present:
                if to == target:
                    lengths[target] |= {n + 1 for n in lengths[source]}
        ends = lengths[3]
        facts[:, mask] = (
            min(ends, default=5),
            max(ends, default=-1),
            sum(s == 0 for s, _ in present),
            sum(t == 3 for _, t in present),
            len(present),
        )
    return tuple(facts)


def graf_nb101(adjacency: Ints, ops: Ints) -> EncodingTable:
    """The 47 features of NAS-Bench-101 cells with the same number of nodes.

    Lengths count as the authors' code counts them: the number of operations on the longest path
    less 2, so -2 for a direct edge and -4 without a path.

    Args:
        adjacency: (n, v, v) of 0 and 1, edges from lower to higher nodes.
        ops: (n, v) 0 input, 1 output, 2 maxpool3x3, 3 conv1x1, 4 conv3x3.

    Raises:
        ArchError: the arrays have other shapes, an operation is unknown, or an edge leads back.
    """
    ops = _checked(ops, None, 5)
    n, v = ops.shape
    adjacency = np.asarray(adjacency)
    if adjacency.shape != (n, v, v) or np.tril(adjacency).any() or adjacency.min(initial=0) < 0:
        raise ArchError(
            f"Expected upper triangular adjacency matrices of shape {(n, v, v)}, but got "
            f"{adjacency.shape}."
        )
    linked = adjacency.astype(bool)
    names = [f"op_count_{o}" for o in range(5)]
    columns: list[NDArray[Any]] = [(ops == o).sum(axis=1) for o in range(5)]
    for banned in subsets((2, 3, 4), 0, 2):
        names.append(f"min_path_len_banned_{label(banned)}")
        allowed = ~np.isin(ops, banned)
        columns.append(_node_paths(linked, allowed, longest=False, missing=v))
    chosen = subsets((2, 3, 4))
    for subset in chosen:
        names.append(f"max_op_on_path_allowed_{label(subset)}")
        allowed = np.isin(ops, (0, 1, *subset))
        # edges + 1 nodes, from which the code takes 2 twice
        columns.append(_node_paths(linked, allowed, longest=True, missing=-1) - 3)
    for subset in chosen:
        inside = np.isin(ops, subset)
        before = (linked & inside[:, :, None]).sum(axis=1)
        after = (linked & inside[:, None, :]).sum(axis=2)
        kinds = {
            "in_degree": before[:, -1],
            "out_degree": after[:, 0],
            "avg_in": before.mean(axis=1),
            "avg_out": after.mean(axis=1),
        }
        names += [f"node_degree_allowed_{label(subset)}_{kind}" for kind in kinds]
        columns += kinds.values()
    return EncodingTable(tuple(names), np.stack(columns, axis=1).astype(np.float64))


def _node_paths(
    linked: NDArray[np.bool_], allowed: NDArray[np.bool_], *, longest: bool, missing: int
) -> Ints:
    """Edges on the shortest or longest path from first to last node over allowed nodes, (n,)."""
    n, v = allowed.shape
    far = -100 if longest else 100
    length = np.full((n, v), far, dtype=np.int64)
    length[:, 0] = 0
    for target in range(1, v):
        usable = linked[:, :target, target] & allowed[:, :target] & allowed[:, target, None]
        through = np.where(usable, length[:, :target] + 1, far)
        length[:, target] = through.max(axis=1) if longest else through.min(axis=1)
    ends = length[:, -1]
    return np.where((ends > 50) | (ends < 0), missing, ends)


def graf_darts(sources: Ints, ops: Ints) -> EncodingTable:
    """The 1,540 features of DARTS cells.

    Args:
        sources: (n, 2, 8) where each edge comes from: 0 and 1 are the cell's inputs, 2..5 its
            inner nodes, two edges to each; the normal cell first.
        ops: (n, 2, 8) 0..6: max_pool_3x3, avg_pool_3x3, skip_connect, sep_conv_3x3, sep_conv_5x5,
            dil_conv_3x3, dil_conv_5x5.

    Raises:
        ArchError: the arrays have other shapes, an operation is unknown, or an edge leads back.
    """
    ops = _checked(ops, (2, 8), 7)
    sources = np.asarray(sources)
    latest = np.repeat(np.arange(2, 6), 2)
    if sources.shape != ops.shape or sources.min(initial=0) < 0 or (sources >= latest).any():
        raise ArchError(
            f"Expected sources of shape {ops.shape}, each before its node, but got {sources.shape}."
        )
    chosen = subsets(range(1, 8))
    cells = ("normal", "reduce")
    names = [f"op_count_{cell}_{o}" for cell in cells for o in range(8)]
    names += [
        f"max_op_on_path_allowed_{label(s)}_{cell}_{start}"
        for s in chosen
        for cell in cells
        for start in DARTS_INPUTS
    ]
    kinds = (*(f"{start}_degree" for start in DARTS_INPUTS), "avg_in", "avg_out")
    names += [
        f"node_degree_allowed_{label(s)}_{cell}_{kind}"
        for s in chosen
        for cell in cells
        for kind in kinds
    ]
    n = len(ops)
    counts = np.empty((n, 2, 8), dtype=np.float32)
    longest = np.empty((n, len(chosen), 2, 2), dtype=np.float32)
    degrees = np.empty((n, len(chosen), 2, 4), dtype=np.float32)
    for cell in range(2):
        masks = edge_masks(ops[:, cell], 7)
        counts[:, cell, 0] = 4  # edges to the output
        counts[:, cell, 1:] = _BITS[masks].T
        kinds_of_wiring, wiring = np.unique(sources[:, cell], axis=0, return_inverse=True)
        paths, leaving = _darts_tables(kinds_of_wiring)
        allowed = allowed_edges(masks, [tuple(o - 1 for o in s) for s in chosen]).T
        index = wiring.reshape(-1, 1) * 256 + allowed
        longest[:, :, cell] = paths.reshape(-1, 2)[index]
        degrees[:, :, cell, :2] = leaving.reshape(-1, 2)[index]
        degrees[:, :, cell, 2] = degrees[:, :, cell, 3] = _BITS[allowed] / np.float32(7)
    blocks = [b.reshape(n, math.prod(b.shape[1:])) for b in (counts, longest, degrees)]
    return EncodingTable(tuple(names), np.concatenate(blocks, axis=1))


def _darts_tables(wirings: Ints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Facts about every set of edges of some wirings, each (wirings, 256, inputs).

    Longest path from each input to the output, the edge to the output included (-1 if there is
    none), and edges that leave each input.

    Args:
        wirings: (wirings, 8) sources.
    """
    present = (np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)
    paths = np.empty((len(wirings), 256, 2), dtype=np.float32)
    leaving = np.empty((len(wirings), 256, 2), dtype=np.float32)
    for w, wiring in enumerate(wirings):
        for start in range(2):
            length = np.full((6, 256), -100)
            length[start] = 0
            for edge, source in enumerate(wiring):
                node = 2 + edge // 2
                through = np.where(present[:, edge], length[source] + 1, -100)
                length[node] = np.maximum(length[node], through)
            best = length[2:].max(axis=0) + 1
            paths[w, :, start] = np.where(best > 0, best, -1)
            leaving[w, :, start] = present[:, wiring == start].sum(axis=1)
    return paths, leaving


def graf_transnas_macro(blocks: Sequence[Sequence[int]]) -> EncodingTable:
    """The 16 features of TransNAS-Bench-101's macro networks.

    Args:
        blocks: of each network its 4 to 6 blocks: 1 plain, 2 more channels, 3 stride, 4 both.
            Zeros at the end are padding.

    Raises:
        ArchError: a network has another number of blocks, or a block is unknown.
    """
    padded = np.zeros((len(blocks), 6), dtype=np.int64)
    for row, given in zip(padded, blocks, strict=True):
        own = np.trim_zeros(np.asarray(given, dtype=np.int64), "b")
        if not 4 <= len(own) <= 6 or own.min() < 1 or own.max() > 4:
            raise ArchError(f"Expected 4 to 6 blocks from 1 to 4, but got {list(given)}.")
        row[: len(own)] = own
    there = padded > 0
    wider, strided = there & (padded % 2 == 0), padded > 2
    names, columns = [], []
    for more in (True, False):
        for stride in (True, False):
            names.append(f"count_ops_ch{more}s{stride}")
            columns.append(((wider == more) & (strided == stride) & there).sum(axis=1))
    for kind, marks in (("ch", wider), ("s", strided)):
        names += [f"pos_state_{kind}_pos_{i}" for i in range(6)]
        columns += list((marks.cumsum(axis=1) * there).T)
    return EncodingTable(tuple(names), np.stack(columns, axis=1).astype(np.float32))


def _checked(ops: Ints, shape: tuple[int, ...] | None, count: int) -> Ints:
    ops = np.asarray(ops)
    wrong = ops.ndim != 2 if shape is None else ops.shape[1:] != shape
    if wrong or (ops.size and (ops.min() < 0 or ops.max() >= count)):
        expected = "(n, nodes)" if shape is None else f"(n, {', '.join(map(str, shape))})"
        raise ArchError(
            f"Expected operations below {count} of shape {expected}, but got shape {ops.shape}"
            + (f" with values from {ops.min()} to {ops.max()}." if ops.size else ".")
        )
    return ops


_BITS = np.array([m.bit_count() for m in range(256)], dtype=np.float32)
"""Edges in each mask."""
