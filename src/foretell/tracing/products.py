"""Multiply-adds of one operation, and the tensors that it multiplies.

PyTorch's own formulas where it has one (convolutions, matrix products, attention); formulas here
for products with vectors, bilinear forms, distances and quantised layers, which it leaves out. An
operation that multiplies matrices without a formula is named, and never counts as nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

__all__ = ["Product", "product"]


class Product(NamedTuple):
    """One operation that multiplies and adds.

    Args:
        flops: multiply-adds; None where no formula is known.
        factors: what is multiplied, without what is added.
    """

    flops: int | None
    factors: tuple[Tensor, ...]


_Formula: TypeAlias = Callable[[Sequence[Any], Any], int]
"""Arguments and result -> multiply-adds."""


def _rows_by_columns(args: Sequence[Any], out: Any) -> int:
    return int(args[0].numel() * out.shape[-1])


def _pairs(args: Sequence[Any], out: Any) -> int:
    """Each pair of rows, each coordinate: a difference that is squared and added."""
    return int(out.numel() * args[0].shape[-1])


def _trilinear(args: Sequence[Any], out: Any) -> int:
    """For each output k, the product of x with W_k, then that of the result with y."""
    outputs, _, columns = args[1].shape
    return int(len(args[0]) * (args[1].numel() + outputs * columns))


def _convolved(args: Sequence[Any], out: Any) -> int:
    """A quantised convolution: each number of the result reads one filter."""
    weight = args[1].unpack()[0]
    return int(out.numel() * weight.numel() // weight.shape[0])


def _transposed(args: Sequence[Any], out: Any) -> int:
    weight = args[1].unpack()[0]
    return int(args[0].numel() // weight.shape[0] * weight.numel())


def _quantised_linear(args: Sequence[Any], out: Any) -> int:
    return int(out.numel() * args[0].shape[-1])


def _quantised_recurrent(gates: int) -> _Formula:
    """Every step of every layer and direction: gates times (inputs + hidden) times hidden."""

    def formula(args: Sequence[Any], out: Any) -> int:
        steps = prod(args[0].shape[:-1])
        state = args[1][0] if isinstance(args[1], list | tuple) else args[1]
        runs, hidden = state.shape[0], state.shape[-1]
        directions = out[0].shape[-1] // hidden
        inputs = [args[0].shape[-1]] * directions + [hidden * directions] * (runs - directions)
        return int(steps * sum(gates * hidden * (i + hidden) for i in inputs))

    return formula


_OWN: dict[str, tuple[slice, _Formula]] = {
    "aten::mv": (slice(2), lambda args, out: int(args[0].numel())),
    "aten::addmv": (slice(1, 3), lambda args, out: int(args[1].numel())),
    "aten::addmv_": (slice(1, 3), lambda args, out: int(args[1].numel())),
    "aten::dot": (slice(2), lambda args, out: int(args[0].numel())),
    "aten::vdot": (slice(2), lambda args, out: int(args[0].numel())),
    "aten::addr": (slice(1, 3), lambda args, out: int(out.numel())),
    "aten::addbmm": (slice(1, 3), lambda args, out: _rows_by_columns(args[1:], out)),
    "aten::_addmm_activation": (slice(1, 3), lambda args, out: _rows_by_columns(args[1:], out)),
    "aten::addmm_": (slice(1, 3), lambda args, out: _rows_by_columns(args[1:], out)),
    "aten::baddbmm_": (slice(1, 3), lambda args, out: _rows_by_columns(args[1:], out)),
    "aten::addbmm_": (slice(1, 3), lambda args, out: _rows_by_columns(args[1:], out)),
    "aten::_int_mm": (slice(2), _rows_by_columns),
    "aten::_weight_int8pack_mm": (slice(2), _rows_by_columns),
    "aten::_trilinear": (slice(3), _trilinear),
    "aten::conv_tbc": (slice(2), lambda args, out: int(out.numel() * args[1][..., 0].numel())),
    "aten::_cdist_forward": (slice(2), _pairs),
    "aten::_euclidean_dist": (slice(2), _pairs),
    "aten::_pdist_forward": (slice(1), _pairs),
    "aten::quantized_lstm": (slice(1), _quantised_recurrent(4)),
    "aten::quantized_gru": (slice(1), _quantised_recurrent(3)),
}
"""Name of an operation -> where its factors stand, and its multiply-adds."""

_QUANTISED: tuple[tuple[str, _Formula], ...] = (
    (r"quantized::linear(_relu|_leaky_relu|_tanh)?(_dynamic)?(_fp16)?$", _quantised_linear),
    (r"quantized::conv_transpose[123]d(_dynamic)?$", _transposed),
    (r"quantized::conv[123]d(_relu|_add|_add_relu)?(_dynamic)?$", _convolved),
    (r"quantized::matmul$", _rows_by_columns),
)
_ADDED_FIRST = frozenset({"aten::addmm", "aten::baddbmm"})
_THREE = ("scaled_dot_product", "flash_attention", "efficient_attention", "flex_attention")

_NO_FORMULA = re.compile(
    r"aten::(_?linalg_(?!vector_norm|cross|check_errors|diagonal)|_?cholesky|_?lu_|lstsq"
    r"|triangular_solve|ormqr|geqrf|orgqr|_?fft_|_?sparse_.*mm|_spmm|sspaddmm|_?mkldnn_"
    r"|_cudnn_rnn|miopen_|_thnn_fused|_weight_int|_grouped_mm|_scaled_grouped_mm|_cslt_)"
    r"|quantized::(linear|conv|matmul|bmm|lstm|gru|rnn|make_quantized)"
)
_WITHOUT = re.compile(r"(aten|prim|prims|profiler|quantized|higher_order)::")
"""Namespaces in which an operation that is not listed multiplies no matrices."""


def product(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Product | None:
    """Multiply-adds of an operation that ran; None where it multiplies no matrices.

    Args:
        func: as a dispatch mode receives it.
        args: of the operation.
        kwargs: of the operation.
        out: its result.
    """
    packet = getattr(func, "_overloadpacket", func)
    name = name_of(func)
    if formula := flop_registry.get(packet):
        first = 1 if name in _ADDED_FIRST else 0
        count = 3 if any(part in name for part in _THREE) else 2
        factors = tuple(a for a in args[first : first + count] if isinstance(a, Tensor))
        return Product(formula(*args, **kwargs, out_val=out) // 2, factors)
    if own := _OWN.get(name):
        return Product(own[1](args, out), tuple(args[own[0]]))
    if name.startswith("aten::") and not _NO_FORMULA.match(name):
        return None
    for pattern, quantised in _QUANTISED:
        if re.match(pattern, name):
            return Product(quantised(args, out), (args[0],))
    if _NO_FORMULA.match(name) or not _WITHOUT.match(name) or func is packet:
        return Product(None, ())
    return None


def name_of(func: Any) -> str:
    """Such as ``aten::mm``; for an operation of higher order, ``higher_order::name``."""
    if isinstance(func, torch._ops.HigherOrderOperator):
        return f"higher_order::{func._name}"
    return str(func._schema.name)
