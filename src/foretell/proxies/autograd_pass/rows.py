"""Whether the images lie one after the other along the first axis of everything that is computed.

Each operation is looked at once: one that works on every position of the first axis by itself, or
only spells the rest of an image in another shape, keeps them so. As long as all do, the part of
image i of n is the i-th of n equal blocks of any result.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from foretell.proxies.autograd_pass.graph import Graph

__all__ = ["RowCheck", "Rule", "rule_of"]

aten = torch.ops.aten

_LISTS = (list, tuple)


class RowCheck:
    """Whether all operations so far keep the images one after the other.

    Args:
        images: in the batch.
        graph: says what depends on them.
        constants: ids of tensors that are the same whatever the images are, such as buffers.
    """

    def __init__(self, images: int, graph: Graph, constants: Collection[int] = ()) -> None:
        """They do."""
        self.ok = True
        self._images, self._graph, self._given = images, graph, constants
        self._made: dict[int, Tensor] = {}

    def see(self, rule: "Rule | None", args: Sequence[Any], out: Any, *, writes: bool) -> None:
        """One more operation.

        Args:
            rule: of ``rule_of``.
            args: of the call.
            out: its result.
            writes: into its first argument.
        """
        if rule is not None and rule(self, args, out):
            if writes and not self.row(args[0]):
                self.ok = False
        elif all(self.constant(t) for t in _tensors(args)):
            self.make(out)
            return
        else:
            self.ok = False
        if writes and id(args[0]) in self._made:  # from here on it depends on images, perhaps
            self.ok = self.ok and all(self.constant(t) for t in _tensors(args))

    def make(self, out: Any) -> None:
        """Remember a result that does not depend on the images."""
        self._made |= {id(t): t for t in _tensors((out,)) if not t.requires_grad}

    def row(self, x: object) -> bool:
        """Whether a tensor has as many blocks along its first axis as there are images."""
        return isinstance(x, Tensor) and x.ndim > 0 and x.shape[0] % self._images == 0

    def constant(self, x: Tensor) -> bool:
        """Whether a tensor is made of parameters and constants, as far as can be told."""
        if x.requires_grad:
            return not self._graph.data(x)
        if id(x) in self._made or id(x) in self._given:
            return True
        return all(size % self._images for size in x.shape)


Rule: TypeAlias = Callable[[RowCheck, Sequence[Any], Any], bool]
"""Whether an operation keeps the images one after the other, for its arguments and its result."""


def _tensors(values: Sequence[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, _LISTS):
            yield from (v for v in value if isinstance(v, Tensor))


def _first(out: Any) -> Any:
    return out[0] if isinstance(out, _LISTS) and out else out


def _elementwise(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    result = _first(out)
    any_row = False
    for a in args:
        if isinstance(a, Tensor):
            if check.row(a) and a.ndim == result.ndim and a.shape[0] == result.shape[0]:
                any_row = True
            elif a.numel() != 1 and not check.constant(a):
                return False
    return any_row


def _factory(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    check.make(out)
    return True


def _shaped(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    return check.row(args[0]) and check.row(out)


def _by_row(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    x, result = args[0], _first(out)
    same = check.row(x) and x.ndim == result.ndim and x.shape[0] == result.shape[0]
    return same and all(check.constant(t) for t in _tensors(args[1:]))


def _layer_norm(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    return len(args[1]) < args[0].ndim and _by_row(check, args, out)


def _weighted(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    """A product of rows with weights."""
    return check.row(args[0]) and check.row(out) and all(map(check.constant, _tensors(args[1:])))


def _added(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    """The same, added to something."""
    bias, x, weight = args[:3]
    return (check.constant(bias) or bias.ndim == 2) and _weighted(check, (x, weight), out)


def _matrices(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    return check.row(out) and all(
        check.constant(t) or (check.row(t) and t.ndim == 3) for t in _tensors(args)
    )


def _along(index: int, *, pair: bool = False) -> Rule:
    """An operation along axes, which are in that argument: all but the first one are free."""

    def rule(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
        tensors = [args[0]] if isinstance(args[0], Tensor) else list(args[0])
        if not all(map(check.row, tensors)):
            return False
        axes = args[index] if len(args) > index else 0
        axes = [axes] if isinstance(axes, int) else list(axes or [0])
        if pair:
            axes = [*axes, args[index + 1]]
        ndim = tensors[0].ndim
        return all(a % ndim != 0 for a in axes)

    return rule


def _stacked(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    axis = args[1] if len(args) > 1 else 0
    return all(map(check.row, args[0])) and axis % out.ndim != 0


def _permuted(check: RowCheck, args: Sequence[Any], out: Any) -> bool:
    return check.row(args[0]) and args[1][0] in (0, -args[0].ndim)


def _rules() -> dict[Any, Rule]:
    named: dict[Rule, tuple[str, ...]] = {
        _elementwise: (
            *("relu", "relu_", "leaky_relu", "leaky_relu_", "hardtanh", "hardtanh_"),
            *("_prelu_kernel", "clamp", "clamp_", "clamp_min", "clamp_min_", "clamp_max"),
            *("threshold", "threshold_", "gelu", "silu", "silu_", "sigmoid", "sigmoid_", "tanh"),
            *("tanh_", "mish", "elu", "elu_", "hardswish", "hardswish_", "hardsigmoid"),
            *("hardsigmoid_", "softplus", "exp", "log", "neg", "abs", "pow", "sqrt", "rsqrt"),
            *("reciprocal", "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_"),
            *("maximum", "minimum", "where", "gt", "ge", "lt", "le", "clone", "_to_copy"),
            *("rrelu_with_noise", "rrelu_with_noise_", "native_dropout", "bernoulli_"),
            *("masked_fill", "masked_fill_", "detach", "alias", "copy_", "fill_"),
            *("rsub", "square", "erf", "sin", "cos"),
        ),
        _by_row: (
            *("native_batch_norm", "native_group_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
            *("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d", "max_pool2d"),
            *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool1d"),
            *("adaptive_max_pool2d", "adaptive_max_pool3d", "constant_pad_nd", "expand"),
            *("reflection_pad1d", "reflection_pad2d", "replication_pad2d", "pixel_shuffle"),
            *("upsample_nearest2d", "upsample_bilinear2d"),
        ),
        _factory: (
            *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
            *("new_zeros", "new_ones", "new_empty", "new_full"),
        ),
        _shaped: ("view", "_unsafe_view", "squeeze", "unsqueeze"),
        _layer_norm: ("native_layer_norm",),
        _weighted: ("mm", "convolution", "linear"),
        _added: ("addmm",),
        _matrices: ("bmm", "baddbmm"),
        _along(1): (
            *("mean", "sum", "amax", "amin", "cat", "_softmax", "_log_softmax", "slice"),
            *("select", "unbind", "flip"),
        ),
        _along(2): ("split", "unsafe_split", "split_with_sizes", "unsafe_split_with_sizes", "roll"),
        _along(1, pair=True): ("transpose",),
        _stacked: ("stack",),
        _permuted: ("permute",),
    }
    return {getattr(aten, name): rule for rule, names in named.items() for name in names}


_RULES = _rules()


def rule_of(packet: Any) -> Rule | None:
    """The rule of an operation; None where it may mix the images."""
    return _RULES.get(packet)
