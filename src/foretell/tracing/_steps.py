"""Conversion of calls, as listed by torch.export, torch.fx or ONNX, to a graph of operations."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foretell.graph import Graph
from foretell.tracing._nodes import Op, finish
from foretell.tracing._vocabulary import (
    COPIES,
    NO_DATA,
    PICKS,
    POOLS,
    PRODUCTS,
    REDUCTIONS,
    SIDE_BY_SIDE,
    VIEWS,
)

__all__ = ["Step", "assemble"]


@dataclass(frozen=True)
class Step:
    """A call in a traced program.

    Args:
        name: of its result.
        word: the operation, as normalised by ``plain_word``.
        inputs: names of the values that it reads, constants and parameters included.
        shape: of the value, for one image; of the first, if it makes several.
        kernel: side in pixels.
        stride: in pixels.
        dilation: in pixels.
        groups: of a convolution's channels.
        flops: multiply-adds.
        details: other arguments as text; two calls without weights are equal only if these are.
        writes: name of the value that it changes in place, if any.
        channels: of the result, where its shape does not give them.
    """

    name: str
    word: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...] = ()
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    flops: int = 0
    details: str = ""
    writes: str = ""
    channels: int = 0


@dataclass
class _Value:
    """Where a value comes from.

    Args:
        node: the operation that computes it; None for values that do not depend on the input.
        parameters: that it depends on and that are not yet counted at a node.
        picked: whether it is only a part of the node's output.
    """

    node: int | None
    parameters: frozenset[str] = frozenset()
    picked: bool = False


def assemble(
    steps: Sequence[Step],
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Sequence[str],
    parameters: Mapping[str, int],
) -> Graph:
    """The graph of a network.

    Several inputs are one node, as if concatenated; several outputs lead into one node, each by a
    separate edge.

    Args:
        steps: every call, in the order in which they run.
        inputs: name -> shape for one image.
        outputs: names of values.
        parameters: name -> elements; values that are neither parameters nor computed by a step are
            constants.
    """
    return _Assembly(inputs, parameters).graph(steps, outputs)


class _Assembly:
    """Builds the graph step by step."""

    def __init__(self, inputs: Mapping[str, tuple[int, ...]], sizes: Mapping[str, int]) -> None:
        shape = next(iter(inputs.values()), ())
        channels = _own_channels(shape)
        start = Op("input", [], channels, max(math.prod(shape) // max(channels, 1), 1))
        self.ops = [start]
        self.sizes = sizes
        self.values = {name: _Value(0) for name in inputs}
        self.values |= {name: _Value(None, frozenset({name})) for name in sizes}
        self.roots: dict[str, str] = {}  # a view -> the value whose memory it shares
        self.counted: set[str] = set()

    def graph(self, steps: Sequence[Step], outputs: Sequence[str]) -> Graph:
        for step in steps:
            made = self._take(step)
            self.values[step.name] = made
            if step.word in (VIEWS | PICKS) - COPIES and step.inputs:
                self.roots[step.name] = self.roots.get(step.inputs[0], step.inputs[0])
            if step.writes:
                self._overwrite(step.writes, made)
        ends = [self._value(name) for name in outputs]
        left = frozenset().union(*(v.parameters for v in ends))
        last = Op("output", [v.node for v in ends if v.node is not None])
        last.attrs |= self._counted(left)
        return finish([*self.ops, last])

    def _value(self, name: str) -> _Value:
        return self.values.get(name, _Value(None))

    def _overwrite(self, name: str, made: _Value) -> None:
        """The current name of a value that was changed in place."""
        root = self.roots.get(name, name)
        old = self._value(root)
        if root != name and made.node is None:
            return  # constants in a part of it
        if root != name and old.node is not None and made.node is not None:
            self.ops.append(Op("update", [old.node, made.node], self.ops[old.node].channels))
            self.ops[-1].positions = self.ops[old.node].positions
            self.ops[-1].attrs |= {"kind": "other", "apart": True, "weights": False}
            made = _Value(len(self.ops) - 1)
        for alias in (root, name, *(v for v, r in self.roots.items() if r == root)):
            self.values[alias] = made

    def _take(self, step: Step) -> _Value:
        """The result of a step, with a new node if needed."""
        names = step.inputs[:1] if step.word in VIEWS else step.inputs  # then shapes and types
        read = [self._value(name) for name in names]
        given = frozenset().union(*(v.parameters for v in read))
        data = [v for v in read if v.node is not None]
        if step.word in NO_DATA:
            return _Value(None)
        if not data and not step.flops:
            return _Value(None, given)
        changes_nothing = step.word in SIDE_BY_SIDE | {"add", "concat"} and len(data) == 1
        if step.word in VIEWS | PICKS or (changes_nothing and not given):
            if data[1:]:  # positions that were computed, such as in a gather
                return self._node(step, "other", data, given)
            picked = data[0].picked or step.word in PICKS
            return _Value(data[0].node, data[0].parameters | given, picked)
        if changes_nothing and self._is_bias(data[0], given, step):
            node = data[0].node
            assert node is not None
            extra = self._counted(given)
            self.ops[node].attrs["params"] += extra["params"]
            return data[0]
        if step.word == "add" and not given:
            return self._node(step, None, data, given, op="sum")
        if step.word == "concat":
            return self._node(step, None, data, given, op="concat")
        return self._node(step, _kind(step), data, given)

    def _is_bias(self, value: _Value, given: frozenset[str], step: Step) -> bool:
        """Whether adding these parameters is the bias of the product before it."""
        assert value.node is not None
        op = self.ops[value.node]
        size = sum(self.sizes[p] for p in given - value.parameters)
        return step.word == "add" and bool(op.attrs.get("product")) and size == op.channels

    def _node(
        self,
        step: Step,
        kind: str | None,
        data: Sequence[_Value],
        given: frozenset[str],
        op: str | None = None,
    ) -> _Value:
        sources = [v.node for v in data if v.node is not None]
        made = Op(op or step.word, sources, *self._extent(step, sources))
        made.attrs |= self._counted(given)
        if kind is not None:
            kernel, stride = self._window(step, made)
            if step.word in REDUCTIONS:
                kind = "pool" if kernel > 1 else "other"
            made.attrs |= {"kind": kind, "kernel": kernel, "stride": stride}
            made.op = op or _name(step, made, kernel, stride)
        picked = any(v.picked for v in data)
        if picked or (kind is not None and len(sources) > 1):
            made.attrs["apart"] = True
        made.attrs |= {"flops": step.flops, "product": step.word in PRODUCTS and bool(given)}
        self.ops.append(made)
        return _Value(len(self.ops) - 1)

    def _counted(self, given: frozenset[str]) -> dict[str, Any]:
        """Elements of parameters, each counted at its first use."""
        new = given - self.counted
        self.counted |= new
        return {"params": sum(self.sizes[p] for p in new), "weights": bool(given)}

    def _extent(self, step: Step, sources: Sequence[int]) -> tuple[int, int]:
        """Channels and positions of a value, whatever the order of its dimensions."""
        size = max(math.prod(step.shape), 1)
        before = [self.ops[s] for s in sources]
        if step.channels:
            channels = step.channels
        elif step.word in ("conv", "convtranspose"):
            channels = _own_channels(step.shape)
        elif step.word in PRODUCTS:
            channels = _last(step.shape)
            if len(sources) > 1 and len(step.shape) == 4:  # heads of an attention
                channels *= step.shape[1]
        elif step.word == "concat":
            total = sum(op.channels for op in before)
            beside = len({op.positions for op in before}) == 1 and size % max(total, 1) == 0
            channels = total if beside else before[0].channels if before else 1
        else:
            channels = max((op.channels for op in before), default=1)
        if step.word in REDUCTIONS and before and before[0].channels != before[0].positions:
            channels = 1 if size == before[0].positions else channels
        if channels < 1 or size % channels:
            channels = _own_channels(step.shape)
        return channels, max(size // max(channels, 1), 1)

    def _window(self, step: Step, made: Op) -> tuple[int, int]:
        """Kernel and stride; those of an adaptive pooling follow from its output size."""
        if step.word in REDUCTIONS and made.inputs:
            before = self.ops[made.inputs[0]]
            if before.channels == made.channels and before.positions > made.positions:
                side = max(round(math.sqrt(before.positions / made.positions)), 1)
                return side, side
            return 1, 1
        return step.kernel, step.stride


def _own_channels(shape: Sequence[int]) -> int:
    """Channels of an image's or a vector's shape, its first dimension being the batch."""
    return shape[1] if len(shape) > 1 else 1


def _last(shape: Sequence[int]) -> int:
    return shape[-1] if shape else 1


def _kind(step: Step) -> str:
    """The coarse class of a step; see ``foretell.encodings``."""
    if step.word in ("conv", "convtranspose"):
        if step.groups > 1:
            return "separable"
        return "conv" if step.kernel > 1 else "pointwise"
    if step.word in PRODUCTS:
        return "linear"
    if step.word == "attention":
        return "attention"
    return "pool" if step.word in POOLS else "other"


def _name(step: Step, made: Op, kernel: int, stride: int) -> str:
    """Name of an operation; equal names mean equal functions up to the weights."""
    parts = [step.word]
    if step.word in PRODUCTS:
        parts.append(str(made.channels))
    if kernel > 1 or step.word.startswith("conv"):
        parts.append(f"{kernel}x{kernel}")
    parts += [f"stride{stride}"] if stride > 1 else []
    parts += [f"dilation{step.dilation}"] if step.dilation > 1 else []
    parts += [f"groups{step.groups}"] if step.groups > 1 else []
    if not made.attrs["weights"]:
        parts.append(re.sub(r"\W+", ".", step.details).strip("."))
    return "_".join(p for p in parts if p)
