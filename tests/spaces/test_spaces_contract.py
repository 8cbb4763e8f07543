"""The public contract, over every registered space and over spaces from outside."""

from pathlib import Path

import pytest

from foretell.spaces import Space, get_space, spaces
from foretell.testing.spaces import NetworkContract, SpaceContract

CUSTOM = """
from torch import nn
from foretell.spaces import CustomSpace


def build(*, input_shape, classes, width, depth, act):
    layers, c = [], input_shape[0]
    for _ in range(depth):
        layers += [nn.Conv2d(c, width, 3, padding=1), getattr(nn, act)()]
        c = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


space = CustomSpace(
    choices={"width": (4, 6), "depth": (1, 2, 3), "act": ("ReLU", "GELU")}, build=build
)
"""

WHOLE = '''
from dataclasses import dataclass

from torch import nn

from foretell import Arch, Graph, Space
from foretell.errors import ArchError
from foretell.graph import Node


@dataclass(frozen=True)
class Stacks(Space):
    """One to four layers of 4 or 8 channels: architectures of unequal length."""

    name: str = "stacks"
    network = f"{__file__}:build"

    def sample(self, rng):
        return Arch(self.name, tuple(rng.integers(2, size=rng.integers(1, 5)).tolist()))

    def neighbors(self, arch):
        flips = [arch.set(i, 1 - g) for i, g in enumerate(arch.genes)]
        longer = [Arch(self.name, (*arch.genes, g)) for g in (0, 1) if len(arch.genes) < 4]
        shorter = [Arch(self.name, arch.genes[:-1])] if len(arch.genes) > 1 else []
        return flips + longer + shorter

    def graph(self, arch):
        nodes = (Node("input"), *(Node(f"conv{g}") for g in arch.genes), Node("output"))
        return Graph(nodes, tuple((i, i + 1) for i in range(len(nodes) - 1)))

    def check(self, arch):
        super().check(arch)
        if not 1 <= len(arch.genes) <= 4 or set(arch.genes) - {0, 1}:
            raise ArchError(f"expected one to four genes of 0 or 1, but got {arch.genes}")
        return arch

    def crossover(self, first, second, rng):
        return first if rng.random() < 0.5 else second


def build(space, arch, skeleton):
    layers, c = [], skeleton.input_shape[0]
    for g in arch.genes:
        layers += [nn.Conv2d(c, 4 + 4 * g, 3, padding=1), nn.ReLU()]
        c = 4 + 4 * g
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, skeleton.classes)
    )
'''


class TestRegistered(NetworkContract):
    """Every space that comes with the library and builds networks."""

    @pytest.fixture(params=[name for name in spaces.names() if get_space(name).network])
    def space(self, request: pytest.FixtureRequest) -> Space:
        return get_space(request.param)


class TestGraphsOnly(SpaceContract):
    """Every space that comes with the library without networks."""

    @pytest.fixture(params=[name for name in spaces.names() if not get_space(name).network])
    def space(self, request: pytest.FixtureRequest) -> Space:
        return get_space(request.param)


class TestCustom(NetworkContract):
    """Choices and a builder in a file."""

    input_shape = (1, 6, 7)
    samples = 4

    @pytest.fixture
    def space(self, tmp_path_factory: pytest.TempPathFactory) -> Space:
        return get_space(f"{_file(tmp_path_factory, CUSTOM)}:space")


class TestWhole(NetworkContract):
    """A subclass of Space in a file, named by its class."""

    samples = 4

    @pytest.fixture
    def space(self, tmp_path_factory: pytest.TempPathFactory) -> Space:
        return get_space(f"{_file(tmp_path_factory, WHOLE)}:Stacks")


def _file(factory: pytest.TempPathFactory, text: str) -> Path:
    path = factory.getbasetemp() / f"space_{len(text)}.py"
    path.write_text(text)
    return path
