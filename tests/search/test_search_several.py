"""Every searcher with one, two and three objectives, and with trials that break a constraint."""

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.search import (
    Problem,
    RandomSearch,
    chebyshev,
    draw_pool,
    draw_weights,
    searchers,
)
from foretell.spaces import get_space
from foretell.testing.searchers import ContractSpace

EVERY = [e.name for e in searchers.entries() if e.load().__module__.startswith("foretell.search.")]


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """The published search need not look for the best weights at full length."""
    monkeypatch.setattr("foretell.search.robot_published._DRAWS", 300)
    monkeypatch.setattr("foretell.search.robot_published._STARTS", 1)


@pytest.fixture
def problem(worth):
    space = ContractSpace()
    rng = np.random.default_rng(5)
    pool = tuple(dict.fromkeys(space.sample(rng) for _ in range(50)))[:40]
    scores = {"helpful": worth(pool) + 0.05 * rng.standard_normal(40), "other": rng.random(40)}
    return Problem(space, pool, scores)


@pytest.fixture
def make(problem):
    return lambda name, seed=0: searchers[name](problem, np.random.default_rng(seed))


@pytest.fixture
def gains(worth):
    """(n, k) values of k objectives, the second and third at odds with the first."""

    def values(archs, k):
        size = np.array([sum(a.genes) for a in archs], dtype=float)
        first = np.array([a.genes[0] for a in archs], dtype=float)
        return np.stack([worth(archs), -size, first], axis=1)[:, :k]

    return values


def go(searcher, values, rounds=8, size=2, **more):
    asked = []
    for _ in range(rounds):
        archs = searcher.ask(size)
        searcher.tell(archs, values(archs), **{k: f(archs) for k, f in more.items()})
        asked += archs
    return asked


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("k", [2, 3])
class TestSeveral:
    def test_same_seed_and_tells_give_the_same_asks(self, name, k, make, gains):
        first, again, other = make(name), make(name), make(name, 1)
        asked = go(first, lambda archs: gains(archs, k))
        assert asked == go(again, lambda archs: gains(archs, k))
        assert first.values == again.values
        go(other, lambda archs: gains(archs, k))
        assert other.values != first.values  # its weights are others

    def test_the_pool_is_searched_to_its_end(self, name, k, make, gains, problem):
        searcher = make(name)
        asked = go(searcher, lambda archs: gains(archs, k), rounds=20, size=3)
        assert len(asked) == len(set(asked)) == 40
        assert set(asked) == set(problem.pool)
        assert searcher.ask(3) == []
        assert searcher.pending == ()

    def test_the_best_is_on_the_front(self, name, k, make, gains):
        searcher = make(name)
        asked = go(searcher, lambda archs: gains(archs, k))
        assert list(searcher.values) == asked
        arch, value = searcher.best
        mine, table = gains([arch], k), gains(asked, k)
        assert not ((table >= mine).all(axis=1) & (table > mine).any(axis=1)).any()
        assert value == max(searcher.values.values())

    def test_failed_and_infeasible_trials_have_no_value(self, name, k, make, gains):
        def values(archs):
            table = gains(archs, k)
            table[[a.genes[1] == 0 for a in archs], k - 1] = np.nan
            return table

        searcher = make(name)
        asked = go(
            searcher, values, rounds=10, feasible=lambda archs: [a.genes[0] != 1 for a in archs]
        )
        lost = {a for a in asked if a.genes[0] == 1 or a.genes[1] == 0}
        assert {a for a, v in searcher.values.items() if np.isnan(v)} == lost
        assert set(searcher.infeasible) == {a for a in asked if a.genes[0] == 1}
        assert searcher.best[0] not in lost
        assert not set(searcher.ask(4)) & set(asked)

    def test_all_fail(self, name, k, make):
        searcher = make(name)
        asked = go(searcher, lambda archs: np.full((len(archs), k), np.nan), rounds=6)
        assert searcher.best is None
        assert not set(searcher.ask(2)) & set(asked)
        searcher = make(name)
        go(searcher, lambda a: np.zeros((len(a), k)), feasible=lambda a: [False] * len(a))
        assert searcher.best is None
        assert len(searcher.infeasible) == 16

    def test_a_pool_of_predictions_stays_finite(self, name, k, make, gains, problem):
        searcher = make(name)
        go(searcher, lambda archs: gains(archs, k))
        expected = searcher.predict(problem.pool)
        assert expected.shape == (40,)
        assert not np.isinf(expected).any()


@pytest.mark.parametrize("name", EVERY)
def test_one_objective_is_one_however_it_is_told(name, make, worth):
    flat, column, sure = make(name), make(name), make(name)
    asked = go(flat, worth)
    assert asked == go(column, lambda archs: worth(archs)[:, None])
    assert asked == go(sure, worth, feasible=lambda archs: [True] * len(archs))
    assert (
        flat.values == column.values == sure.values == dict(zip(asked, worth(asked), strict=True))
    )
    assert flat.infeasible == ()


@pytest.mark.parametrize("name", EVERY)
def test_infeasible_is_told_like_failed(name, make, worth):
    """What breaks a constraint has no value; ``robot`` alone is steered by it, away."""
    failed, infeasible = make(name), make(name)
    asked = go(failed, lambda a: np.where([x.genes[0] == 1 for x in a], np.nan, worth(a)))
    other = go(infeasible, worth, feasible=lambda a: [x.genes[0] != 1 for x in a])
    assert failed.infeasible == ()
    assert all(np.isnan(infeasible.values[a]) for a in infeasible.infeasible)
    if name == "robot":
        assert infeasible.infeasible == tuple(a for a in other if a.genes[0] == 1)
        return
    assert asked == other
    assert infeasible.infeasible == tuple(a for a in asked if a.genes[0] == 1)


def test_values_are_chebyshev_with_weights_from_the_stream(problem, gains):
    pool = problem.pool
    searcher = RandomSearch(problem, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    table = np.zeros((0, 2))
    for i in range(0, 12, 4):
        searcher.tell(pool[i : i + 4], gains(pool[i : i + 4], 2))
        table = np.concatenate([table, gains(pool[i : i + 4], 2)])
        expected = chebyshev(table, draw_weights(2, rng))
        assert list(searcher.values) == list(pool[: i + 4])
        assert list(searcher.values.values()) == expected.tolist()


def test_wrong_tells_are_refused_and_change_nothing(make, problem):
    searcher = make("random")
    archs = searcher.ask(2)
    for wrong in (
        np.zeros((2, 0)), np.zeros((3, 2)), np.zeros((2, 2, 1)), [[0, np.inf], [0, 0]], 0.5,
    ):  # fmt: skip
        with pytest.raises(SearchError):
            searcher.tell(archs, wrong)
    for mask in ([True], [True, True, True], [[True], [False]], True):
        with pytest.raises(SearchError, match="feasibility of 2"):
            searcher.tell(archs, [0.1, 0.2], feasible=mask)
    assert searcher.pending == tuple(archs)
    assert searcher.infeasible == ()
    searcher.tell(archs[:1], [[0.1, 0.2]], feasible=[False])
    for wrong in ([0.5], [[0.5]], [[0.1, 0.2, 0.3]]):
        with pytest.raises(SearchError, match="of 2 objectives"):
            searcher.tell(archs[1:], wrong)
    with pytest.raises(SearchError, match="before"):
        searcher.tell(archs[:1], [[0.3, 0.4]])
    searcher.tell([], np.zeros((0, 2)))
    searcher.tell(archs[1:], [[0.3, 0.4]])
    assert np.isnan(searcher.values[archs[0]])
    assert searcher.infeasible == (archs[0],)
    assert searcher.best == (archs[1], 0.0)  # one alone is at once the worst and the best
    assert isinstance(archs[0], Arch)


def test_robot_leaves_the_kind_alone_that_breaks_a_constraint():
    """All large networks are infeasible: without values, the prior alone would ask for them."""
    space = get_space("nb201")
    pool = draw_pool(space, 120, np.random.default_rng(0))
    size = np.array([sum(g == 3 for g in arch.genes) for arch in pool], dtype=float)
    problem = Problem(space, pool, {"size": size})
    searcher = searchers["robot"](problem, np.random.default_rng(0))
    asked = []
    for _ in range(12):
        (arch,) = searcher.ask(1)
        asked.append(sum(g == 3 for g in arch.genes))
        feasible = asked[-1] <= 1
        searcher.tell([arch], [float(asked[-1])], feasible=[feasible])
    assert asked[0] == size.max()
    assert min(asked) <= 1
    assert searcher.best is not None
