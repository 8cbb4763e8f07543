"""A labelled DAG: operations on nodes, values on edges.

Every node applies its operation to the sum of the values that come in; ``concat`` takes them side
by side instead. Two operations of the same name have weights of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

__all__ = ["Graph", "Node"]

ZERO = frozenset({"zero", "none"})
IDENTITY = frozenset({"skip", "sum", "identity", "skip_connect"})


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

    @cached_property
    def live(self) -> tuple[bool, ...]:
        """Whether each node lies on a path from input to output without a zero operation."""
        last = len(self.nodes) - 1
        passes = [n.op not in ZERO for n in self.nodes]
        reached, leads = [False] * (last + 1), [False] * (last + 1)
        reached[0], leads[last] = passes[0], passes[last]
        for source, target in sorted(self.edges):
            reached[target] |= reached[source] and passes[target]
        for source, target in sorted(self.edges, reverse=True):
            leads[source] |= leads[target] and passes[source]
        return tuple(r and o for r, o in zip(reached, leads, strict=True))

    @property
    def alive(self) -> bool:
        """Whether some path without a zero operation leads from input to output."""
        return self.live[-1]
