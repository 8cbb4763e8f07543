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
"""conv has a kernel above 1, pointwise one of 1; other is what has none of the names."""

PLUMBING = frozenset(
    {"input", "output", "sum", "concat", "skip", "skip_connect", "identity", "zero", "none"}
)
_CHANNELS = 16
"""A convolution of each channel alone costs this much less than one of all, where none is told."""


@dataclass(frozen=True)
class Operation:
    """What a node does, as far as its name and attributes say.

    Args:
        kind: its class; None for inputs, outputs, sums, concatenations and skips.
        kernel: pixels a side that it looks at; 1 where nothing says more.
        stride: pixels between its looks.
        weighted: whether it has weights.
        flops: multiply-adds; in units of a pointwise convolution where the node does not say.
        params: elements of its parameters, in such units where the node does not say.

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
        """The attribute ``kind`` decides if it names a class; then the operation's name.

        For convolutions the kernel decides, from the attribute ``kernel`` or from a name such as
        "conv1x1".
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
    found = next((c for c, pattern in _WORDS.items() if pattern.search(name)), "other")
    return "pointwise" if found == "conv" and kernel == 1 else found


def _kernel(op: str, attrs: Mapping[str, Any]) -> int:
    kernel = attrs.get("kernel")
    if kernel is not None:
        return int(max(kernel) if isinstance(kernel, tuple | list) else kernel)
    found = re.search(r"(\d+)x\d+", op)
    return int(found[1]) if found else 1


def _guess(kind: str | None, kernel: int) -> tuple[float, float]:
    """Multiply-adds and parameters in units of a pointwise convolution."""
    alone = kernel**2 / _CHANNELS
    if kind == "pool":
        return alone, 0.0
    both = {
        "conv": float(kernel**2),
        "pointwise": 1.0,
        "separable": 1.0 + alone,
        "attention": 4.0,
        "linear": 1.0,
    }.get(kind or "", 0.0)
    return both, both
