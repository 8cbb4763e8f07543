"""Local search: climb to the best neighbor, start anew on each peak."""

import math
from collections.abc import Sequence

from numpy.random import Generator

from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.search._base import Problem, Searcher, searcher
from foretell.types import Array

__all__ = ["LocalSearch"]


@searcher("local", reference="White et al., UAI 2021")
class LocalSearch(Searcher):
    """Hill climbing over one-edit neighbors with restarts.

    Starts from the best of a few uniform draws and asks for its neighbors in random order. It moves
    as soon as a neighbor is better (with ``first=False`` to the best one when all are known). Where
    no neighbor is better it starts again from a new draw.

    Args:
        problem: where to search; with a pool, neighbors outside it are left out.
        rng: the searcher's own stream of randomness.
        initial: uniform draws before the first climb, >= 1.
        first: whether the first better neighbor is taken.

    Raises:
        SearchError: ``initial`` is below 1.

    Reference:
        White, Nolen, Savani: Exploring the loss landscape in neural architecture search, UAI 2021.

    Differs:
        Several neighbors may be in flight; while only those of the present climb are missing,
        uniform draws are asked for instead of waiting.
    """

    def __init__(
        self, problem: Problem, rng: Generator, *, initial: int = 10, first: bool = True
    ) -> None:
        """Start without a centre."""
        super().__init__(problem, rng)
        if initial < 1:
            raise SearchError(f"Expected at least 1 initial draw, but got {initial}.")
        self.initial, self.first = initial, first
        self._centre: Arch | None = None
        self._around: list[Arch] = []
        self._climb: dict[Arch, None] = {}
        self._drawn = 0

    def _ask(self, n: int) -> list[Arch]:
        if self._drawn < self.initial:
            asked = self.draw(min(n, self.initial - self._drawn))
            self._drawn += len(asked) or self.initial
        else:
            asked = self._climb_on(n)
        self._climb.update(dict.fromkeys(asked))
        return asked

    def _climb_on(self, n: int) -> list[Arch]:
        waiting = any(a not in self.values for a in self._climb)
        around = self.open(self._around)
        if self.first or not (around or waiting):
            around = self._move() or around
        if around:
            return around[:n]
        if waiting:
            return []
        self._centre, self._around, self._climb = None, [], {}
        return self.draw(1)

    def _move(self) -> list[Arch]:
        """Step to the climb's best, if it is better than the centre; its open neighbors."""
        told = [a for a in self._climb if not math.isnan(self.values.get(a, math.nan))]
        best = max(told, key=lambda a: self.values[a], default=None)
        if best is None or (
            self._centre is not None and self.values[best] <= self.values[self._centre]
        ):
            return []
        self._centre = best
        near = self.open(self.problem.space.neighbors(best))
        self._around = [near[i] for i in self.rng.permutation(len(near))]
        return self._around

    def _tell(self, archs: Sequence[Arch], values: Array) -> None:
        if self._centre is None:
            self._climb.update(dict.fromkeys(archs))
