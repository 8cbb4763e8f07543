"""Local search and evolution move as their papers say."""

import numpy as np
import pytest

from foretell.errors import SearchError
from foretell.search import EvolutionSearch, LocalSearch, Problem
from foretell.testing.searchers import ContractSpace


def distance(a, b):
    return sum(x != y for x, y in zip(a.genes, b.genes, strict=True))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [1, 4])
def test_local_search_climbs_to_the_peak(space, worth, first, size):
    search = LocalSearch(Problem(space), np.random.default_rng(0), initial=3, first=first)
    start = search.ask(3)
    search.tell(start, worth(start))
    asked = []
    while search.best[1] < 0.6:
        centre = search.best[0]
        archs = search.ask(size)
        assert not first or all(distance(a, centre) == 1 for a in archs)
        asked += archs
        search.tell(archs, worth(archs))
    assert len(asked) < 100


def test_steepest_ascent_looks_at_every_neighbor_first(space, worth):
    search = LocalSearch(Problem(space), np.random.default_rng(1), initial=1, first=False)
    start = search.ask()[0]
    search.tell([start], worth([start]))
    around = []
    for _ in range(15):
        around += search.ask()
        search.tell(around[-1:], worth(around[-1:]))
    assert set(around) == set(space.neighbors(start))
    best = max(around, key=lambda a: worth([a])[0])
    assert distance(search.ask()[0], best) == 1


def test_local_search_starts_again_on_a_peak(worth):
    space = ContractSpace(decisions=2)
    search = LocalSearch(Problem(space), np.random.default_rng(2), initial=1)
    start = search.ask()[0]
    search.tell([start], [1.0])
    seen = {start}
    for _ in range(6):
        archs = search.ask()
        assert distance(archs[0], start) == 1
        search.tell(archs, [0.0])
        seen.update(archs)
    fresh = search.ask()[0]
    assert fresh not in seen
    assert distance(fresh, start) == 2
    search.tell([fresh], [-1.0])
    after = search.ask()[0]
    assert distance(after, fresh) == 1, "a restart climbs from where it is, however low"


def test_local_search_does_not_wait_for_what_is_in_flight(space, worth):
    search = LocalSearch(Problem(space), np.random.default_rng(3), initial=2)
    flying = [search.ask()[0] for _ in range(30)]
    assert len(set(flying)) == 30
    search.tell(flying, worth(flying))
    assert len(search.ask(2)) == 2


def test_local_search_survives_failures_and_takes_known_trials(space, worth):
    search = LocalSearch(Problem(space), np.random.default_rng(4), initial=2)
    for _ in range(20):
        archs = search.ask(2)
        search.tell(archs, [np.nan, np.nan])
    assert len(search.values) == 40
    known = LocalSearch(Problem(space), np.random.default_rng(5), initial=1)
    good = space.parse("3.3.3.3.2")
    known.tell([good], [0.9])
    start = known.ask()
    known.tell(start, [0.1])
    assert distance(known.ask()[0], good) == 1


def test_local_search_stays_in_its_pool(space, worth):
    pool = tuple(space.enumerate())[::7]
    search = LocalSearch(Problem(space, pool), np.random.default_rng(6), initial=2)
    asked = []
    while archs := search.ask(3):
        asked += archs
        search.tell(archs, worth(archs))
    assert sorted(asked) == sorted(pool)


@pytest.mark.parametrize("wrong", [0, -1])
def test_local_search_checks_its_options(space, wrong):
    with pytest.raises(SearchError, match="initial"):
        LocalSearch(Problem(space), np.random.default_rng(0), initial=wrong)


def test_evolution_mutates_the_young(space, worth):
    search = EvolutionSearch(Problem(space), np.random.default_rng(0), population=4, tournament=2)
    told = []
    for trial in range(60):
        child = search.ask()[0]
        if trial >= 4:
            assert min(distance(child, parent) for parent in told[-4:]) == 1
        told.append(child)
        search.tell([child], worth([child]))
    assert search.best[1] > 0.5


def test_a_full_tournament_always_takes_the_best(space, worth):
    search = EvolutionSearch(Problem(space), np.random.default_rng(1), population=5, tournament=99)
    told = []
    for trial in range(40):
        child = search.ask()[0]
        if trial >= 5:
            best = max(told[-5:], key=lambda a: worth([a])[0])
            assert distance(child, best) == 1
        told.append(child)
        search.tell([child], worth([child]))


def test_the_oldest_makes_room_even_if_it_is_the_best(space):
    search = EvolutionSearch(Problem(space), np.random.default_rng(2), population=3, tournament=3)
    told = []
    for trial in range(12):
        child = search.ask()[0]
        told.append(child)
        search.tell([child], [1.0 - trial / 100])
    # The first value stays the highest, but each parent is among the three last.
    assert search.best[0] == told[0]
    child = search.ask()[0]
    assert distance(child, told[-3]) == 1


def test_failures_never_become_parents(space, worth):
    search = EvolutionSearch(Problem(space), np.random.default_rng(3), population=4)
    told = []
    for trial in range(40):
        child = search.ask()[0]
        failed = trial % 2 == 1
        if len(told) >= 4:
            assert min(distance(child, parent) for parent in told[-4:]) <= 1
        search.tell([child], [np.nan] if failed else worth([child]))
        told += [] if failed else [child]


def test_a_parent_without_new_neighbors_gives_a_grandchild():
    space = ContractSpace(decisions=2)
    search = EvolutionSearch(Problem(space), np.random.default_rng(4), population=2, tournament=2)
    centre = space.parse("0.0")
    around = space.neighbors(centre)
    search.tell(around, np.zeros(6))
    drawn = search.ask(2)
    search.tell([a for a in drawn if a != centre], [0.1] * len([a for a in drawn if a != centre]))
    rest = []
    while archs := search.ask(2):
        rest += archs
        search.tell(archs, np.full(len(archs), 0.5))
    assert {*around, *drawn, *rest} == set(space.enumerate())


@pytest.mark.parametrize("wrong", [{"population": 1}, {"tournament": 0}])
def test_evolution_checks_its_options(space, wrong):
    with pytest.raises(SearchError, match="population"):
        EvolutionSearch(Problem(space), np.random.default_rng(0), **wrong)
