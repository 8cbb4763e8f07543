"""Labelled cells whose value is known."""

import numpy as np
import pytest

from foretell.features import Known, represent
from foretell.spaces import get_space


@pytest.fixture(scope="session")
def cells():
    """(inputs, y) of 400 cells: a smooth function of the graph, a little of one gene, and noise."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(420)))[:400]
    known = Known(space, archs, space.costs(archs, space.skeleton((3, 32, 32), 10)))
    inputs = represent("graf+costs+onehot", known)
    genes = space.genes(archs)
    y = 0.5 + 0.05 * np.log10(known.costs.live_params + 1) + 0.02 * (genes[:, 3] == 3)
    return inputs, y + 0.002 * rng.standard_normal(len(y))
