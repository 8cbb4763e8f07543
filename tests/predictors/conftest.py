"""Labelled cells whose value is context."""

import numpy as np
import pytest

from foretell.encodings import EncodingContext, encode
from foretell.spaces import get_space


@pytest.fixture(scope="session")
def cell_context():
    """400 cells with their costs, and as much noise."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(420)))[:400]
    noise = rng.standard_normal(len(archs))
    return EncodingContext(space, archs, space.costs(archs, space.skeleton((3, 32, 32), 10))), noise


@pytest.fixture(scope="session")
def cells(cell_context):
    """(encodings, y) of 400 cells: a smooth function of the graph, a little of one gene, noise."""
    context, noise = cell_context
    encodings = encode("graf+costs+onehot", context)
    genes = context.space.genes(context.archs)
    y = 0.5 + 0.05 * np.log10(context.costs.live_params + 1) + 0.02 * (genes[:, 3] == 3)
    return encodings, y + 0.002 * noise


@pytest.fixture(scope="session")
def cell_labels(cell_context):
    """Weisfeiler-Lehman labels of the same cells."""
    return encode("wl", cell_context[0]).tables["wl"]
