"""Subsets of operations, and which edges of many cells they allow, as bit masks."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["allowed_edges", "edge_masks", "label", "subsets"]


def subsets(
    ops: Sequence[int], smallest: int = 1, largest: int | None = None
) -> list[tuple[int, ...]]:
    """Every subset of some sizes, by size and then lexicographically.

    >>> subsets((0, 1, 2), largest=2)
    [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    """
    top = len(ops) if largest is None else largest
    return [s for size in range(smallest, top + 1) for s in combinations(ops, size)]


def label(subset: Sequence[int]) -> str:
    """A subset as the authors write it in names of columns.

    >>> label(()), label((0,)), label((0, 1))
    ('()', '(0)', '(0, 1)')
    """
    return f"({', '.join(map(str, subset))})"


def edge_masks(ops: NDArray[Any], count: int) -> NDArray[np.uint8]:
    """Which edges carry each operation.

    Args:
        ops: (n, edges <= 8) operations.
        count: number of operations.

    Returns:
        (count, n), bit e set where edge e carries the operation.
    """
    masks = np.zeros((count, len(ops)), dtype=np.uint8)
    for op in range(count):
        for edge in range(ops.shape[1]):
            masks[op] |= (ops[:, edge] == op).astype(np.uint8) << edge
    return masks


def allowed_edges(masks: NDArray[np.uint8], chosen: Sequence[tuple[int, ...]]) -> NDArray[np.uint8]:
    """Which edges carry an operation of each subset, (subsets, n)."""
    unions: dict[tuple[int, ...], NDArray[np.uint8]] = {
        (): np.zeros(masks.shape[1], dtype=np.uint8)
    }

    def union(subset: tuple[int, ...]) -> NDArray[np.uint8]:
        """Edges of a subset: those of the subset without its last operation, and of that one."""
        if subset not in unions:
            unions[subset] = union(subset[:-1]) | masks[subset[-1]]
        return unions[subset]

    return np.stack([union(s) for s in chosen])
