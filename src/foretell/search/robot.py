"""RoBoT: Bayesian optimisation of the weights with which proxies rank the pool."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from foretell.arch import Arch
from foretell.metrics import ranks
from foretell.search._base import Problem, Searcher, searcher
from foretell.search._gaussian import fit_gaussian_process
from foretell.types import Array

__all__ = ["RobotSearch"]


@searcher("robot", reference="He et al., ICLR 2024")
class RobotSearch(Searcher):
    """First form."""

    needs_pool = True
    needs_scores = True

    def __init__(self, problem: Problem, rng: Generator) -> None:
        """Normalise the scores once."""
        super().__init__(problem, rng)
        self._metrics = np.stack([_by_rank(np.asarray(v, float)) for v in problem.scores.values()])
        self._probed: list[tuple[Array, int]] = []
        self._turn = 0

    def _ask(self, n: int) -> list[Arch]:
        asked: list[Arch] = []
        free = np.array([a in self._places and a not in self._asked for a in self.problem.pool])
        while len(asked) < n and free.any():
            self._turn += 1
            weights = self._next_weights()
            score = np.where(free, weights @ self._metrics, -np.inf)
            pick = int(np.argmax(score))
            self._probed.append((weights, pick))
            free[pick] = False
            asked.append(self.problem.pool[pick])
        return asked

    def _next_weights(self) -> Array:
        m = len(self._metrics)
        if self._turn == 1:
            return np.ones(m)
        known = [
            (w, self.values[a])
            for w, i in self._probed
            if not math.isnan(self.values.get(a := self.problem.pool[i], math.nan))
        ]
        if not known or self._turn == 2:
            return np.asarray(self.rng.uniform(-1, 1, m))
        x, y = np.array([w for w, _ in known]), np.array([v for _, v in known])
        if self._turn % 2:
            return np.asarray(x[len(y) - 1 - int(np.argmax(y[::-1]))])
        model = fit_gaussian_process(x, y)
        candidates = self.rng.uniform(-1, 1, (1000, m))
        mean, std = model.predict(candidates)
        return np.asarray(candidates[int(np.argmax(mean + 2.576 * std))])

    def _predict(self, archs: Sequence[Arch]) -> Array:
        places = {a: i for i, a in enumerate(self.problem.pool)}
        known = [(w, self.values.get(self.problem.pool[i], math.nan)) for w, i in self._probed]
        known = [(w, v) for w, v in known if not math.isnan(v)]
        weights = max(known, key=lambda p: p[1])[0] if known else np.ones(len(self._metrics))
        score = weights @ self._metrics
        return np.array([score[places[a]] if a in places else math.nan for a in archs])


def _by_rank(values: Array) -> Array:
    out = np.zeros(len(values))
    known = ~np.isnan(values)
    if known.sum() > 1:
        out[known] = ranks(values[known]) / (known.sum() - 1) - 0.5
    return out
