"""The autograd graph of one forward: what depends on the images, and which weights a tensor is."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.autograd.graph import Node

from foretell.proxies.shared.zen_inputs import LayerKey

__all__ = ["Graph", "LayerKey", "Weight", "reachable"]

_COPIES = frozenset(
    {
        *("TBackward0", "TransposeBackward0", "TransposeBackward1", "PermuteBackward0"),
        *("ViewBackward0", "ViewBackward1", "UnsafeViewBackward0", "ReshapeAliasBackward0"),
        *("ExpandBackward0", "UnsqueezeBackward0", "UnsqueezeBackward1", "SqueezeBackward0"),
        *("SqueezeBackward1", "SqueezeBackward2", "CloneBackward0", "AliasBackward0"),
        *("SplitBackward0", "SplitWithSizesBackward0", "SliceBackward0", "SelectBackward0"),
        *("ChunkBackward0", "UnbindBackward0", "AsStridedBackward0", "ToCopyBackward0"),
        *("NarrowBackward0", "ContiguousBackward0"),
    }
)
"""Nodes whose result is their source, a part of it, or copies of it."""


class Weight(NamedTuple):
    """What an operand of a product is made of.

    Args:
        tensor: the parameter, or what is computed from parameters alone.
        key: which layer it belongs to.
    """

    tensor: Tensor
    key: LayerKey


class Graph:
    """Questions about the graph while a forward builds it, each node answered once.

    Args:
        names: id of a parameter's leaf -> its name.
        image: the leaf of the images.
    """

    def __init__(self, names: Mapping[int, str], image: Tensor) -> None:
        """Nothing is known yet."""
        self.names, self.image = names, image
        self.unregistered = False
        self._data: dict[Node, bool] = {}
        self._weights: dict[str, Weight] = {}

    def data(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the images through the graph."""
        if tensor.grad_fn is None:
            return tensor is self.image
        return self.data_node(tensor.grad_fn)

    def data_node(self, root: Node) -> bool:
        """Whether a node does; one source that does is enough, and the others are not visited."""
        answers = self._data
        if (answer := answers.get(root)) is not None:
            return answer
        stack = [root]
        while stack:
            node = stack[-1]
            unanswered, answer, leaf = [], False, True
            for source, _ in node.next_functions:
                if source is not None:
                    leaf = False
                    of_source = answers.get(source)
                    if of_source:
                        answer = True
                        break
                    if of_source is None:
                        unanswered.append(source)
            if unanswered and not answer:
                stack += unanswered
                continue
            answers[node] = answer or (leaf and getattr(node, "variable", None) is self.image)
            stack.pop()
        return answers[root]

    def weight(self, operand: object) -> Weight | None:
        """The weights that an operand is, or None where it depends on images or on no parameter.

        A view or a copy of a parameter, or of a part of it, is that parameter.
        """
        if not isinstance(operand, Tensor) or not operand.requires_grad or self.data(operand):
            return None
        leaf = self._leaf(operand)
        if leaf is not None:
            if (name := self.names.get(id(leaf))) is None:
                self.unregistered = True
                return None
            if name not in self._weights:
                key = frozenset({name}), tuple(leaf.shape), False
                self._weights[name] = Weight(leaf, key)
            return self._weights[name]
        base = operand if operand._base is None else operand._base
        names = self.made_of(base)
        return Weight(base, (names, tuple(base.shape), True)) if names else None

    def leaf_name(self, operand: object) -> str | None:
        """The name of the parameter that an operand is a view or a copy of."""
        if not isinstance(operand, Tensor) or not operand.requires_grad:
            return None
        leaf = self._leaf(operand)
        return None if leaf is None else self.names.get(id(leaf))

    def _leaf(self, operand: Tensor) -> Tensor | None:
        node: Any = operand.grad_fn
        if node is None:
            return operand
        while node is not None and node.name() in _COPIES:
            node = node.next_functions[0][0]
        leaf: Tensor | None = getattr(node, "variable", None)
        return leaf

    def made_of(self, tensor: Tensor) -> frozenset[str]:
        """Names of the parameters that a tensor is computed from."""
        leaves = (getattr(node, "variable", None) for node in reachable(tensor))
        return frozenset(self.names[id(v)] for v in leaves if v is not None and id(v) in self.names)


def reachable(*roots: Tensor) -> set[Node]:
    """Every node of the autograd graph that leads to one of the tensors."""
    stack = [t.grad_fn for t in roots if t.grad_fn is not None]
    seen = set(stack)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return seen
