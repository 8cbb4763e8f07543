"""The features that a network's head reads: what is averaged, or flattened, over the positions."""

from typing import Any

from torch import Tensor
from torch.autograd.graph import Node

from foretell.errors import ProxyError
from foretell.proxies.autograd_pass.selection import selected
from foretell.proxies.autograd_pass.watch import Watch

__all__ = ["features"]

_REDUCTIONS = (
    *("Mean", "Sum", "Amax", "MaxBackward", "MaxPool", "AvgPool", "AdaptiveAvg", "AdaptiveMax"),
)
_SHAPES = (
    *("View", "UnsafeView", "ReshapeAlias", "Clone", "Permute", "Transpose", "Squeeze"),
    *("Unsqueeze", "TBackward", "Alias"),
)


def features(logits: Tensor, watch: Watch) -> list[Tensor]:
    """The last results with positions, from which the logits follow without positions.

    The graph is followed from the logits to the images. A result with positions is one of more than
    two axes longer than 1. Where it is averaged, summed or maximised over positions, in one step or
    several and by whatever function, the features are what the first of these steps reads; where it
    is flattened or one position is taken, they are the result itself; a position of results that
    were only joined is one of these results. There may be several, and none: then nothing but the
    images has positions.

    Args:
        logits: (n, classes).
        watch: what recorded the forward, with ``outputs``.

    Raises:
        ProxyError: the features were overwritten.
    """
    graph = watch.graph
    stack: list[tuple[Node | None, int, Node | None]] = [(logits.grad_fn, logits.output_nr, None)]
    seen: set[tuple[Node, int]] = set()
    result: dict[int, Tensor] = {}
    while stack:
        node, number, reader = stack.pop()
        if node is None or (node, number) in seen or not graph.data_node(node):
            continue
        seen.add((node, number))
        if node in watch.outputs:
            if reader is not None and _is(reader, _REDUCTIONS):
                node = _first(node, watch)
            if node in watch.outputs and graph.made_of(watch.outputs[node]):
                result[id(watch.outputs[node])] = watch.outputs[node]
            continue
        sources = selected(node, number) or node.next_functions
        stack += [(source, i, node) for source, i in sources]
    for tensor in result.values():
        if tensor.grad_fn not in watch.outputs or watch.outputs[tensor.grad_fn] is not tensor:
            raise ProxyError(
                "The features before the head are overwritten while the network runs: write "
                "nothing into what it reads."
            )
    return list(result.values())


def _first(node: Node, watch: Watch) -> Node:
    """What the first of several steps of averaging reads."""
    while True:
        sources = [s for s, _ in node.next_functions if s is not None and watch.graph.data_node(s)]
        step = _is(node, _REDUCTIONS) or _is(node, _SHAPES) or _scales(node)
        if not step or len(sources) != 1 or sources[0] not in watch.outputs:
            return node
        node = sources[0]


def _is(node: Node, names: tuple[str, ...]) -> bool:
    return node.name().startswith(names)


def _scales(node: Any) -> bool:
    """Whether it multiplies or divides by a number."""
    if not node.name().startswith(("Mul", "Div")):
        return False
    other = getattr(node, "_saved_other", None)
    return isinstance(other, Tensor) and other.ndim == 0
