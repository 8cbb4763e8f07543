"""Labelled cells whose value is known."""

import numpy as np
import pytest

from foretell.encodings import Known, represent
from foretell.spaces import get_space


@pytest.fixture(scope="session")
def known_cells():
    """400 cells with their costs, and as much noise."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(420)))[:400]
    noise = rng.standard_normal(len(archs))
    return Known(space, archs, space.costs(archs, space.skeleton((3, 32, 32), 10))), noise


@pytest.fixture(scope="session")
def cells(known_cells):
    """(inputs, y) of 400 cells: a smooth function of the graph, a little of one gene, and noise."""
    known, noise = known_cells
    inputs = represent("graf+costs+onehot", known)
    genes = known.space.genes(known.archs)
    y = 0.5 + 0.05 * np.log10(known.costs.live_params + 1) + 0.02 * (genes[:, 3] == 3)
    return inputs, y + 0.002 * noise


@pytest.fixture(scope="session")
def cell_labels(known_cells):
    """Weisfeiler-Lehman labels of the same cells."""
    return represent("wl", known_cells[0]).tables["wl"]
