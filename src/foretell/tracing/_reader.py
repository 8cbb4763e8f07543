"""Reader of modules traced by torch.export or torch.fx."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map

from foretell.graph import Graph
from foretell.networks.watching import Watching
from foretell.tracing._steps import Step, assemble
from foretell.tracing._vocabulary import is_cheap, plain_word
from foretell.tracing.products import product

__all__ = ["Reader"]

_ORDER: Mapping[str, tuple[str, ...]] = {
    "conv": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "convtranspose": (
        *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    ),
    "maxpool": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avgpool": ("input", "kernel_size", "stride", "padding"),
    "lppool": ("input", "norm_type", "kernel_size", "stride"),
}
"""Names of positional arguments of functions without a schema."""


class Reader:
    """Converts the nodes of a traced module to steps.

    Args:
        module: what was traced.
        traced: holds the nodes; each has its value, or values, in ``meta["val"]``.
    """

    def __init__(self, module: nn.Module, traced: fx.GraphModule) -> None:
        """Give each parameter one name, also if it is shared."""
        self.traced = traced
        self.steps: list[Step] = []
        self.inputs: dict[str, tuple[int, ...]] = {}
        named = list(module.named_parameters(remove_duplicate=False))
        first = {id(p): path for path, p in reversed(named)}
        self.keys = {path: f"parameter {first[id(p)]}" for path, p in named}
        self.sizes = {self.keys[path]: p.numel() for path, p in named}

    def name_parameter(self, name: str, path: str) -> None:
        """Register a value as a parameter."""
        self.steps.append(Step(name, "alias", (self.keys[path],)))

    def graph(self, inputs: Sequence[object]) -> Graph:
        """The graph of all nodes.

        Args:
            inputs: names of the placeholders that are inputs and no parameters.

        Raises:
            ValueError: there is control flow, or no output.
        """
        outputs: list[str] = []
        for node in self.traced.graph.nodes:
            if node.op == "placeholder" and node.name in inputs:
                self.inputs[node.name] = _shape(node.meta.get("val"))
            elif node.op == "output":
                outputs = _names(node.args)
            elif node.op == "get_attr" and str(node.target) in self.keys:
                self.name_parameter(node.name, str(node.target))
            elif node.op in ("call_function", "call_method", "call_module"):
                self._call(node)
        if not outputs:
            raise ValueError("its output holds no value")
        return assemble(self.steps, self.inputs, outputs, self.sizes)

    def _call(self, node: fx.Node) -> None:
        called = self.traced.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = _called_name(node, called)
        word = plain_word(name)
        if word.startswith("assert"):
            return
        if any(isinstance(self._attribute(a), fx.GraphModule) for a in node.all_input_nodes):
            raise ValueError(f"the control flow {name} is not read")
        inputs = _names((node.args, node.kwargs))
        if called is not None:
            held = called.named_parameters(prefix=str(node.target), remove_duplicate=False)
            inputs += [self.keys[path] for path, _ in held]
        kernel, stride, dilation, groups = _window(node, called, word)
        in_place = name.endswith("_") and not name.endswith("__")
        in_place = in_place or getattr(called, "inplace", False)
        writes = inputs[0] if in_place and inputs else ""
        if word == "copy":
            word, inputs = "clone", inputs[1:]
        self.steps.append(
            Step(
                name=node.name,
                word=word,
                inputs=tuple(inputs),
                shape=_shape(node.meta.get("val")),
                kernel=kernel,
                stride=stride,
                dilation=dilation,
                groups=groups,
                flops=0 if is_cheap(word) else _flops(node, called),
                details=_details(node, called),
                writes=writes,
                channels=_heads_together(node, word),
            )
        )

    def _attribute(self, node: fx.Node) -> object:
        if node.op != "get_attr":
            return None
        target: object = self.traced
        for part in str(node.target).split("."):
            target = getattr(target, part, None)
        return target


class _Counter(Watching):
    """Sums the multiply-adds of what has a formula."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        if made := product(func, args, kwargs or {}, out):
            self.flops += made.flops or 0
        return out


def _flops(node: fx.Node, called: nn.Module | None) -> int:
    """Multiply-adds of one call, on the meta device."""

    def empty(value: object) -> object:
        return torch.empty_like(value, device="meta") if isinstance(value, Tensor) else value

    def given(other: fx.Node) -> Any:
        return tree_map(empty, other.meta.get("val"))

    args, kwargs = map_arg(node.args, given), map_arg(node.kwargs, given)
    counter = _Counter()
    with counter:
        if called is not None:
            weights = {k: empty(v) for k, v in called.state_dict(keep_vars=True).items()}
            torch.func.functional_call(called, weights, args, kwargs)  # type: ignore[arg-type]
        elif isinstance(node.target, str):
            getattr(args[0], node.target)(*args[1:], **kwargs)
        else:
            node.target(*args, **kwargs)
    return counter.flops


def _called_name(node: fx.Node, called: nn.Module | None) -> str:
    if called is not None:
        return type(called).__name__
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target._schema.name.split("::")[-1])
    return str(node.target if node.op == "call_method" else getattr(node.target, "__name__", "?"))


def _argument(node: fx.Node, called: nn.Module | None, word: str, name: str) -> object:
    """An argument of a call by its name; None if unknown."""
    if called is not None:
        return getattr(called, name, None)
    if name in node.kwargs:
        return node.kwargs[name]
    if isinstance(node.target, torch._ops.OpOverload):
        schema = node.target._schema.arguments
        order: Sequence[str] = [a.name for a in schema]
        default = next((a.default_value for a in schema if a.name == name), None)
    else:
        order, default = _ORDER.get(word, ()), None
    if name in order and order.index(name) < len(node.args):
        return node.args[order.index(name)]
    return default


def _window(node: fx.Node, called: nn.Module | None, word: str) -> tuple[int, int, int, int]:
    """Kernel, stride, dilation and groups."""

    def number(name: str, default: int) -> int:
        value = _argument(node, called, word, name)
        sides = value if isinstance(value, Sequence) else [value]
        return max([v for v in sides if isinstance(v, int)], default=default)

    kernel = number("kernel_size", 1)
    weight = _argument(node, called, word, "weight")
    if word.startswith("conv"):
        value = weight.meta.get("val") if isinstance(weight, fx.Node) else weight
        kernel = max(_shape(value)[2:], default=1)
    default = kernel if word in ("maxpool", "avgpool", "lppool") else 1
    return kernel, number("stride", default), number("dilation", 1), number("groups", 1)


def _heads_together(node: fx.Node, word: str) -> int:
    """Channels of an attention's output, of all heads."""
    shape = _shape(node.meta.get("val"))
    return shape[-1] * (shape[-3] if len(shape) > 3 else 1) if word == "attention" and shape else 0


def _details(node: fx.Node, called: nn.Module | None) -> str:
    if called is not None:
        return called.extra_repr()
    given = [a for a in (*node.args, *node.kwargs.values()) if not isinstance(a, fx.Node)]
    return " ".join(map(str, given))


def _names(tree: Any) -> list[str]:
    """Names of the nodes in arguments, with repeats."""
    names: list[str] = []

    def see(node: fx.Node) -> fx.Node:
        names.append(node.name)
        return node

    map_arg(tree, see)
    return names


def _shape(value: object) -> tuple[int, ...]:
    """The shape of a value, or of the first of several."""
    first = next((t for t in tree_leaves(value) if isinstance(t, Tensor)), None)
    return () if first is None else tuple(int(d) for d in first.shape)
