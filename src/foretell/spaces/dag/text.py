"""Texts of NAS-Bench-101 cells: adjacency and operations."""

import ast
import re
from collections.abc import Sequence

from foretell.types import IntArray

__all__ = ["OPS", "read", "write"]

OPS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
"""Between "input" and "output"."""
_TEXT = re.compile(r"([01]{4,400}):(input,[a-z0-9,-]*output)", re.ASCII)
_TUPLE = re.compile(r"\([0-4](?:, ?[0-4]){5,400}\)", re.ASCII)
_NUMBERED = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")


def write(linked: IntArray, names: Sequence[str]) -> str:
    """Adjacency row by row and operations, both as in the official records.

    Args:
        linked: (v, v) of 0 and 1.
        names: of the v operations.
    """
    return f"{''.join(map(str, linked.ravel().tolist()))}:{','.join(names)}"


def read(text: str) -> tuple[list[list[int]], list[str]] | None:
    """Adjacency matrix and names of the operations; None if the text is none of the forms.

    Args:
        text: what ``write`` gives, or a tuple of NAS-Bench-Suite-Zero: the adjacency matrix row by
            row, then 0 input, 1 output, 2 maxpool3x3, 3 conv1x1, 4 conv3x3 for each vertex.
    """
    if match := _TEXT.fullmatch(text):
        numbers, names = [int(c) for c in match[1]], match[2].split(",")
    elif _TUPLE.fullmatch(text):
        numbers = list(ast.literal_eval(text))
        v = next((n for n in range(2, 20) if n * (n + 1) == len(numbers)), 0)
        numbers, names = numbers[: v * v], [_NUMBERED[n] for n in numbers[v * v :]]
    else:
        return None
    v = len(names)
    if v * v != len(numbers):
        return None
    return [numbers[i * v : i * v + v] for i in range(v)], names
