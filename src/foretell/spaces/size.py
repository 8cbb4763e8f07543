"""The size space of NATS-Bench (SSS): number of channels of each layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph
from foretell.spaces._base import CostTable, ProductSpace, Skeleton
from foretell.spaces._cells import CellCosts
from foretell.spaces.nb201 import NB201

__all__ = ["SizeSpace"]


@dataclass(frozen=True)
class SizeSpace(ProductSpace):
    """Channels 8, 16, .. 64 of five layers: cell, reduction, cell, reduction, cell.

    The stem has as many channels as the first layer; the cell is the best one of the topology
    space. The official index of an architecture is its index in ``enumerate``.

    Reference: Dong et al., NATS-Bench, TPAMI 2021, section 3.2.

    >>> SizeSpace().format(Arch("size", (0, 1, 2, 3, 7)))
    '8:16:24:32:64'
    """

    name: str = "size"

    widths: ClassVar[tuple[int, ...]] = (8, 16, 24, 32, 40, 48, 56, 64)
    """Channels; a gene is an index into them."""
    cell: ClassVar[tuple[int, ...]] = (3, 3, 3, 1, 3, 3)
    """Genes of the fixed cell in the topology space."""
    network: ClassVar[str] = "foretell.networks.size:build"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Eight widths for each of five layers."""
        return (len(self.widths),) * 5

    def channels(self, arch: Arch) -> tuple[int, ...]:
        """Channels of the five layers."""
        return tuple(self.widths[g] for g in arch.genes)

    def format(self, arch: Arch) -> str:
        """The official string: channels with colons between."""
        return ":".join(map(str, self.channels(arch)))

    def parse(self, text: str) -> Arch:
        """The architecture of an official string, of dotted genes, or of an ``Arch`` as JSON.

        Raises:
            ArchError: the text is none of them, or a width is not in the space.
        """
        words = text.strip().removeprefix(f"{self.name}:").split(":")
        if len(words) == 1 or text.strip().startswith("{"):
            return super().parse(text)
        known = (w.isdecimal() and len(w) < 10 and int(w) in self.widths for w in words)
        if len(words) != 5 or not all(known):
            raise ArchError(
                f"{text.strip()[:80]!r} is no architecture of {self.name!r}: expected five of "
                f"{', '.join(map(str, self.widths))}, such as {self.example()!r}."
            )
        return Arch(self.name, tuple(self.widths.index(int(w)) for w in words))

    def graph(self, arch: Arch) -> Graph:
        """The fixed cell; every architecture of this space has the same one."""
        self.check(arch)
        return NB201().graph(Arch("nb201", self.cell))

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Always: the cell is fixed."""
        return np.ones(len(archs), dtype=bool)

    def costs(self, archs: Sequence[Arch], skeleton: Skeleton) -> CostTable:
        """Closed-form costs of the whole networks, vectorised."""
        widths = np.array(self.widths, dtype=np.int64)[self.genes(archs)]
        cell = np.tile(np.array(self.cell, dtype=np.int64), (len(archs), 1))
        total = CellCosts.stem(len(archs), skeleton.input_shape, widths[:, 0])
        for layer, width in enumerate(widths.T):
            if layer in (1, 3):
                total.reduction(total.channels, width)
            else:
                total.cell(cell, total.channels, width)
        return total.head(skeleton.classes)
