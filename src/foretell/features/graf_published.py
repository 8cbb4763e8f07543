"""GRAF's own columns for architectures of each space that its authors describe.

A space names its function here in ``published_features``.
"""

from collections.abc import Sequence

import numpy as np

from foretell.arch import Arch
from foretell.features._base import FeatureTable
from foretell.features.graf_compat import graf_nb201, graf_transnas_macro, graf_transnas_micro
from foretell.spaces import NB201, TransNASMacro, TransNASMicro

__all__ = ["nb201", "transnas_macro", "transnas_micro"]


def nb201(space: NB201, archs: Sequence[Arch]) -> FeatureTable:
    """The 191 columns of NAS-Bench-201 cells."""
    operation = np.array([1, 0, 3, 2, 4])  # theirs of ours: none, skip, 1x1, 3x3, pooling
    ops = space.genes(archs)[:, [0, 1, 3, 2, 4, 5]]  # edges by where they start
    return graf_nb201(operation[ops])


def transnas_micro(space: TransNASMicro, archs: Sequence[Arch]) -> FeatureTable:
    """The 94 columns of TransNAS-Bench-101's cells, whose edges and operations are ours."""
    return graf_transnas_micro(space.genes(archs))


def transnas_macro(space: TransNASMacro, archs: Sequence[Arch]) -> FeatureTable:
    """The 16 columns of TransNAS-Bench-101's macro networks."""
    return graf_transnas_macro([a.genes for a in archs])
