"""The NATS-Bench size space."""

from collections.abc import Callable

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.errors import ArchError, UnknownNameError
from foretell.spaces import SizeSpace, Skeleton

SPACE = SizeSpace()


def test_official_strings_and_order() -> None:
    assert SPACE.size == 32768
    archs = list(SPACE.enumerate())
    assert SPACE.format(archs[284]) == "8:8:40:32:40"  # the official index
    assert SPACE.parse("8:8:40:32:40") == archs[284] == SPACE.parse("size:8:8:40:32:40")
    assert SPACE.parse("size:0.0.4.3.4") == SPACE.parse("0.0.4.3.4") == archs[284]
    assert SPACE.channels(archs[-1]) == (64,) * 5


@pytest.mark.parametrize("text", ["8:8:8:8", "8:8:8:8:9", "8:8:8:8:8:8", "8:8:8:8:x", "0:8:8:8:8"])
def test_wrong_texts(text: str) -> None:
    with pytest.raises(ArchError, match="expected five of 8, 16, 24"):
        SPACE.parse(text)


def test_there_are_no_presets() -> None:
    assert SPACE.skeleton((1, 8, 8), 10) == Skeleton((1, 8, 8), 10)
    with pytest.raises(UnknownNameError):
        SPACE.skeleton(preset="small")


def test_every_network_has_the_same_cell() -> None:
    rng = np.random.default_rng(0)
    archs = [SPACE.sample(rng) for _ in range(5)]
    assert len({SPACE.graph(a).hash() for a in archs}) == 1
    assert SPACE.alive(archs).all()


def test_more_channels_cost_more() -> None:
    rng = np.random.default_rng(1)
    archs = [SPACE.sample(rng) for _ in range(200)]
    wider = [Arch("size", tuple(min(g + 1, 7) for g in a.genes)) for a in archs]
    skeleton = Skeleton()
    less, more = SPACE.costs(archs, skeleton), SPACE.costs(wider, skeleton)
    changed = np.array([a != b for a, b in zip(archs, wider, strict=True)])
    assert (less.params < more.params)[changed].all()
    assert (less.memory <= more.memory).all()
    assert (less.live_params == less.params).all()


def test_official_records(official_costs: Callable[[str], list[tuple]]) -> None:
    """Params are equal; the official flops add one for each bias of the head."""
    for index in (0, 11, 284):
        for text, classes, px, params, flops in official_costs(f"sss-{index:06d}"):
            table = SPACE.costs([SPACE.parse(text)], Skeleton((3, px, px), classes))
            assert table.params[0] == params
            assert table.flops[0] + classes == flops
