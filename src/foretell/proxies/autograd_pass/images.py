"""Which part of a result belongs to which image, wherever the batch axis is.

Operations that keep the images apart along their first axis certify that it is the batch axis. Else
one image of the batch is changed, and what changes with it is its part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from foretell.proxies.autograd_pass.graph import Graph

__all__ = ["Layout", "RowCheck", "layout_of"]

aten = torch.ops.aten

_ELEMENTWISE = frozenset(
    getattr(aten, name)
    for name in (
        *("relu", "relu_", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_", "_prelu_kernel"),
        *("clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max", "threshold", "threshold_"),
        *("gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh", "tanh_", "mish", "elu", "elu_"),
        *("hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "softplus", "exp", "log"),
        *("neg", "abs", "pow", "sqrt", "rsqrt", "reciprocal", "add", "add_", "sub", "sub_", "mul"),
        *("mul_", "div", "div_", "maximum", "minimum", "where", "gt", "ge", "lt", "le", "clone"),
        *("rrelu_with_noise", "rrelu_with_noise_", "native_dropout", "bernoulli_", "_to_copy"),
        *("masked_fill", "masked_fill_", "zeros_like", "ones_like", "empty_like", "new_zeros"),
        *("new_ones", "new_empty", "empty", "zeros", "ones", "detach", "alias", "copy_", "fill_"),
    )
)
_BY_ROW = frozenset(
    getattr(aten, name)
    for name in (
        *("native_batch_norm", "native_group_norm", "native_layer_norm", "avg_pool2d"),
        *("avg_pool3d", "avg_pool1d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
        *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d"),
        *("adaptive_max_pool1d", "adaptive_max_pool3d", "max_pool2d", "max_pool1d"),
        *("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad2d"),
        *("upsample_nearest2d", "upsample_bilinear2d", "pixel_shuffle", "convolution"),
        *("view", "_unsafe_view", "squeeze", "unsqueeze"),
    )
)
_AXES = {
    aten.mean: 1,
    aten.sum: 1,
    aten.amax: 1,
    aten.amin: 1,
    aten.cat: 1,
    aten._softmax: 1,
    aten.transpose: 1,
    aten.slice: 1,
    aten.select: 1,
    aten.split: 2,
    aten.unbind: 1,
}
"""Operations by row as long as the first axis is not among the axes in this argument."""
_SEVERAL = frozenset({aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.mv, aten.addmv, aten.cat})
"""Operations that read features in other arguments than the first."""


@dataclass(frozen=True)
class Layout:
    """Which axis of a result has the images.

    Args:
        axis: that axis; None where the result is the same for every image.
        groups: how many values of an image lie on it.
        outer: the groups are the outer part of the axis, the images the inner one.
    """

    axis: int | None = 0
    groups: int = 1
    outer: bool = False

    def rows(self, x: Tensor, images: int) -> Tensor:
        """The same with the images first, (images, ...); the groups come right after them.

        Args:
            x: the result.
            images: in the batch.
        """
        if self.axis is None:
            return x.unsqueeze(0).expand(images, *x.shape)
        if self.groups == 1:
            return x.movedim(self.axis, 0)
        sizes = (self.groups, images) if self.outer else (images, self.groups)
        shape = x.shape
        wide = x.reshape(*shape[: self.axis], *sizes, *shape[self.axis + 1 :])
        return wide.movedim((self.axis + self.outer, self.axis + (not self.outer)), (0, 1))

    def axis_after(self, axis: int) -> int:
        """Where an axis other than that of the images is in ``rows``."""
        if self.axis is None:
            return axis + 1
        return axis + (axis < self.axis) + (self.groups > 1)


class RowCheck:
    """Whether all operations so far keep the images apart along the first axis.

    Args:
        images: in the batch.
    """

    def __init__(self, images: int) -> None:
        """They do."""
        self.ok = True
        self._images = images

    def see(self, packet: Any, call: tuple[Any, Any], out: Any, graph: Graph) -> None:
        """One more operation."""
        if self.ok:
            self.ok = self._fine(packet, call[0], out, graph)

    def _fine(self, packet: Any, args: Sequence[Any], out: Any, graph: Graph) -> bool:
        first = args[0] if args else None
        single = packet not in _ELEMENTWISE and packet not in _SEVERAL
        if single and isinstance(first, Tensor) and self._constant(first, graph):
            return True
        if packet in (aten.mm, aten.addmm):
            data, weight = args[-2:] if packet is aten.mm else args[1:3]
            return self._row(data) and not graph.data(weight) and self._row(out)
        result = out[0] if isinstance(out, tuple | list) and out else out
        if not isinstance(first, Tensor | tuple | list):
            return packet in _ELEMENTWISE  # makes a constant
        if packet in _ELEMENTWISE:
            tensors = [a for a in args if isinstance(a, Tensor)]
            return all(
                a.numel() == 1
                or (self._row(a) and isinstance(result, Tensor) and a.ndim == result.ndim)
                or self._constant(a, graph)
                for a in tensors
            )
        if packet in _BY_ROW and isinstance(first, Tensor):
            if packet is aten.unsqueeze and args[1] in (0, -first.ndim - 1):
                return False
            return self._row(first) and self._row(result)
        if packet is aten.permute and isinstance(first, Tensor):
            return self._row(first) and args[1][0] in (0, -first.ndim)
        if packet in _AXES:
            tensors = [first] if isinstance(first, Tensor) else list(first)
            if not all(self._row(t) for t in tensors):
                return False
            ndim = tensors[0].ndim
            axes = args[_AXES[packet]] if len(args) > _AXES[packet] else 0
            axes = [axes] if isinstance(axes, int) else list(axes or [0])
            if packet is aten.transpose:
                axes += [args[2]]
            return all(a % ndim != 0 for a in axes)
        return False

    def _row(self, x: Any) -> bool:
        return isinstance(x, Tensor) and x.ndim > 0 and x.shape[0] == self._images

    def _constant(self, x: Tensor, graph: Graph) -> bool:
        """Made of parameters, or a tensor without gradient that does not look like a batch."""
        if x is graph.image:
            return False
        if x.requires_grad:
            return not graph.data(x)
        return self._images not in x.shape


def layout_of(
    before: Tensor, after: Tensor, shape: tuple[int, ...], small: int, images: int
) -> Layout | None:
    """The layout of a result, or None where it mixes the images.

    Args:
        before: the result for a batch of ``small`` images.
        after: the same after the second of them was changed.
        shape: of the result for the whole batch.
        small: images in the small batch.
        images: in the whole batch.
    """
    same = (before == after) | ((before != before) & (after != after))
    changed = ~same
    candidates = []
    for axis, size in enumerate(before.shape):
        groups = size // small
        rest = before.shape[:axis] + before.shape[axis + 1 :]
        if size % small or shape != (*rest[:axis], groups * images, *rest[axis:]):
            continue
        candidates += [
            Layout(axis, groups, outer) for outer in ((False, True) if groups > 1 else (False,))
        ]
    if not bool(changed.any()):
        if tuple(before.shape) == shape:
            return Layout(None)
        return candidates[0] if len(candidates) == 1 else None
    fitting = []
    for layout in candidates:
        moved = layout.rows(changed, small).flatten(1).any(1).tolist()
        if moved == [i == 1 for i in range(small)]:
            fitting.append(layout)
    return fitting[0] if len(fitting) == 1 else None
