"""Nodes in the making, and the one pattern of several nodes that is a single operation."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from foretell.graph import Graph, Node

__all__ = ["Op", "finish"]


@dataclass
class Op:
    """A node in the making.

    Args:
        op: its name.
        inputs: places of the nodes it reads.
        channels: of what it makes.
        positions: numbers in each channel.
        attrs: what else the graph will say of it.
    """

    op: str
    inputs: list[int]
    channels: int = 0
    positions: int = 1
    attrs: dict[str, Any] = field(default_factory=dict)


def finish(ops: Sequence[Op]) -> Graph:
    """The graph of nodes in topological order, attention brought together."""
    ops = _with_attention(ops)
    nodes = tuple(Node(op.op, MappingProxyType(_attributes(op))) for op in ops)
    return Graph(nodes, tuple((s, t) for t, op in enumerate(ops) for s in op.inputs))


def _attributes(op: Op) -> dict[str, Any]:
    """What the graph says of a node."""
    attrs = {k: v for k, v in op.attrs.items() if k != "product"}
    if op.op == "output":
        return attrs
    side = max(round(math.sqrt(op.positions)), 1)
    return {**attrs, "out_channels": op.channels, "resolution": side}


def _with_attention(ops: Sequence[Op]) -> list[Op]:
    """The same, with matmul, softmax, matmul as one operation."""
    users: list[list[int]] = [[] for _ in ops]
    for target, op in enumerate(ops):
        for source in op.inputs:
            users[source].append(target)

    def is_product(i: int) -> bool:
        word = re.match(r"[a-z]*", ops[i].op)
        return word is not None and word[0] in ("matmul", "einsum") and len(ops[i].inputs) == 2

    gone: set[int] = set()
    for i, op in enumerate(ops):
        if not op.op.startswith("softmax") or len(op.inputs) != 1 or len(users[i]) != 1:
            continue
        first, second = op.inputs[0], users[i][0]
        if is_product(first) and is_product(second) and users[first] == [i]:
            end = ops[second]
            end.inputs = [*ops[first].inputs, *(s for s in end.inputs if s != i)]
            end.op = "attention"
            flops = end.attrs["flops"] + ops[first].attrs["flops"]
            end.attrs |= {"kind": "attention", "flops": flops}
            gone |= {first, i}
    places = {v: k for k, v in enumerate(v for v in range(len(ops)) if v not in gone)}
    for op in ops:
        op.inputs = [places[s] for s in op.inputs if s in places]
    return [op for i, op in enumerate(ops) if i not in gone]
