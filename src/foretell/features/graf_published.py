"""GRAF's own columns for architectures of each space that its authors describe.

A space names its function here in ``published_features``.
"""

from collections.abc import Sequence

import numpy as np

from foretell.arch import Arch
from foretell.features._base import FeatureTable
from foretell.features.graf_compat import graf_nb201
from foretell.spaces import NB201

__all__ = ["nb201"]


def nb201(space: NB201, archs: Sequence[Arch]) -> FeatureTable:
    """The 191 columns of NAS-Bench-201 cells."""
    operation = np.array([1, 0, 3, 2, 4])  # theirs of ours: none, skip, 1x1, 3x3, pooling
    ops = space.genes(archs)[:, [0, 1, 3, 2, 4, 5]]  # edges by where they start
    return graf_nb201(operation[ops])
