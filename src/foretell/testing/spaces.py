"""What every search space has to keep to.

A plug-in's test file::

    import pytest
    from foretell import get_space
    from foretell.testing.spaces import NetworkContract

    class TestMine(NetworkContract):
        @pytest.fixture
        def space(self):
            return get_space("my_space.py:space")

A space of which only graphs are known passes ``SpaceContract``.
"""

import pickle
from itertools import islice
from typing import ClassVar

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.spaces import CostTable, ProductSpace, Skeleton, Space, get_space
from foretell.types import Shape3

__all__ = ["NetworkContract", "SpaceContract"]


class SpaceContract:
    """What holds for every space; a subclass gives the fixture ``space``."""

    input_shape: ClassVar[Shape3] = (3, 8, 8)
    """Shape of the images that networks are tried on."""
    classes: ClassVar[int] = 4
    samples: ClassVar[int] = 8
    """How many architectures are looked at where each costs time."""

    @pytest.fixture
    def space(self) -> Space:
        """The space to look at.

        Raises:
            NotImplementedError: the subclass does not give it.
        """
        raise NotImplementedError("give the fixture `space` in your subclass")

    @pytest.fixture
    def archs(self, space: Space) -> list[Arch]:
        """Some architectures."""
        rng = np.random.default_rng(7)
        return [space.sample(rng) for _ in range(self.samples)]

    def test_the_name_leads_to_the_space(self, space: Space) -> None:
        """Workers rebuild a space from the name that its architectures carry."""
        rebuilt = get_space(space.name)
        assert type(rebuilt) is type(space)
        assert rebuilt.name == space.name
        assert rebuilt.sample(np.random.default_rng(3)) == space.sample(np.random.default_rng(3))

    def test_samples_are_valid_and_repeatable(self, space: Space) -> None:
        """The generator alone decides."""
        first, again = (
            [space.sample(rng) for _ in range(50)]
            for rng in (np.random.default_rng(1), np.random.default_rng(1))
        )
        assert first == again
        assert all(space.check(a) is a for a in first)
        assert all(type(g) is int for a in first for g in a.genes), "genes are Python ints"
        if space.size is None or space.size > 50:
            assert len(set(first)) > 1, "fifty samples were one and the same"

    def test_archs_are_values(self, archs: list[Arch]) -> None:
        """Through JSON and through pickle they stay what they are."""
        for arch in archs:
            assert Arch.from_json(arch.to_json()) == arch
            assert pickle.loads(pickle.dumps(arch)) == arch

    def test_parse_reads_what_format_writes(self, space: Space, archs: list[Arch]) -> None:
        """And JSON, and the two never mix up architectures."""
        for arch in archs:
            assert space.parse(space.format(arch)) == arch
            assert space.parse(f"  {space.format(arch)}\n") == arch
            assert space.parse(arch.to_json()) == arch
        assert len({space.format(a) for a in archs}) == len(set(archs))
        assert space.parse(space.example()).space == space.name

    @pytest.mark.parametrize("text", ["", "no such architecture", "{", "{}", "-1", "1.2.x"])
    def test_parse_refuses_other_texts(self, space: Space, text: str) -> None:
        """With the library's own error."""
        with pytest.raises(ArchError):
            space.parse(text)

    def test_check_refuses_other_archs(self, space: Space, archs: list[Arch]) -> None:
        """Of another space, or with genes that do not fit."""
        with pytest.raises(ArchError):
            space.check(Arch("another space", archs[0].genes))
        with pytest.raises(ArchError):
            space.check(Arch(space.name, (*archs[0].genes, 10**9)))

    def test_neighbors_are_one_edit_away(self, space: Space, archs: list[Arch]) -> None:
        """Valid, distinct, in a fixed order, and never the architecture itself."""
        for arch in archs:
            near = space.neighbors(arch)
            assert near == space.neighbors(arch)
            assert len(set(near)) == len(near)
            assert arch not in near
            for other in near:
                assert space.check(other) is other
            for other in near[:3]:
                assert arch in space.neighbors(other), "an edit can be taken back"
            if isinstance(space, ProductSpace):
                assert len(near) == sum(c - 1 for c in space.cardinalities)
                for other in near:
                    assert sum(a != b for a, b in zip(arch.genes, other.genes, strict=True)) == 1

    def test_mutation_and_crossover_stay_inside(self, space: Space, archs: list[Arch]) -> None:
        """A mutation is a neighbor; a child of twins is their twin; seeds repeat."""
        for first, second in zip(archs, archs[::-1], strict=True):
            near = space.neighbors(first)
            child = space.mutate(first, np.random.default_rng(2))
            assert child in near or not near
            assert child == space.mutate(first, np.random.default_rng(2))
            mixed = space.crossover(first, second, np.random.default_rng(2))
            assert space.check(mixed) is mixed
            assert mixed == space.crossover(first, second, np.random.default_rng(2))
            assert space.crossover(first, first, np.random.default_rng(2)) == first

    def test_enumeration_is_complete(self, space: Space, archs: list[Arch]) -> None:
        """Every architecture once; a space of unknown size says that it cannot."""
        if space.size is None:
            with pytest.raises(ArchError):
                next(iter(space.enumerate()))
            return
        listed = list(islice(space.enumerate(), 50_000))
        assert len(set(listed)) == len(listed) == min(space.size, 50_000)
        assert all(space.check(a) is a for a in listed[:100])
        if space.size <= 50_000:
            assert set(archs) <= set(listed)

    def test_graphs_are_sound(self, space: Space, archs: list[Arch]) -> None:
        """Input first, output last, edges forward; liveness is the space's own."""
        alive = space.alive(archs)
        assert alive.shape == (len(archs),)
        assert alive.dtype == np.bool_
        for arch, lives in zip(archs, alive, strict=True):
            graph = space.graph(arch)
            assert all(0 <= s < t < len(graph.nodes) for s, t in graph.edges)
            assert graph.alive == lives
            assert graph.hash() == space.graph(arch).hash() == graph.canonical().hash()

    def test_presets_have_names(self, space: Space) -> None:
        """Each preset makes a skeleton, and the default one is among them."""
        for name, (channels, cells) in space.presets.items():
            made = space.skeleton(self.input_shape, self.classes, name)
            assert (made.channels, made.cells) == (channels, cells)
            assert made.input_shape == self.input_shape
        if space.presets:
            made = space.skeleton(self.input_shape, self.classes)
            assert (made.channels, made.cells) in space.presets.values()


class NetworkContract(SpaceContract):
    """What holds besides for a space whose networks can be built."""

    @pytest.fixture
    def skeleton(self, space: Space) -> Skeleton:
        """The fixed part of the networks for ``input_shape``."""
        return space.skeleton(self.input_shape, self.classes)

    def test_networks_are_repeatable(
        self, space: Space, archs: list[Arch], skeleton: Skeleton
    ) -> None:
        """(n, classes) comes out; the seed alone decides the weights; no random state moves."""
        import torch

        from foretell.networks import build

        images = torch.rand(2, *self.input_shape, generator=torch.Generator().manual_seed(5))
        for arch in archs[:3]:
            state = torch.get_rng_state()
            first, again, other = (build(arch, skeleton, seed=s).eval() for s in (1, 1, 2))
            assert torch.equal(state, torch.get_rng_state())
            with torch.no_grad():
                assert first(images).shape == (2, self.classes)
                assert torch.equal(first(images), again(images))
            weights = [p for p in first.parameters() if p.ndim > 1]
            others = [p for p in other.parameters() if p.ndim > 1]
            if weights:
                pairs = zip(weights, others, strict=True)
                assert any(not torch.equal(a, b) for a, b in pairs), "the seed changes nothing"

    def test_costs_agree_with_the_network(
        self, space: Space, archs: list[Arch], skeleton: Skeleton
    ) -> None:
        """What the closed form says is what the meta device counts, to the last byte."""
        from foretell.cost import costs, count
        from foretell.networks import build

        table = costs(archs, skeleton)
        assert len(table) == len(archs)
        for i, arch in enumerate(archs):
            counted = count(build(arch, skeleton, seed=0), skeleton.input_shape)
            for name in CostTable.__dataclass_fields__:
                closed = getattr(table, name)[i]
                assert closed == pytest.approx(getattr(counted, name), rel=1e-12), name
