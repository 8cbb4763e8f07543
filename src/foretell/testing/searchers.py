"""What every searcher has to keep to.

A plug-in's test file::

    import pytest
    from foretell.testing.searchers import SearcherContract

    class TestMine(SearcherContract):
        beats_random = True

        @pytest.fixture
        def searcher(self):
            return "my_searcher.py:MySearch"
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import NoFeasibleArchError, SearchError
from foretell.graph import Graph, Node
from foretell.search import Problem, Searcher, any_arch, searchers
from foretell.spaces import ProductSpace
from foretell.types import Array

__all__ = ["ContractSpace", "SearcherContract"]


@dataclass(frozen=True)
class ContractSpace(ProductSpace):
    """Independent decisions with four choices each; the higher the gene, the better.

    Args:
        name: what architectures carry.
        decisions: how many genes an architecture has.
    """

    name: str = "contract"
    decisions: int = 5

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Four choices each."""
        return (4,) * self.decisions

    def graph(self, arch: Arch) -> Graph:
        """A chain of one operation per gene."""
        nodes = (Node("input"), *(Node(f"op{g}") for g in arch.genes), Node("output"))
        return Graph(nodes, tuple((i, i + 1) for i in range(len(nodes) - 1)))


def _worth(archs: Sequence[Arch]) -> Array:
    """A sum over genes with unequal weights: separable, one best architecture."""
    return np.array([sum((i + 2) * g for i, g in enumerate(a.genes)) for a in archs]) / 100


def _even(archs: Sequence[Arch]) -> NDArray[np.bool_]:
    """About half of the space."""
    return np.array([sum(a.genes) % 2 == 0 for a in archs], dtype=bool)


def _nothing(archs: Sequence[Arch]) -> NDArray[np.bool_]:
    return np.zeros(len(archs), dtype=bool)


Values = Callable[[Sequence[Arch]], Array]


class SearcherContract:
    """The suite; a subclass gives the fixture ``searcher``, a name or a ``file.py:attribute``."""

    beats_random: ClassVar[bool] = False
    """Whether the searcher claims to find more than uniform draws on an easy problem."""

    @pytest.fixture
    def searcher(self) -> str:
        """The searcher to look at.

        Raises:
            NotImplementedError: the subclass does not give it.
        """
        raise NotImplementedError("give the fixture `searcher` in your subclass")

    @pytest.fixture
    def make(self, searcher: str) -> Callable[[Problem, int], Searcher]:
        """(problem, seed) -> a fresh searcher."""
        cls = searchers[searcher]
        return lambda problem, seed: cls(problem, np.random.default_rng(seed))

    @pytest.fixture
    def pooled(self) -> Problem:
        """A pool of 60, half of it feasible, with a helpful, a useless and an incomplete score."""
        space = ContractSpace()
        rng = np.random.default_rng(5)
        pool = tuple(dict.fromkeys(space.sample(rng) for _ in range(64)))[:60]
        worth = _worth(pool)
        hole = worth.copy()
        hole[::3] = np.nan
        scores = {
            "helpful": worth + 0.05 * rng.standard_normal(len(pool)),
            "useless": rng.standard_normal(len(pool)),
            "incomplete": hole,
            "constant": np.ones(len(pool)),
        }
        for values in scores.values():
            values.flags.writeable = False
        return Problem(space, pool, scores, _even)

    def run(
        self, searcher: Searcher, rounds: int, size: int = 1, values: Values = _worth
    ) -> list[list[Arch]]:
        """Ask and tell some rounds; what was asked in each."""
        asked: list[list[Arch]] = []
        for _ in range(rounds):
            asked.append(searcher.ask(size))
            searcher.tell(asked[-1], values(asked[-1]))
        return asked

    @pytest.mark.parametrize("size", [1, 2, 3, 7])
    def test_same_seed_and_tells_give_the_same_asks(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem, size: int
    ) -> None:
        """A stopped search is resumed by asking and telling again; nothing global is drawn from."""
        np_state, py_state = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
        first = self.run(make(pooled, 3), 5, size)
        assert repr(np_state) == repr(np.random.get_state(legacy=False))  # noqa: NPY002
        assert py_state == random.getstate()
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        assert first == self.run(make(pooled, 3), 5, size)
        np.random.set_state(np_state)  # noqa: NPY002
        random.setstate(py_state)

    def test_predicting_changes_nothing(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """(n,) values or NaN, the same on each call, without a draw."""
        silent, asked = make(pooled, 3), make(pooled, 3)
        for _ in range(8):
            expected = asked.predict(pooled.pool)
            assert expected.shape == (len(pooled.pool),)
            assert not np.isinf(expected).any()
            assert np.array_equal(expected, asked.predict(pooled.pool), equal_nan=True)
            assert asked.predict([]).shape == (0,)
            (archs, others) = silent.ask(2), asked.ask(2)
            assert archs == others
            silent.tell(archs, _worth(archs))
            asked.tell(others, _worth(others))

    @pytest.mark.parametrize("size", [1, 2, 5, 100])
    def test_asks_stay_inside_and_never_repeat_until_the_pool_ends(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem, size: int
    ) -> None:
        """Each feasible member of the pool once, then nothing, again and again."""
        searcher = make(pooled, 0)
        allowed = {a for a, ok in zip(pooled.pool, _even(pooled.pool), strict=True) if ok}
        seen: list[Arch] = []
        while archs := searcher.ask(size):
            assert len(archs) == min(size, len(allowed) - len(seen))
            seen += archs
            searcher.tell(archs, _worth(archs))
        assert len(seen) == len(set(seen))
        assert set(seen) == allowed
        assert searcher.ask(size) == []
        assert searcher.best is not None
        assert searcher.best[1] == _worth(list(allowed)).max()

    def test_asks_without_tells_do_not_repeat(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """Many trials may be in flight, and come home in another order."""
        searcher = make(pooled, 1)
        flying = [a for _ in range(6) for a in searcher.ask(2)]
        assert len(set(flying)) == len(flying) == 12
        assert searcher.pending == tuple(flying)
        for arch in reversed(flying):
            searcher.tell([arch], _worth([arch]))
        more = searcher.ask(4)
        assert len(more) == 4
        assert not set(more) & set(flying)

    def test_failed_trials_are_never_best(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """NaN is no number: all failed, some failed, the first failed."""
        searcher = make(pooled, 2)
        asked = self.run(searcher, 4, 3, lambda archs: np.full(len(archs), np.nan))
        nothing = searcher.best
        assert nothing is None
        archs = searcher.ask(3)
        assert not {a for row in asked for a in row} & set(archs)
        searcher.tell(archs, [np.nan, -0.5, -0.7])
        assert searcher.best == (archs[1], -0.5)

        def patchy(archs: Sequence[Arch]) -> Array:
            return np.where([a.genes[0] == 0 for a in archs], np.nan, _worth(archs))

        searcher = make(pooled, 2)
        asked = self.run(searcher, 10, 2, patchy)
        values = patchy([a for row in asked for a in row])
        assert searcher.best is not None
        assert searcher.best[1] == np.nanmax(values)

    @pytest.mark.parametrize("value", [0.0, -3.5, 1e-300, 1e12])
    def test_equal_values_are_no_trouble(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem, value: float
    ) -> None:
        """Whatever their size."""
        searcher = make(pooled, 4)
        self.run(searcher, 8, 2, lambda archs: np.full(len(archs), value))
        assert searcher.best is not None
        assert searcher.best[1] == value
        assert not np.isinf(searcher.predict(pooled.pool)).any()

    def test_trials_of_elsewhere_count(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """What was told without being asked is never asked."""
        searcher = make(pooled, 5)
        inside = [a for a, ok in zip(pooled.pool, _even(pooled.pool), strict=True) if ok][:4]
        outside = [a for a in pooled.space.enumerate() if a not in pooled.pool][:2]
        searcher.tell([*inside, *outside], _worth([*inside, *outside]))
        rest = searcher.ask(100)
        assert not {*inside, *outside} & set(rest)
        assert searcher.best is not None

    def test_scores_that_say_nothing(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """All NaN, constant or infinite scores: the pool is still searched to its end."""
        n = len(pooled.pool)
        unknown: Array = np.full(n, np.nan)
        mixed = np.where(np.arange(n) % 2, np.inf, -np.inf)
        cases: tuple[dict[str, Array], ...] = (
            {"nan": unknown},
            {"constant": np.ones(n), "nan": unknown},
            {"infinite": mixed, "one": np.where(np.arange(n) == 0, 1.0, np.nan)},
            {"huge": np.linspace(0, 1e300, n)},
        )
        for scores in cases:
            searcher = make(Problem(pooled.space, pooled.pool, scores, _even), 6)
            asked = [a for row in self.run(searcher, 20, 3) for a in row]
            assert set(asked) == {a for a in pooled.pool if _even([a])[0]}

    def test_a_whole_space_is_searched_without_a_pool(
        self, make: Callable[[Problem, int], Searcher], searcher: str
    ) -> None:
        """To its last feasible architecture; one that needs a pool says so."""
        space = ContractSpace(decisions=3)
        cls = searchers[searcher]
        if cls.needs_pool or cls.needs_scores:
            with pytest.raises(SearchError):
                make(Problem(space), 0)
            return
        proposed = [
            a for row in self.run(make(Problem(space, feasible=_even), 0), 12, 3) for a in row
        ]
        assert len(proposed) == len(set(proposed)) == 32
        assert _even(proposed).all()
        with pytest.raises(NoFeasibleArchError, match="64"):
            make(Problem(space, feasible=_nothing), 0).ask(1)

    def test_a_pool_without_a_feasible_member_is_exhausted(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """Nothing is asked for."""
        searcher = make(Problem(pooled.space, pooled.pool, pooled.scores, _nothing), 0)
        assert searcher.ask(3) == []

    def test_wrong_tells_are_refused(
        self, make: Callable[[Problem, int], Searcher], pooled: Problem
    ) -> None:
        """And change nothing: lengths, infinite values, a trial told twice, asks below one."""
        searcher = make(pooled, 7)
        archs = searcher.ask(2)
        for wrong in ([0.5], [0.5, np.inf], [0.5, -np.inf], [[0.5, 0.5]]):
            with pytest.raises(SearchError):
                searcher.tell(archs, wrong)
        with pytest.raises(SearchError, match="before"):
            searcher.tell([archs[0], archs[0]], [0.1, 0.2])
        nothing = searcher.best
        assert nothing is None
        searcher.tell(archs, [0.1, 0.2])
        with pytest.raises(SearchError, match="before"):
            searcher.tell(archs[:1], [0.3])
        with pytest.raises(SearchError):
            searcher.ask(0)
        assert searcher.best == (archs[1], 0.2)

    def test_it_beats_random_draws_on_an_easy_problem(
        self, make: Callable[[Problem, int], Searcher]
    ) -> None:
        """Mean best of 60 trials over five seeds; separable, 1,024 architectures."""
        if not self.beats_random:
            pytest.skip("makes no such claim")
        space = ContractSpace()
        pool = tuple(space.enumerate())
        worth = _worth(pool)
        best = np.zeros((5, 2))
        for seed in range(5):
            rng = np.random.default_rng(seed)
            scores = {
                "rough": worth + 0.15 * rng.standard_normal(len(pool)),
                "useless": rng.standard_normal(len(pool)),
            }
            problem = Problem(space, pool, scores, any_arch)
            uniform = searchers["random"](problem, np.random.default_rng(seed))
            for column, searcher in enumerate((make(problem, seed), uniform)):
                self.run(searcher, 60)
                best[seed, column] = searcher.best[1] if searcher.best else 0.0
        mine, chance = best.mean(axis=0)
        assert mine > chance
