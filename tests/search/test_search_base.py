"""What the base class promises to searchers and to those who ask them."""

import subprocess
import sys

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.errors import ArchError, DuplicateNameError, SearchError, UnknownNameError
from foretell.search import Problem, RandomSearch, Searcher, searcher, searchers


class Fixed(Searcher):
    """Proposes what a test tells it to."""

    proposals: tuple[Arch, ...] = ()

    def _ask(self, n):
        return list(self.proposals)


def fixed(problem, *proposals):
    found = Fixed(problem, np.random.default_rng(0))
    found.proposals = proposals
    return found


def arch(*genes):
    return Arch("contract", genes)


A, B, C = arch(0, 0, 0, 0, 0), arch(1, 0, 0, 0, 0), arch(2, 0, 0, 0, 0)


def test_the_registry_knows_facts_and_papers():
    assert {"random", "local", "evolution", "robot", "robot-published"} <= set(searchers)
    for entry in searchers.entries():
        cls = entry.load()
        if not cls.__module__.startswith("foretell.search."):
            continue  # a plug-in that another test registered
        assert entry.facts["needs_pool"] == cls.needs_pool
        assert entry.facts["needs_scores"] == cls.needs_scores
        assert entry.summary
        assert entry.reference
    assert {"robot", "robot-published"} <= set(searchers.names(needs_scores=True))
    assert "random" not in searchers.names(needs_scores=True)
    with pytest.raises(UnknownNameError, match="did you mean robot"):
        searchers["robto"]
    with pytest.raises(DuplicateNameError):
        searcher("random")(Fixed)


def test_wrong_proposals_are_dropped_and_short_ones_filled_up(space):
    pool = (A, B, C)
    greedy = fixed(Problem(space, pool), A, A, arch(3, 3, 3, 3, 3), B)
    assert greedy.ask(1) == [A]
    assert greedy.ask(1) == [B]
    assert greedy.ask(5) == [C]
    assert greedy.ask(5) == []
    picky = fixed(Problem(space, pool, feasible=lambda x: np.array([a != A for a in x])), A, B)
    assert sorted(picky.ask(3)) == [B, C]
    free = fixed(Problem(space), A, A)
    first = free.ask(3)
    assert first[0] == A
    assert len(set(first)) == 3
    assert A not in free.ask(3)


def test_more_proposals_than_asked_for_stay_open(space):
    many = fixed(Problem(space), A, B, C)
    assert many.ask(2) == [A, B]
    assert many.pending == (A, B)
    assert many.open([A, B, C, C]) == [C]
    assert many.ask(1) == [C]


def test_values_best_and_pending(space):
    one = fixed(Problem(space), A, B, C)
    assert one.best is None
    archs = one.ask(3)
    one.tell([archs[1]], [np.nan])
    assert one.best is None
    assert one.pending == (A, C)
    one.tell([A, C], [0.5, 0.5])
    assert one.best == (A, 0.5)
    assert one.pending == ()
    assert list(one.values) == [B, A, C]
    with pytest.raises(TypeError):
        one.values[A] = 1.0
    assert np.isnan(one.predict([A, B])).all()
    one.tell([], [])


def test_archs_of_other_spaces_are_refused(space):
    one = fixed(Problem(space), A)
    for wrong in (Arch("nb201", (0, 0, 0, 0, 0, 0)), arch(9, 0, 0, 0, 0)):
        with pytest.raises(ArchError):
            one.tell([wrong], [0.5])
    assert one.best is None


def test_problems_are_checked(space):
    with pytest.raises(SearchError, match="'p'"):
        Problem(space, (A, B), {"p": np.zeros(3)})
    with pytest.raises(SearchError, match="'p'"):
        Problem(space, (), {"p": np.zeros(3)})
    with pytest.raises(SearchError, match="twice"):
        Problem(space, (A, A))
    wrong = Problem(space, (A, B), feasible=lambda archs: np.array([True]))
    with pytest.raises(SearchError, match="feasibility of 2"):
        RandomSearch(wrong, np.random.default_rng(0))
    with pytest.raises(SearchError, match="pool"):
        searchers["robot"](Problem(space), np.random.default_rng(0))
    with pytest.raises(SearchError, match="proxy"):
        searchers["robot"](Problem(space, (A, B)), np.random.default_rng(0))


def test_feasibility_of_a_pool_is_asked_once(space):
    asked = []

    def feasible(archs):
        asked.append(len(archs))
        return np.ones(len(archs), dtype=bool)

    one = RandomSearch(Problem(space, (A, B, C), feasible=feasible), np.random.default_rng(0))
    while found := one.ask(1):
        one.tell(found, [0.0])
    assert asked == [3]


def test_random_draws_are_uniform(space):
    pool = tuple(space.enumerate())[:8]
    first = [
        RandomSearch(Problem(space, pool), np.random.default_rng(s)).ask()[0] for s in range(800)
    ]
    counts = np.array([first.count(a) for a in pool])
    assert counts.min() > 60
    assert counts.max() < 140


def test_importing_searchers_loads_neither_torch_nor_scipy():
    code = (
        "import sys, foretell.search; "
        "print([m for m in ('torch', 'scipy', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
