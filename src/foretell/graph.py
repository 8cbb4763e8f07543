"""A labelled DAG: operations on nodes, values on edges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["Graph", "Node"]


@dataclass(frozen=True)
class Node:
    """One operation.

    Args:
        op: "input", "output", "zero", "skip", "sum", "conv3x3" and so on; same op, same function
            up to its weights.
        attrs: channels, kernel, stride, params, flops and whatever else is known.
    """

    op: str
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; the first is the input, the last the output.

    Args:
        nodes: the operations.
        edges: (from, to) with from < to; the same pair twice means that a value is added twice.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def alive(self) -> bool:
        """Whether some path without a zero operation leads from input to output."""
        raise NotImplementedError
