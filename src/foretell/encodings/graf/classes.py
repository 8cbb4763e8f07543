"""Coarse classes of operations, so that graphs of any origin have the same columns."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["CLASSES", "Operation"]

_WORDS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "attention": re.compile("attention|attn|mha"),
        "pool": re.compile("pool"),
        "separable": re.compile("sep|dil|depthwise|dw_?conv|mbconv|inverted"),
        "conv": re.compile("conv"),
        "linear": re.compile("linear|dense|gemm|matmul|fc|mlp"),
    }
)

CLASSES = ("conv", "pointwise", "separable", "pool", "attention", "linear", "other")
"""conv has a kernel above 1, pointwise one of 1; other matches no pattern."""

PLUMBING = frozenset(
    {"input", "output", "sum", "concat", "skip", "skip_connect", "identity", "zero", "none"}
)
_CHANNELS = 16
"""Assumed channels: a depthwise convolution costs this factor less than a full one."""


@dataclass(frozen=True)
class Operation:
    """Class, kernel, stride and cost of a node, from its name and attributes.

    Args:
        kind: its class; None for inputs, outputs, sums, concatenations and skips.
        kernel: side in pixels; 1 by default.
        stride: in pixels; 1 by default.
        weighted: whether it has weights.
        flops: multiply-adds; by default in units of a pointwise convolution.
        params: number of parameters; by default in the same units.

    >>> Operation.of("nor_conv_1x1").kind, Operation.of("sep_conv_5x5").kind
    ('pointwise', 'separable')
    >>> Operation.of("nor_conv_3x3").flops
    9.0
    """

    kind: str | None
    kernel: int
    stride: int
    weighted: bool
    flops: float
    params: float

    @classmethod
    def of(cls, op: str, attrs: Mapping[str, Any] = MappingProxyType({})) -> "Operation":
        """From the attribute ``kind`` if it names a class, otherwise from the operation's name.

        The kernel is read from the attribute ``kernel`` or from a name such as "conv1x1".
        """
        kernel = _kernel(op, attrs)
        kind = _kind(op.lower(), attrs.get("kind"), kernel)
        weighted = kind is not None and attrs.get("weights", kind not in ("pool", "other"))
        flops, params = _guess(kind, kernel)
        return cls(
            kind,
            kernel,
            max(int(attrs.get("stride", 1)), 1),
            bool(weighted),
            float(attrs.get("flops", flops)),
            float(attrs.get("params", params)),
        )


def _kind(name: str, told: object, kernel: int) -> str | None:
    if told in CLASSES:
        return str(told)
    if name in PLUMBING:
        return None
    kind_name = next((c for c, pattern in _WORDS.items() if pattern.search(name)), "other")
    return "pointwise" if kind_name == "conv" and kernel == 1 else kind_name


def _kernel(op: str, attrs: Mapping[str, Any]) -> int:
    kernel = attrs.get("kernel")
    if kernel is not None:
        return int(max(kernel) if isinstance(kernel, tuple | list) else kernel)
    match = re.search(r"(\d+)x\d+", op)
    return int(match[1]) if match else 1


def _guess(kind: str | None, kernel: int) -> tuple[float, float]:
    """Multiply-adds and parameters in units of a pointwise convolution."""
    depthwise = kernel**2 / _CHANNELS
    if kind == "pool":
        return depthwise, 0.0
    cost = {
        "conv": float(kernel**2),
        "pointwise": 1.0,
        "separable": 1.0 + depthwise,
        "attention": 4.0,
        "linear": 1.0,
    }.get(kind or "", 0.0)
    return cost, cost
