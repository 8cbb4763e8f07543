"""What every proxy has to keep to.

A plug-in's test file::

    import pytest
    from foretell.testing.proxies import ProxyContract

    class TestMine(ProxyContract):
        @pytest.fixture
        def proxy(self):
            return "my_file.py:my_proxy"
"""

import math
import random
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from foretell.arch import Arch
from foretell.proxies import Batches, Item, Needs, needs_of, proxies, score
from foretell.spaces import Skeleton
from foretell.types import Array

__all__ = ["ProxyContract"]


class _Net(nn.Module):
    """A small network of everything that proxies meet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.more = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.last = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm(self.conv(x)))
        y = torch.relu(self.last(self.more(y)) + y)
        out: Tensor = self.head(self.drop(y.mean((2, 3))))
        return out


class _Dead(_Net):
    """The same, but the output is a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(x))


class ProxyContract:
    """The suite; a subclass gives the fixture ``proxy``, a name or a ``file.py:function``."""

    archs: ClassVar[Sequence[Arch]] = (
        Arch("nb201", (3, 1, 2, 4, 1, 3)),
        Arch("nb201", (1, 1, 1, 1, 1, 1)),
        Arch("nb201", (2, 0, 3, 1, 3, 4)),
    )
    """Live networks."""

    def batches(self) -> Batches:
        """Two small batches with every class."""
        generator = torch.Generator().manual_seed(0)
        return Batches(
            tuple(torch.randn((8, 3, 8, 8), generator=generator) for _ in range(2)),
            (torch.arange(8) % 4, torch.arange(8) % 4),
        )

    def score(self, proxy: str, items: Sequence[Item], seed: int = 0) -> Array:
        """Values of the proxy, (n,)."""
        skeleton = Skeleton((3, 8, 8), 4, 4, 1)
        scores = score(items, [proxy], self.batches(), skeleton=skeleton, seed=seed)
        assert not scores.failures, scores.failures
        assert not scores.reasons, scores.reasons
        return scores.values[:, 0]

    def test_states_its_facts(self, proxy: str) -> None:
        """What it needs, which data it looks at, and in which direction it helps."""
        entry = proxies.entry(proxy)
        needs_of(entry)
        assert entry.facts["data"] in ("none", "images", "labels")
        assert isinstance(entry.facts["higher_is_better"], bool)

    def test_finite_on_live_networks(self, proxy: str) -> None:
        """A number for networks of cells and for any other module."""
        assert np.isfinite(self.score(proxy, self.archs)).all()
        torch_state = torch.random.get_rng_state()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = _Net()
        assert torch.equal(torch_state, torch.random.get_rng_state())
        assert np.isfinite(self.score(proxy, [net])).all()

    def test_same_seed_same_value(self, proxy: str) -> None:
        """Bit for bit."""
        assert np.array_equal(
            self.score(proxy, self.archs, seed=3), self.score(proxy, self.archs, seed=3)
        )

    def test_many_as_one_by_one(self, proxy: str) -> None:
        """A value depends neither on the other networks nor on their order."""
        together = self.score(proxy, self.archs)
        assert np.array_equal(together, [self.score(proxy, [a])[0] for a in self.archs])
        assert np.array_equal(together[::-1], self.score(proxy, self.archs[::-1]))

    def test_dead_networks_have_no_value(self, proxy: str) -> None:
        """Known from the graph; the value is NaN, never a number."""
        dead: list[Item] = [
            Arch("nb201", (0, 0, 0, 0, 0, 0)),
            Arch("nb201", (3, 0, 0, 0, 0, 0)),
            _Dead,
        ]
        skeleton = Skeleton((3, 8, 8), 4, 4, 1)
        scores = score(dead, [proxy], self.batches(), skeleton=skeleton)
        assert not scores.alive.any()
        assert all(math.isnan(v) for v in scores.values[:, 0])

    def test_changes_nothing(self, proxy: str) -> None:
        """The network's weights, buffers, gradients, mode and the random state stay."""
        net = _Net().eval()
        before = {k: v.clone() for k, v in net.state_dict().items()}
        rng = torch.random.get_rng_state(), random.getstate()
        self.score(proxy, [net, *self.archs])
        assert torch.equal(rng[0], torch.random.get_rng_state())
        assert rng[1] == random.getstate()
        assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
        assert not net.training
        assert all(p.grad is None and p.requires_grad for p in net.parameters())

    def test_needs_are_declared(self, proxy: str) -> None:
        """It reads no more than it says: the score above would name what is missing."""
        assert isinstance(needs_of(proxies.entry(proxy)), Needs)
