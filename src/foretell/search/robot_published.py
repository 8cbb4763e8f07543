"""RoBoT as its authors run it: Bayesian optimisation over weights, judged by their argmax."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.gaussian.regression import GaussianProcess, fit_gaussian_process
from foretell.search._base import Problem, Searcher, searcher
from foretell.search._normalise import NORMALISATIONS
from foretell.types import Array

__all__ = ["PublishedRobotSearch"]

_DRAWS, _STARTS = 10_000, 10


@searcher("robot-published", reference="He et al., ICLR 2024, algorithm 1")
class PublishedRobotSearch(Searcher):
    """Weights in [-1, 1], one per proxy; a weight vector is worth what its favourite is worth.

    Exploration draws the first weights at random and then maximises an upper confidence bound over
    weights. A weight vector whose favourite is known already costs no trial. Exploitation takes the
    best weights (the last among equals) and trains the rest of the pool in their order.

    Args:
        problem: a pool and its scores.
        rng: the searcher's own stream of randomness.
        explore: weight vectors tried before exploitation, >= 1; the authors take the budget.
        kappa: weight of the standard deviation in the bound.
        normalise: "min-max" as the authors, "rank" or "normal".

    Raises:
        SearchError: no pool, no scores, ``explore`` < 1, or an unknown normalisation.

    Reference:
        He, Dai, Tan, Low, Zhang: Robustifying and boosting training-free neural architecture
        search, ICLR 2024; hzf1174/RoBoT at ead6c2f.

    Differs:
        The length scale is found by a grid and a golden section instead of restarts. With several
        trials in flight, those are believed to be worth what the process expects of them.
    """

    needs_pool = True
    needs_scores = True

    def __init__(
        self,
        problem: Problem,
        rng: Generator,
        *,
        explore: int = 20,
        kappa: float = 2.576,
        normalise: str = "min-max",
    ) -> None:
        """Normalise the scores over the whole pool, once."""
        super().__init__(problem, rng)
        if explore < 1 or normalise not in NORMALISATIONS:
            raise SearchError(
                f"Expected explore >= 1 and a normalisation of {', '.join(NORMALISATIONS)}, but "
                f"got {explore} and {normalise!r}."
            )
        self.explore, self.kappa = explore, kappa
        scale = NORMALISATIONS[normalise]
        self._scores = np.stack([scale(np.asarray(v, float)) for v in problem.scores.values()])
        self._index = {a: i for i, a in enumerate(problem.pool)}
        self._allowed = np.array([a in self._places for a in problem.pool])
        self._probes: list[tuple[Array, Arch]] = []

    def _ask(self, n: int) -> list[Arch]:
        asked: list[Arch] = []
        while len(asked) < n and len(self._probes) < self.explore and self._allowed.any():
            weights = self._next_weights()
            favourite = self.problem.pool[int(self._order(weights)[0])]
            self._probes.append((weights, favourite))
            if favourite not in self._asked and favourite not in asked:
                asked.append(favourite)
        best = self._best_weights()
        if len(asked) < n and best is not None:
            ranked = (self.problem.pool[i] for i in self._order(best))
            asked += [a for a in ranked if a not in self._asked and a not in asked]
        return asked[:n]

    def _order(self, weights: Array) -> NDArray[np.intp]:
        """Places of the pool, best first, the first of equals first; infeasible ones last."""
        score = np.where(self._allowed, weights @ self._scores, -np.inf)
        return np.argsort(-score, kind="stable")

    def _judged(self) -> list[tuple[Array, float]]:
        """Weights whose favourite's value is known, and that value."""
        told = [(w, self.values.get(a, math.nan)) for w, a in self._probes]
        return [(w, v) for w, v in told if not math.isnan(v)]

    def _best_weights(self) -> Array | None:
        judged = self._judged()
        if not judged:
            return None
        top = max(v for _, v in judged)
        return [w for w, v in judged if v == top][-1]

    def _next_weights(self) -> Array:
        m = len(self._scores)
        judged = self._judged()
        if not judged:
            return np.asarray(self.rng.uniform(-1, 1, m))
        x, y = np.array([w for w, _ in judged]), np.array([v for _, v in judged])
        model = fit_gaussian_process(x, y)
        flying = [w for w, a in self._probes if a not in self.values]
        if flying:
            more = np.array(flying)
            x, y = np.concatenate([x, more]), np.concatenate([y, model.predict(more)[0]])
            model = fit_gaussian_process(x, y)
        return self._maximise(model)

    def _maximise(self, model: GaussianProcess) -> Array:
        """The weights of highest upper bound: many draws, and ascents from a few more."""
        from scipy.optimize import minimize

        m = len(self._scores)
        draws = self.rng.uniform(-1, 1, (_DRAWS, m))
        mean, std = model.predict(draws)
        bound = mean + self.kappa * std
        found, best = draws[int(np.argmax(bound))], float(bound.max())

        def loss(x: Array) -> tuple[float, Array]:
            value, gradient = model.upper_bound(x, self.kappa)
            return -value, -gradient

        for start in self.rng.uniform(-1, 1, (_STARTS, m)):
            ascent = minimize(loss, start, jac=True, bounds=[(-1, 1)] * m, method="L-BFGS-B")
            if -float(ascent.fun) >= best:
                found, best = np.clip(ascent.x, -1, 1), -float(ascent.fun)
        return np.asarray(found, dtype=np.float64)

    def _predict(self, archs: Sequence[Arch]) -> Array:
        """The weighted sum of the best weights, in no unit; NaN before any value."""
        weights = self._best_weights()
        if weights is None:
            return np.full(len(archs), np.nan)
        score = weights @ self._scores
        return np.array([score[self._index[a]] if a in self._index else np.nan for a in archs])
