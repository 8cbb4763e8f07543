"""Small shared types; units are those of the conventions page."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Direction", "IntArray", "Json", "Shape3"]

Direction: TypeAlias = Literal["max", "min"]
"""Which way is better."""
Shape3: TypeAlias = tuple[int, int, int]
"""Channels, height, width of one image."""
Array: TypeAlias = NDArray[np.float64]
"""Real numbers, in double precision."""
IntArray: TypeAlias = NDArray[np.int64]
"""Integers, such as genes and indices."""
Json: TypeAlias = Any
"""What the json module reads and writes."""
