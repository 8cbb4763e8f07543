"""Drawing pools: distinct, feasible, bounded, uniform."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from foretell.arch import Arch
from foretell.errors import ArchError, NoFeasibleArchError, UsageError
from foretell.graph import Graph
from foretell.search import draw_pool
from foretell.spaces import Space
from foretell.testing.searchers import ContractSpace


@dataclass(frozen=True)
class Endless(Space):
    """Natural numbers below a bound, drawn only: neither size nor enumeration."""

    name: str = "endless"
    bound: int = 10**9

    def sample(self, rng):
        return Arch(self.name, (int(rng.integers(self.bound)),))

    def neighbors(self, arch):
        return []

    def graph(self, arch) -> Graph:
        raise NotImplementedError


def where(rule):
    return lambda archs: np.array([rule(a.genes) for a in archs], dtype=bool)


def draw(space, size, feasible=None, seed=0, **options):
    rng = np.random.default_rng(seed)
    return draw_pool(space, size, rng, *([feasible] if feasible else []), **options)


@pytest.mark.parametrize("size", [1, 10, 200, 500, 1023, 1024])
def test_pools_are_distinct_and_repeatable(space, size):
    pool = draw(space, size)
    assert len(set(pool)) == len(pool) == size
    assert all(space.check(a) is a for a in pool)
    assert pool == draw(space, size)
    assert size == 1024 or pool != draw(space, size, seed=1)


def test_a_small_space_is_searched_to_its_end(space):
    assert set(draw(space, 5000)) == set(space.enumerate())
    rare = where(lambda g: g == (3, 3, 3, 3, 3))
    assert draw(space, 1, rare) == (Arch("contract", (3,) * 5),)
    assert draw(space, 10, rare) == (Arch("contract", (3,) * 5),)


def test_draws_are_uniform(space):
    counts = np.zeros(4)
    for seed in range(60):
        for arch in draw(space, 20, where(lambda g: g[1] != 0), seed):
            counts[arch.genes[0]] += 1
    assert stats.chisquare(counts).pvalue > 1e-3


def test_equal_keys_are_drawn_once(space):
    pool = draw(space, 100, dedup=lambda a: sum(a.genes))
    assert sorted(sum(a.genes) for a in pool) == list(range(16))


def test_what_was_seen_is_not_drawn_again(space):
    first = draw(space, 1000)
    rest = draw(space, 100, seed=1, seen=first)
    assert set(rest) == set(space.enumerate()) - set(first)
    assert draw(space, 5, seen=tuple(space.enumerate())) == ()
    keyed = draw(space, 100, seen=first[:1], dedup=lambda a: sum(a.genes))
    assert sum(first[0].genes) not in {sum(a.genes) for a in keyed}


def test_a_space_without_end_is_sampled_within_bounds():
    asked = []

    def even(archs):
        asked.append(len(archs))
        return np.array([a.genes[0] % 2 == 0 for a in archs])

    pool = draw(Endless(), 1000, even)
    assert len(pool) == 1000
    assert sum(asked) < 5000
    few = Endless(bound=7)
    assert {a.genes[0] for a in draw(few, 100, tries=2000)} == set(range(7))
    with pytest.raises(ArchError):
        few.enumerate()
    with pytest.raises(NoFeasibleArchError, match="2,"):
        draw(Endless(), 1, where(lambda g: False), tries=2000)


def test_one_draw_asks_for_little():
    """Feasibility may cost a network each, so a single draw starts with a single sample."""
    asked = []

    def all_of(archs):
        asked.append(len(archs))
        return np.ones(len(archs), dtype=bool)

    draw(Endless(), 1, all_of)
    assert asked == [1]


def test_the_error_names_what_excluded_most(space):
    def excluded(archs):
        return {"alive": 0, "params<=3": len(archs) // 2, "flops<=5": len(archs)}

    with pytest.raises(NoFeasibleArchError) as caught:
        draw(space, 3, where(lambda g: False), excluded=excluded)
    assert "all 1,024" in str(caught.value)
    assert "flops<=5 excluded most of them (1,024)" in str(caught.value)
    with pytest.raises(NoFeasibleArchError, match="loosen the constraints"):
        draw(space, 3, where(lambda g: False))
    with pytest.raises(NoFeasibleArchError, match="loosen the constraints"):
        draw(space, 3, where(lambda g: False), excluded=lambda archs: {})


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": 1, "tries": 0}])
def test_counts_are_checked(space, wrong):
    with pytest.raises(UsageError):
        draw(space, **wrong)


def test_a_large_space_with_a_size_is_not_enumerated():
    huge = ContractSpace(decisions=40)
    assert huge.size > 10**20
    assert len(draw(huge, 300)) == 300
    with pytest.raises(NoFeasibleArchError):
        draw(huge, 1, where(lambda g: False), tries=500)
