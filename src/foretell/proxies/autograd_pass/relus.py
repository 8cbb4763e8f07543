"""Which operations are ReLUs, and when a unit of them is active.

A ReLU is linear above a threshold and has a smaller slope, or is constant, below it; a unit is
active where its input is above. Where it is bounded above as well (ReLU6, hardtanh, ``clamp``), the
lower bound alone is its threshold. ``maximum(a, b)`` is active where a > b, and what a comparison
of features selects (``where``, ``masked_fill``, a product with the mask) where that holds.
A bound that cuts nothing on these images, such as the epsilon of a division, is no ReLU unless it
is 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from foretell.proxies.autograd_pass.graph import Graph

__all__ = ["COMPARISONS", "MASKED", "RELUS", "Masks", "relu_code"]

aten = torch.ops.aten

_AT_ZERO = (
    *(aten.relu, aten.relu_, aten.leaky_relu, aten.leaky_relu_, aten._prelu_kernel, aten.prelu),
    *(aten.rrelu_with_noise, aten.rrelu_with_noise_),
)
_HARDTANH = (aten.hardtanh, aten.hardtanh_)
_BOUNDED = (
    *(aten.clamp, aten.clamp_, aten.clamp_min, aten.clamp_min_, aten.clip, aten.clip_),
    *(aten.threshold, aten.threshold_),
)
_MAXIMA = (aten.maximum, aten.fmax)
RELUS = frozenset({*_AT_ZERO, *_HARDTANH, *_BOUNDED, *_MAXIMA})
"""Operations that may be a ReLU by themselves."""
COMPARISONS = frozenset(
    {
        *(aten.gt, aten.ge, aten.lt, aten.le, aten.greater, aten.greater_equal),
        *(aten.less, aten.less_equal),
    }
)
"""Operations that may make the mask of a ReLU."""
MASKED = frozenset({aten.where, aten.masked_fill, aten.masked_fill_, aten.mul, aten.mul_})
"""Operations that may apply such a mask."""
_KEPT = frozenset({aten._to_copy, aten.logical_not, aten.bitwise_not, aten.view, aten.clone})


def relu_code(
    packet: Any, args: Sequence[Any], kwargs: Mapping[str, Any], data: Callable[[Tensor], bool]
) -> Tensor | None:
    """A tensor that is above 0 where the unit is active, or None if the operation is no ReLU.

    Args:
        packet: one of ``RELUS``.
        args: of the call.
        kwargs: of the call.
        data: whether a tensor depends on the images.
    """
    x = args[0]
    if packet in _MAXIMA:
        a, b = args[:2]
        if not data(a) and not data(b):
            return None
        code = a > b
        active = bool(code.all()) or not bool(code.any())
        return None if active and not (data(a) and data(b)) and not _zero(a, b) else code
    if not data(x):
        return None
    if packet in _AT_ZERO:
        return x  # type: ignore[no-any-return]
    if packet in _HARDTANH:
        low: Any = args[1] if len(args) > 1 else kwargs.get("min_val", -1)
    else:
        low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("threshold"))
    if low is None or (isinstance(low, Tensor) and data(low)):
        return None
    if not isinstance(low, Tensor) and low == 0:
        return x  # type: ignore[no-any-return]
    above: Tensor = x > low
    return None if bool(above.all()) else above


def _zero(*bounds: Tensor) -> bool:
    """Whether one of two is a bound of zeros."""
    return any(not b.requires_grad and not bool(b.any()) for b in bounds)


class Masks:
    """Results of comparisons of features, and what is made of them."""

    def __init__(self, graph: Graph) -> None:
        """No comparison yet."""
        self._graph = graph
        self._masks: dict[int, Tensor] = {}

    @property
    def any(self) -> bool:
        """Whether there was a comparison."""
        return bool(self._masks)

    def see(self, packet: Any, args: Sequence[Any], out: Any) -> None:
        """Remember the result of a comparison, or of a copy of one."""
        if packet in COMPARISONS:
            if any(isinstance(a, Tensor) and self._graph.data(a) for a in args):
                self._masks[id(out)] = out
        elif self._masks and packet in _KEPT and id(args[0]) in self._masks:
            self._masks[id(out)] = out

    def code(self, packet: Any, args: Sequence[Any]) -> Tensor | None:
        """The mask that selects features in an operation of ``MASKED``."""
        if not self._masks:
            return None
        if packet is aten.where:
            candidates: Sequence[Any] = args[:1]
        elif packet in (aten.mul, aten.mul_):
            candidates = args[:2]
        else:
            candidates = args[1:2]
        return next((self._masks[id(a)] for a in candidates if id(a) in self._masks), None)
