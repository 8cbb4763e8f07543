"""Texts of DARTS cells: genotypes and tuples."""

import ast
import re
from collections.abc import Sequence

from foretell.errors import ArchError

__all__ = ["CELLS", "OPS", "read", "write"]

OPS = (
    "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5", "none",
)  # fmt: skip
CELLS = ("normal", "reduce")

Edges = list[tuple[int, int]]
"""(source, operation) of the eight edges of a cell."""

_EDGES = r"\[((?:\('\w+', ?\d\)(?:, ?(?=\()|(?=\]))){8})\]"
_CONCAT = r"(?:range\(2, ?6\)|\[2, ?3, ?4, ?5\])"
_GENOTYPE = re.compile(
    rf"Genotype\(normal={_EDGES}, ?normal_concat={_CONCAT}, ?"
    rf"reduce={_EDGES}, ?reduce_concat={_CONCAT}\)",
    re.ASCII,
)
_EDGE = re.compile(r"\('(\w+)', ?(\d)\)", re.ASCII)
_HALF = r"\((?:\(\d, ?\d\)(?:, ?(?=\()|(?=\)))){8}\)"
_TUPLE = re.compile(rf"\({_HALF}, ?{_HALF}\)", re.ASCII)


def write(cells: Sequence[Sequence[Sequence[int]]]) -> str:
    """The official text.

    Args:
        cells: (source, operation) of the eight edges of both cells.
    """
    parts = []
    for name, edges in zip(CELLS, cells, strict=True):
        words = ", ".join(f"('{OPS[op]}', {source})" for source, op in edges)
        parts.append(f"{name}=[{words}], {name}_concat=range(2, 6)")
    return f"Genotype({', '.join(parts)})"


def read(text: str) -> list[Edges] | None:
    """Both cells; None if the text is neither a genotype nor a tuple.

    Args:
        text: what ``write`` gives, perhaps with [2, 3, 4, 5] for the range; or a tuple of
            NAS-Bench-Suite-Zero: (source, operation) of eight edges of each cell.

    Raises:
        ArchError: an operation is unknown.
    """
    if match := _GENOTYPE.fullmatch(text):
        named = [_EDGE.findall(group) for group in match.groups()]
        if unknown := [op for edges in named for op, _ in edges if op not in OPS]:
            raise ArchError(f"Unknown operation {unknown[0]!r}: known are {', '.join(OPS)}.")
        return [[(int(source), OPS.index(op)) for op, source in edges] for edges in named]
    if _TUPLE.fullmatch(text):
        return [list(edges) for edges in ast.literal_eval(text)]
    return None
