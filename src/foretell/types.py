"""Units and small shared types; see the conventions page for their meaning."""

from typing import Any, Literal, NewType, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Accuracy",
    "Array",
    "Bytes",
    "Direction",
    "Flops",
    "IntArray",
    "Json",
    "Params",
    "Seconds",
    "Shape3",
]

Seconds = NewType("Seconds", float)
Bytes = NewType("Bytes", int)
Flops = NewType("Flops", int)
"""Multiply-adds, as the papers of the field count."""
Params = NewType("Params", int)
Accuracy = NewType("Accuracy", float)
"""In [0, 1]."""
Direction = Literal["max", "min"]
Shape3: TypeAlias = tuple[int, int, int]
"""Channels, height, width of one image."""
Array: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
Json: TypeAlias = Any
"""What the json module reads and writes."""
