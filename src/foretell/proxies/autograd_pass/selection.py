"""Which of several joined results a selection reads.

The last state of a recurrent network may be taken out of all states that were stacked, or be used
as it is: in the autograd graph both lead to the same result.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from torch.autograd.graph import Node

__all__ = ["selected"]

Source: TypeAlias = tuple[Node, int]
"""A node of the autograd graph, and which of its results is meant."""

_Sources: TypeAlias = Sequence[tuple[Node | None, int]]

_SELECTIONS = frozenset({"SelectBackward0", "SliceBackward0", "UnbindBackward0"})
_SAME = frozenset({"CloneBackward0", "AliasBackward0", "ContiguousBackward0"})
_TRANSPOSED = frozenset({"TransposeBackward0", "TransposeBackward1"})
_SIGN = 1 << 63
"""Saved integers are unsigned: those from here on were negative."""


def selected(node: Node, number: int) -> list[Source] | None:
    """The results that one position is taken from, or None where they were not joined.

    Args:
        node: of the autograd graph.
        number: which of its results is read.
    """
    name, (source, _) = node.name(), (*node.next_functions, (None, 0))[0]
    if source is None or name not in _SELECTIONS:
        return None
    saved: Any = node
    shape = _shape(source)
    axis = _signed(saved._saved_dim, len(shape))
    if name == "UnbindBackward0":
        return _at(source, axis, number)
    if name == "SelectBackward0":
        return _at(source, axis, _signed(saved._saved_index, shape[axis]))
    if _shape(node)[axis] != 1:
        return None
    return _at(source, axis, _signed(saved._saved_start, shape[axis]))


def _at(node: Node | None, axis: int, index: int) -> list[Source] | None:
    """What one position along an axis of a result was joined from."""
    if node is None:
        return None
    name, shape = node.name(), _shape(node)
    saved: Any = node
    sources = node.next_functions
    if name in _SAME:
        return _at(sources[0][0], axis, index)
    if name in _TRANSPOSED:
        pair = [_signed(d, len(shape)) for d in (saved._saved_dim0, saved._saved_dim1)]
        return _at(sources[0][0], sum(pair) - axis if axis in pair else axis, index)
    if name == "PermuteBackward0":
        return _at(sources[0][0], _signed(saved._saved_dims[axis], len(shape)), index)
    if name == "UnsqueezeBackward0":
        new = _signed(saved._saved_dim, len(shape))
        if new == axis:
            return _whole(sources[:1])
        return _at(sources[0][0], axis - (new < axis), index)
    if name == "StackBackward0":
        new = _signed(saved._saved_dim, len(shape))
        if new == axis:
            return _whole(sources[index : index + 1])
        return _all(sources, axis - (new < axis), index)
    if name == "CatBackward0":
        if _signed(saved._saved_dim, len(shape)) != axis:
            return _all(sources, axis, index)
        for source, number in node.next_functions:
            if source is None:
                return None
            size = _shape(source, number)[axis]
            if index < size:
                parts = _at(source, axis, index)
                return [(source, number)] if parts is None and size == 1 else parts
            index -= size
    return None


def _all(sources: _Sources, axis: int, index: int) -> list[Source] | None:
    parts = [_at(source, axis, index) for source, _ in sources]
    return None if None in parts else [s for part in parts for s in part or ()]


def _whole(sources: _Sources) -> list[Source] | None:
    return [(node, number) for node, number in sources if node is not None] or None


def _shape(node: Node, number: int = 0) -> tuple[int, ...]:
    """Of one of the results that a node stands for."""
    metadata: Any = node._input_metadata
    return tuple(metadata[number].shape)


def _signed(value: int, size: int) -> int:
    """An axis or index counted from the start."""
    value = value - 2 * _SIGN if value >= _SIGN else value
    return value % size
