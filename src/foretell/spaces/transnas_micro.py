"""The cell space of TransNAS-Bench-101, trained on seven vision tasks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.graph import Graph, Node
from foretell.spaces._base import ProductSpace
from foretell.spaces._cells import EDGES
from foretell.spaces._edge_cell import edge_cell, edge_edit, edge_name

__all__ = ["TransNASMicro"]

_OFFICIAL = re.compile(r"64-41414-([0-3])_([0-3]{2})_([0-3]{3})", re.ASCII)
_TUPLE = re.compile(r"\([0-3](, ?[0-3]){5}\)", re.ASCII)
_CONV = MappingProxyType({"kernel": 1, "stride": 1, "channel_factor": 1, "weights": True})
_OP_NODES = (
    Node("zero"),
    Node("skip"),
    Node("conv1x1", _CONV),
    Node("conv3x3", MappingProxyType({**_CONV, "kernel": 3})),
)


@dataclass(frozen=True)
class TransNASMicro(ProductSpace):
    """Cells of four nodes; each of the six edges carries one of four operations.

    Genes are the operations of the edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3 (the order of the
    official string's last part), as indices into ``ops``. The string's other parts are the same
    for all: 64 channels, and five modules of two cells of which the first, third and fifth halve
    the resolution and double the channels.

    The graph is the cell as it stands where neither changes. In the first cell of the other
    modules a skip from node 0 is a pair of strided convolutions.

    Reference: Duan et al., TransNAS-Bench-101, CVPR 2021, section 3.

    >>> TransNASMicro().parse("64-41414-1_02_333").genes
    (1, 0, 2, 3, 3, 3)
    """

    name: str = "transnas_micro"

    ops: ClassVar[tuple[str, ...]] = ("none", "skip", "conv1x1", "conv3x3")
    """Names of the operations; a gene is an index into them."""
    edges: ClassVar[tuple[tuple[int, int], ...]] = EDGES
    """(source, target) of each gene's edge."""
    published_features: ClassVar[str] = "foretell.encodings.graf.published:transnas_micro"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Four operations on each of six edges."""
        return (len(self.ops),) * len(EDGES)

    def format(self, arch: Arch) -> str:
        """The official string."""
        a, b, c, d, e, f = arch.genes
        return f"64-41414-{a}_{b}{c}_{d}{e}{f}"

    def parse(self, text: str) -> Arch:
        """The architecture of an official string, of a tuple, of dotted genes, or of JSON.

        Tuples are those of NAS-Bench-Suite-Zero, such as "(1, 0, 2, 3, 3, 3)"; their order and
        numbers are those of the official string.

        Raises:
            ArchError: the text is none of them.
        """
        words = text.strip().removeprefix(f"{self.name}:")
        if match := _OFFICIAL.fullmatch(words):
            return Arch(self.name, tuple(map(int, "".join(match.groups()))))
        if _TUPLE.fullmatch(words):
            return Arch(self.name, tuple(map(int, re.findall(r"\d", words))))
        return super().parse(text)

    def graph(self, arch: Arch) -> Graph:
        """The cell: one node per edge's operation, and a sum where edges meet."""
        self.check(arch)
        return edge_cell([_OP_NODES[g] for g in arch.genes])

    def edit(self, before: Arch, after: Arch) -> str:
        """Which edges carry another operation."""
        return edge_edit([self.ops[g] for g in before.genes], [self.ops[g] for g in after.genes])

    def gene_name(self, index: int) -> str:
        """The edge whose operation a gene is."""
        return edge_name(index)

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Whether the cell's input reaches its output, (n,)."""
        a, b, c, d, e, f = (self.genes(archs) > 0).T
        return np.asarray(d | (a & e) | ((b | (a & c)) & f))
