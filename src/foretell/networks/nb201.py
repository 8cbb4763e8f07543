"""Networks of the NAS-Bench-201 topology space.

This file needs nothing but torch and ``cells.py``: both are copied beside an exported ``train.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING or __package__:
    from foretell.networks.cells import Cell, CellNetwork, ResidualReduction
else:  # copied beside an exported train.py
    from cells import Cell, CellNetwork, ResidualReduction

if TYPE_CHECKING:
    from foretell.arch import Arch
    from foretell.spaces import Skeleton, Space

__all__ = ["NB201Network", "build", "standalone"]


class NB201Network(CellNetwork):
    """Three stages of equal cells; a residual reduction doubles the channels between stages.

    Args:
        genes: six operations: 0 none, 1 skip, 2 conv 1x1, 3 conv 3x3, 4 average pooling, on the
            edges 0->1, 0->2, 1->2, 0->3, 1->3, 2->3.
        channels: channels of the first stage (16 in the benchmark).
        cells: cells in each stage (5 in the benchmark).
        in_channels: channels of the image.
        classes: number of outputs.

    Reference: Dong and Yang, NAS-Bench-201, ICLR 2020.
    """

    def __init__(
        self,
        genes: Sequence[int],
        channels: int = 16,
        cells: int = 5,
        in_channels: int = 3,
        classes: int = 10,
    ) -> None:
        """Create all layers."""
        layers: list[nn.Module] = []
        for stage in range(3):
            c = channels * 2**stage
            if stage:
                layers.append(ResidualReduction(c // 2, c))
            layers += [Cell(genes, c, c) for _ in range(cells)]
        super().__init__(layers, in_channels, channels, channels * 4, classes)


def build(space: Space, arch: Arch, skeleton: Skeleton) -> NB201Network:
    """The network of an architecture."""
    return NB201Network(
        arch.genes, skeleton.channels, skeleton.cells, skeleton.input_shape[0], skeleton.classes
    )


def standalone(
    space: Space, arch: Arch, skeleton: Skeleton
) -> tuple[str, dict[str, object], tuple[str, ...]]:
    """How an exported ``train.py`` builds the same network: target, arguments, other files."""
    arguments: dict[str, object] = {
        "genes": arch.genes,
        "channels": skeleton.channels,
        "cells": skeleton.cells,
        "in_channels": skeleton.input_shape[0],
        "classes": skeleton.classes,
    }
    return f"{__file__}:NB201Network", arguments, (__file__.replace("nb201.py", "cells.py"),)
