"""Laws over networks: a value follows from the function of a network, and from nothing else.

Every network is scored as it was built, against plain autograd and written-out sums, and rewritten.
The first twelve see half of the rewrites here, the others two; ``experiments/laws.py`` tries all of
them with all, and prints the matrix of docs/laws.md.
"""

import math

import numpy as np
import pytest
from law_cells import CUT, NAMES, NO_VALUE, scored, values_of, wrong_cells
from law_networks import NETWORKS, make
from law_open import OPEN, is_open
from law_rewrites import REWRITES

pytestmark = pytest.mark.filterwarnings("ignore")
SOME = 2
"""How many rewrites a network sees that is not of the first."""


def rewrites(name: str) -> tuple[str, ...]:
    """The rewrites that a network sees here: one of each pair for the first, or some."""
    index = list(NETWORKS).index(name)
    if NETWORKS[name].first:
        turn = [n for n in NETWORKS if NETWORKS[n].first].index(name)
        return tuple(REWRITES)[turn % 2 :: 2]
    return tuple(np.roll(list(REWRITES), -index * SOME)[:SOME].tolist())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_value_follows_from_the_function(name: str) -> None:
    row = scored(name, rewrites(name))
    wrong = wrong_cells(row)
    assert {cell: what for cell, what in wrong.items() if not is_open(name, *cell)} == {}
    index = list(NETWORKS).index(name)  # whatever else is asked for
    names = [n for n in reversed(NAMES) if (len(n) + index) % 3 == 0]
    names = names if index % 2 else [NAMES[index % len(NAMES)]]
    of_images = NETWORKS[name].images or NETWORKS[name].dtype
    again = values_of(make(name), names, of_images).values
    for n in names:
        same = again[n] == pytest.approx(row.base.values[n], rel=1e-12, nan_ok=True)
        assert same or is_open(name, "as built", n), n


def test_the_table_of_exceptions() -> None:
    """At most one value in twenty is missing, none on a plain convolutional network."""
    assert len(NETWORKS) >= 40
    assert len(REWRITES) >= 8
    assert sum(n.first for n in NETWORKS.values()) == 12
    assert len(NO_VALUE) <= len(NETWORKS) * len(NAMES) / 20
    assert not any(NETWORKS[network].convolutional for network, _ in NO_VALUE)
    for network, name in NO_VALUE:
        assert network in NETWORKS
        assert name in NAMES
    for rewrite, name in CUT:
        assert rewrite in REWRITES
        assert name in NAMES
    assert all(OPEN.values())
    assert all(math.isfinite(n.params) and n.flops > 0 for n in NETWORKS.values())
