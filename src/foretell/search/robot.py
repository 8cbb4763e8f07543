"""RoBoT's question, which weights of the proxies rank this pool best, asked of every trial."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.gaussian.pool import PoolProcess
from foretell.metrics import normal_scores
from foretell.search._base import Problem, Searcher, searcher
from foretell.types import Array

__all__ = ["RobotSearch"]

_TRUST = 0.5
"""Spread of the prior mean: how much the plain sum of the proxies is believed before any trial."""


@searcher("robot", reference="after He et al., ICLR 2024 (RoBoT)")
class RobotSearch(Searcher):
    """A weighted sum of proxies, its weights learned from all trials, under an upper bound.

    The value of an architecture with normalised proxies z is modelled as
    ``w . z + r(z)``: weights w with a Gaussian prior around equal positive ones, and a Matern 5/2
    residual r. Both are one Gaussian process over the pool's proxies, solved exactly. Each time
    the architecture of highest ``mean + kappa * std`` is asked for. The first one is therefore
    the favourite of the plain sum, not a random one, and no budget has to be known beforehand.

    Args:
        problem: a pool and its scores; a proxy without two different scores is left out.
        rng: the searcher's own stream; drawn from only if no proxy is left.
        kappa: weight of the standard deviation, >= 0; 0 only exploits.

    Raises:
        SearchError: no pool, no scores, or kappa < 0.

    Reference:
        He, Dai, Tan, Low, Zhang: Robustifying and boosting training-free neural architecture
        search, ICLR 2024. Several trials in flight: Desautels et al., JMLR 2014 (GP-BUCB).

    Differs:
        The authors model what a weight vector is worth by the trial that its sum ranks first, which
        uses one number of each trial and starts blind; here every trial informs the weights. See
        ``PublishedRobotSearch`` for their algorithm, and the documentation for both in figures.
    """

    needs_pool = True
    needs_scores = True

    def __init__(self, problem: Problem, rng: Generator, *, kappa: float = 1.0) -> None:
        """Normalise the scores over the whole pool, once."""
        super().__init__(problem, rng)
        if not kappa >= 0:
            raise SearchError(f"Expected kappa >= 0, but got {kappa}.")
        self.kappa = kappa
        columns = [normal_scores(np.asarray(v, float)) for v in problem.scores.values()]
        kept = [(c - c.mean()) / c.std() for c in columns if c.std() > 0]
        self._process = PoolProcess(np.stack(kept, axis=1)) if kept else None
        total = np.sum(kept, axis=0) if kept else np.zeros(len(problem.pool))
        spread = float(total.std())
        self._prior = total * (_TRUST / spread if spread > 0 else 0.0)
        self._index = {a: i for i, a in enumerate(problem.pool)}
        self._free = np.array([a in self._places for a in problem.pool])

    def _ask(self, n: int) -> list[Arch]:
        if self._process is None:
            return []
        free = self._free.copy()
        free[[self._index[a] for a in self._asked if a in self._index]] = False
        places = [*self._known()[0], *self._broken(), *(self._index[a] for a in self.pending)]
        asked: list[Arch] = []
        mean = self._mean(self._process)
        while len(asked) < n and free.any():
            # Rounding leaves equal networks equal, whatever the order of additions.
            bound = np.round(mean + self.kappa * self._process.std(places), 9)
            pick = int(np.argmax(np.where(free, bound, -np.inf)))
            free[pick] = False
            places.append(pick)
            asked.append(self.problem.pool[pick])
        return asked

    def _known(self) -> tuple[list[int], Array]:
        """Places and values of the finished trials that lie in the pool."""
        pairs = [(self._index[a], v) for a, v in self.values.items() if a in self._index]
        pairs = [(i, v) for i, v in pairs if not math.isnan(v)]
        return [i for i, _ in pairs], np.array([v for _, v in pairs])

    def _mean(self, process: PoolProcess) -> Array:
        """Posterior mean over the pool, in standard units of the values told, (pool,)."""
        places, values = self._known()
        target = (values - values.mean()) / (values.std() or 1.0) if places else np.zeros(0)
        if broken := self._broken():
            level = float(target.min(initial=0.0)) - 1.0
            places = [*places, *broken]
            target = np.concatenate([target, np.full(len(broken), level)])
        if not places:
            return self._prior
        return self._prior + process.mean(places, target - self._prior[places])

    def _broken(self) -> list[int]:
        """Places of those that broke a constraint: worse by one unit than the worst value told."""
        return [self._index[a] for a in self.infeasible if a in self._index]

    def _predict(self, archs: Sequence[Arch]) -> Array:
        """Posterior mean in the unit of the values; NaN before two values are known."""
        _, values = self._known()
        if len(values) < 2 or self._process is None:
            return np.full(len(archs), np.nan)
        expected = values.mean() + (values.std() or 1.0) * self._mean(self._process)
        return np.array([expected[self._index[a]] if a in self._index else np.nan for a in archs])
