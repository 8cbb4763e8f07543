"""Networks of the NATS-Bench size space.

This file needs nothing but torch and ``cells.py``: both are copied beside an exported ``train.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from torch import nn

if TYPE_CHECKING or __package__:
    from foretell.networks.cells import Cell, CellNetwork, ResidualReduction
else:  # copied beside an exported train.py
    from cells import Cell, CellNetwork, ResidualReduction

if TYPE_CHECKING:
    from foretell.arch import Arch
    from foretell.spaces import Skeleton, Space
    from foretell.spaces.size import SizeSpace

__all__ = ["SizeNetwork", "build", "standalone"]


class SizeNetwork(CellNetwork):
    """Cell, reduction, cell, reduction, cell, with separate numbers of channels.

    Args:
        channels: of the five layers; the stem has those of the first.
        genes: the cell; by default the benchmark's.
        in_channels: channels of the image.
        classes: number of outputs.

    Reference: Dong et al., NATS-Bench, TPAMI 2021, section 3.2.
    """

    def __init__(
        self,
        channels: Sequence[int],
        genes: Sequence[int] = (3, 3, 3, 1, 3, 3),
        in_channels: int = 3,
        classes: int = 10,
    ) -> None:
        """Create all layers."""
        layers: list[nn.Module] = []
        before = channels[0]
        for i, c in enumerate(channels):
            layers.append(ResidualReduction(before, c) if i % 2 else Cell(genes, before, c))
            before = c
        super().__init__(layers, in_channels, channels[0], channels[-1], classes)


def build(space: Space, arch: Arch, skeleton: Skeleton) -> SizeNetwork:
    """The network of an architecture."""
    sizes = cast("SizeSpace", space)
    return SizeNetwork(sizes.channels(arch), sizes.cell, skeleton.input_shape[0], skeleton.classes)


def standalone(
    space: Space, arch: Arch, skeleton: Skeleton
) -> tuple[str, dict[str, object], tuple[str, ...]]:
    """How an exported ``train.py`` builds the same network: target, arguments, other files."""
    sizes = cast("SizeSpace", space)
    arguments: dict[str, object] = {
        "channels": tuple(sizes.channels(arch)),
        "genes": tuple(sizes.cell),
        "in_channels": skeleton.input_shape[0],
        "classes": skeleton.classes,
    }
    return f"{__file__}:SizeNetwork", arguments, (__file__.replace("size.py", "cells.py"),)
