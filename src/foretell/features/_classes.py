"""Coarse classes of operations, so that graphs of any origin have the same columns."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from foretell.graph import Node

__all__ = ["CLASSES", "op_class"]

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

PLUMBING = frozenset({"input", "output", "sum", "concat", "skip", "skip_connect", "identity"})


def op_class(node: Node) -> str | None:
    """The class of an operation; None for inputs, outputs, sums, concatenations and skips.

    The attribute ``kind`` decides if it names a class; then the operation's name, and for
    convolutions the kernel, from the attribute ``kernel`` or from a name such as "conv1x1".

    >>> op_class(Node("nor_conv_1x1"))
    'pointwise'
    >>> op_class(Node("sep_conv_5x5"))
    'separable'
    """
    kind = node.attrs.get("kind")
    if kind in CLASSES:
        return str(kind)
    name = node.op.lower()
    if name in PLUMBING:
        return None
    found = next((c for c, pattern in _WORDS.items() if pattern.search(name)), "other")
    return "pointwise" if found == "conv" and kernel_size(node) == 1 else found


def kernel_size(node: Node) -> int:
    """Pixels a side that an operation looks at; 1 where nothing says more."""
    kernel = node.attrs.get("kernel")
    if kernel is not None:
        return int(max(kernel) if isinstance(kernel, tuple | list) else kernel)
    found = re.search(r"(\d+)x\d+", node.op)
    return int(found[1]) if found else 1
