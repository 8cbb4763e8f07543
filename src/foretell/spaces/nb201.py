"""The topology space of NAS-Bench-201 (NATS-Bench's TSS)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph, Node
from foretell.spaces._base import CostTable, ProductSpace, Skeleton
from foretell.spaces._cells import EDGES, OPS, CellCosts, live_edges
from foretell.spaces._edge_cell import edge_cell, edge_edit, edge_name

__all__ = ["NB201"]

_PATTERN = re.compile(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", re.ASCII)


def _node(op: str, **attrs: object) -> Node:
    return Node(op, MappingProxyType(attrs))


_OP_NODES = (
    _node("zero"),
    _node("skip"),
    _node("nor_conv_1x1", kernel=1, stride=1, weights=True),
    _node("nor_conv_3x3", kernel=3, stride=1, weights=True),
    _node("avg_pool_3x3", kernel=3, stride=1, weights=False),
)


@dataclass(frozen=True)
class NB201(ProductSpace):
    """Cells of four nodes; each of the six edges carries one of five operations.

    Genes are the operations of the edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3 (the order of the
    official string), as indices into ``ops``.

    Reference: Dong and Yang, NAS-Bench-201, ICLR 2020.

    >>> space = NB201()
    >>> space.format(Arch("nb201", (3, 0, 1, 1, 0, 3)))
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|'
    """

    name: str = "nb201"

    ops: ClassVar[tuple[str, ...]] = OPS
    """Names of the operations; a gene is an index into them."""
    edges: ClassVar[tuple[tuple[int, int], ...]] = EDGES
    """(source, target) of each gene's edge."""
    network: ClassVar[str] = "foretell.networks.nb201:build"
    published_features: ClassVar[str] = "foretell.encodings.graf.published:nb201"
    presets: ClassVar[Mapping[str, tuple[int, int]]] = MappingProxyType(
        {"full": (16, 5), "digits-nb201": (4, 1), "small": (8, 1)}
    )

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Five operations on each of six edges."""
        return (len(OPS),) * len(EDGES)

    def format(self, arch: Arch) -> str:
        """The official string."""
        a, b, c, d, e, f = (OPS[g] for g in arch.genes)
        return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"

    def parse(self, text: str) -> Arch:
        """The architecture of an official string, of dotted genes, or of an ``Arch`` as JSON.

        Raises:
            ArchError: the text is none of them, or names an unknown operation.
        """
        if "|" not in text:
            return super().parse(text)
        match = _PATTERN.fullmatch(text.strip().removeprefix(f"{self.name}:"))
        if match is None:
            raise ArchError(
                f"{text.strip()[:120]!r} is no cell of {self.name!r}: expected a string such as "
                f"{self.example()!r}."
            )
        if unknown := [op for op in match.groups() if op not in OPS]:
            raise ArchError(f"Unknown operation {unknown[0]!r}: known are {', '.join(OPS)}.")
        return Arch(self.name, tuple(OPS.index(op) for op in match.groups()))

    def graph(self, arch: Arch) -> Graph:
        """The cell: one node per edge's operation, and a sum where edges meet."""
        self.check(arch)
        return edge_cell([_OP_NODES[g] for g in arch.genes])

    def edit(self, before: Arch, after: Arch) -> str:
        """Which edges carry another operation."""
        return edge_edit([OPS[g] for g in before.genes], [OPS[g] for g in after.genes])

    def gene_name(self, index: int) -> str:
        """The edge whose operation a gene is."""
        return edge_name(index)

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Whether the cell's input reaches its output, (n,)."""
        return np.asarray(live_edges(self.genes(archs)).any(axis=1))

    def live_edges(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Whether each edge lies on a path from input to output without ``none``, (n, 6)."""
        return live_edges(self.genes(archs))

    def costs(self, archs: Sequence[Arch], skeleton: Skeleton) -> CostTable:
        """Closed-form costs of the whole networks, vectorised."""
        genes = self.genes(archs)
        total = CellCosts.stem(len(genes), skeleton.input_shape, skeleton.channels)
        for stage in range(3):
            if stage:
                total.reduction(total.channels, total.channels * 2)
            total.cell(genes, total.channels, total.channels, times=skeleton.cells)
        return total.head(skeleton.classes)
