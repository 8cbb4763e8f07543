"""Nodes under construction, and the fusion of attention into one node."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from foretell.graph import Graph, Node

__all__ = ["Op", "finish"]

_PAIRS = ("matmul", "einsum")


@dataclass
class Op:
    """A node under construction.

    Args:
        op: its name.
        inputs: indices of the nodes it reads.
        channels: of its output.
        positions: elements of each channel.
        attrs: further attributes of the graph's node.
    """

    op: str
    inputs: list[int]
    channels: int = 0
    positions: int = 1
    attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The name of its operation, without sizes and details."""
        return self.op.split("_")[0]


def finish(ops: Sequence[Op]) -> Graph:
    """The graph of nodes in topological order, with attention fused."""
    ops = _with_attention(ops)
    nodes = tuple(Node(op.op, MappingProxyType(_attributes(op))) for op in ops)
    return Graph(nodes, tuple((s, t) for t, op in enumerate(ops) for s in op.inputs))


def _attributes(op: Op) -> dict[str, Any]:
    """Attributes of a node in the graph."""
    attrs = {k: v for k, v in op.attrs.items() if k != "product"}
    if op.op == "output":
        return attrs
    side = max(round(math.sqrt(op.positions)), 1)
    return {**attrs, "out_channels": op.channels, "resolution": side}


def _with_attention(ops: Sequence[Op]) -> list[Op]:
    """The same, with matmul, softmax, matmul fused into one operation, a learned bias included."""
    users = _users(ops)
    gone: set[int] = set()
    for end, op in enumerate(ops):
        scores = _scores(ops, users, end)
        if not scores:
            continue
        op.inputs = [*ops[scores[-1]].inputs, *(s for s in op.inputs if s != scores[0])]
        op.op = "attention"
        op.attrs["kind"] = "attention"
        for name in ("params", "flops"):
            op.attrs[name] += sum(ops[s].attrs[name] for s in scores)
        op.attrs["weights"] |= any(ops[s].attrs["weights"] for s in scores)
        gone.update(scores)
    places = {v: k for k, v in enumerate(v for v in range(len(ops)) if v not in gone)}
    for op in ops:
        op.inputs = [places[s] for s in op.inputs if s in places]
    return [op for i, op in enumerate(ops) if i not in gone]


def _users(ops: Sequence[Op]) -> list[list[int]]:
    """The live readers of each node."""
    users: list[list[int]] = [[] for _ in ops]
    for target in reversed(range(len(ops))):
        if users[target] or target == len(ops) - 1:
            for source in ops[target].inputs:
                users[source].append(target)
    return users


def _scores(ops: Sequence[Op], users: Sequence[Sequence[int]], end: int) -> list[int]:
    """Softmax, added parameters and product that only ``end`` reads; empty without these."""
    if ops[end].word not in _PAIRS or len(ops[end].inputs) != 2:
        return []
    for index in ops[end].inputs:
        chain, user = list[int](), end
        while (
            users[index] == [user]
            and ops[index].word == ("add" if chain else "softmax")
            and len(ops[index].inputs) == 1
        ):
            chain.append(index)
            index, user = ops[index].inputs[0], index
        paired = ops[index].word in _PAIRS and len(ops[index].inputs) == 2
        if chain and paired and users[index] == [user]:
            return [*chain, index]
    return []
