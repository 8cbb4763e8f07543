"""A product whose bias another operation adds.

``F.linear`` of tokens that do not lie in order is such a product under a dispatch mode, and so is
one that is written out.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from foretell.proxies.autograd_pass.graph import Graph

__all__ = ["FOLLOWING", "Bare"]

aten = torch.ops.aten

_VIEWS = frozenset(
    {
        *(aten.view, aten._unsafe_view, aten.permute, aten.transpose, aten.t),
        *(aten.squeeze, aten.unsqueeze, aten.select),
    }
)

FOLLOWING = frozenset({*_VIEWS, aten.add, aten.add_})
"""Operations that may view a product, or add its bias."""


class Bare:
    """The result of a product without a bias, and its last view.

    Args:
        out: the result.
        axis: of it with the layer's channels.
    """

    def __init__(self, out: Tensor, axis: int) -> None:
        """Nothing views it yet."""
        self.out = self._last = out
        self.axis: int | None = axis
        """Of the last view; None where it cannot be told."""

    def is_viewed(self, packet: Any, args: Sequence[Any]) -> bool:
        """Whether an operation gives another view of all of it."""
        if packet not in _VIEWS or not self._is_last(args[0]):
            return False
        return packet is not aten.select or args[0].shape[args[1]] == 1

    def view(self, packet: Any, args: Sequence[Any], out: Tensor) -> None:
        """Follow that operation to its result."""
        before, axis = tuple(self._last.shape), self.axis
        self._last, self.axis = out, None
        if axis is None:
            return
        if packet is aten.permute:
            self.axis = [d % len(before) for d in args[1]].index(axis)
        elif packet in (aten.transpose, aten.t):
            pair = [d % len(before) for d in args[1:3]] or [0, len(before) - 1]
            self.axis = sum(pair) - axis if axis in pair else axis
        elif before[axis] > 1:  # else it cannot be told from others of one element
            outer = prod(before[:axis])
            axes = [i for i, size in enumerate(out.shape) if size == before[axis]]
            self.axis = next((i for i in axes if prod(out.shape[:i]) == outer), None)

    def bias(
        self, packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], graph: Graph
    ) -> Tensor | None:
        """The vector over the channels that an operation adds, if that is what it does."""
        if packet not in (aten.add, aten.add_) or kwargs.get("alpha", 1) != 1 or self.axis is None:
            return None
        result, bias = args[0], args[1]
        if packet is aten.add and not self._is_last(result):
            result, bias = bias, result
        if not self._is_last(result) or not isinstance(bias, Tensor) or graph.data(bias):
            return None
        sizes = [*(1,) * (result.ndim - bias.ndim), *bias.shape]
        whole = sizes.pop(self.axis) == result.shape[self.axis]
        return bias if whole and all(size == 1 for size in sizes) else None

    def _is_last(self, x: object) -> bool:
        if not isinstance(x, Tensor):
            return False
        same = x._base is self.out and x.shape == self._last.shape
        return x is self._last or (same and x.stride() == self._last.stride())
