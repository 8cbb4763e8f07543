"""Regularised evolution: a queue in which the oldest, not the worst, makes room."""

import math
from collections import deque
from collections.abc import Sequence

from numpy.random import Generator

from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.search._base import Problem, Searcher, searcher
from foretell.types import Array

__all__ = ["EvolutionSearch"]


@searcher("evolution", reference="Real et al., AAAI 2019")
class EvolutionSearch(Searcher):
    """Mutations of tournament winners from the most recent trials.

    Args:
        problem: where to search; with a pool, mutations outside it are left out.
        rng: the searcher's own stream of randomness.
        population: how many of the latest finished trials may be parents, >= 2.
        tournament: how many of them compete for each child, >= 1.

    Raises:
        SearchError: a size is too small.

    Reference:
        Real, Aggarwal, Huang, Le: Regularized evolution for image classifier architecture search,
        AAAI 2019. Sizes of 10 and 3 are those of the NAS-Bench-201 paper for small budgets
        (there 100 and 25).

    Differs:
        A child that is known already is not trained again: another mutation is taken, and where a
        parent has none left, a mutation of a mutation. Failed trials never become parents.
    """

    def __init__(
        self, problem: Problem, rng: Generator, *, population: int = 10, tournament: int = 3
    ) -> None:
        """Start with an empty population."""
        super().__init__(problem, rng)
        if population < 2 or tournament < 1:
            raise SearchError(
                f"Expected a population of at least 2 and a tournament of at least 1, but got "
                f"{population} and {tournament}."
            )
        self.population, self.tournament = population, tournament
        self._parents: deque[Arch] = deque(maxlen=population)
        self._drawn = 0

    def _ask(self, n: int) -> list[Arch]:
        asked: list[Arch] = []
        if self._drawn < self.population:
            asked = self.draw(min(n, self.population - self._drawn))
            self._drawn += len(asked) or self.population
        while len(asked) < n and self._parents:
            child = self._child(asked)
            if child is None:
                break
            asked.append(child)
        return asked

    def _child(self, taken: Sequence[Arch]) -> Arch | None:
        """A new mutation of a tournament's winner; None if two edits lead to nothing new."""
        size = min(self.tournament, len(self._parents))
        entrants = self.rng.choice(len(self._parents), size=size, replace=False)
        parent = max((self._parents[i] for i in entrants), key=lambda a: self.values[a])
        near = self._shuffled(parent)
        for arch in near:
            if arch not in taken and self.open([arch]):
                return arch
        for middle in near[: self.population]:
            for arch in self._shuffled(middle):
                if arch not in taken and self.open([arch]):
                    return arch
        return None

    def _shuffled(self, arch: Arch) -> list[Arch]:
        near = self.problem.space.neighbors(arch)
        return [near[i] for i in self.rng.permutation(len(near))]

    def _tell(self, archs: Sequence[Arch], values: Array) -> None:
        self._parents.extend(
            a for a, v in zip(archs, values.tolist(), strict=True) if not math.isnan(v)
        )
