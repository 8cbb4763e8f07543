"""Support vector regression; it needs the extra ``trees``, which brings scikit-learn."""

from typing import Any

import numpy as np
from numpy.random import Generator

from foretell.encodings import Encodings
from foretell.errors import MissingExtraError, PredictorError
from foretell.gaussian.kernels import squared_distances
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.shared.folds import folds
from foretell.predictors.shared.targets import UnitTarget
from foretell.types import Array

__all__ = ["SVR"]

_FOLDS = 3
_TOLERANCE = 1e-4


@predictors.add(
    "svr",
    family="kernel",
    extra="trees",
    reference="Drucker et al., Support Vector Regression Machines, NeurIPS 1997; "
    "Schoelkopf et al., New Support Vector Algorithms, Neural Computation 2000",
)
class SVR(Predictor):
    """Support vector regression (nu-SVR) with a Gaussian kernel.

    The kernel is exp(-gamma d^2 / m), d the distance of two architectures in scaled columns and m
    the median of d^2 between labelled ones.

    Args:
        cost: C, the penalty of errors outside the tube.
        gamma: inverse width of the kernel.
        nu: upper bound of the share of labelled architectures outside the tube.
        trials: random configurations of the three that are tried as well; the one with the lowest
            squared error in three-fold cross-validation is used.
        normal_target: whether to transform values to normal quantiles.
        seed: of trials and folds.
    """

    def __init__(
        self,
        cost: float = 10.0,
        gamma: float = 0.3,
        nu: float = 0.5,
        trials: int = 0,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        self.cost, self.gamma, self.nu = cost, gamma, nu
        self.trials, self.normal_target, self.seed = trials, normal_target, seed

    def _fit(self, encodings: Encodings, y: Array) -> None:
        if not (self.cost > 0 and self.gamma > 0 and 0 < self.nu <= 1):
            raise PredictorError(
                f"Expected cost and gamma above 0 and nu in (0, 1], but got {self.cost}, "
                f"{self.gamma} and {self.nu}."
            )
        self.target_ = UnitTarget.of(y, self.normal_target)
        t = self.target_.transform(y)
        self.scales_, self.rows_ = encodings.scales, encodings.scaled()
        square = squared_distances(self.rows_, self.rows_)
        apart = square[square > 1e-9]
        self.typical_ = float(np.median(apart)) if len(apart) else 1.0
        self.chosen_ = (self.cost, self.gamma, self.nu)
        if self.trials:
            rng = np.random.default_rng(self.seed)
            self.chosen_ = self._search(square / self.typical_, t, rng)
        self.machine_ = _machine(square / self.typical_, t, self.chosen_)

    def _predict(self, encodings: Encodings) -> Prediction:
        square = squared_distances(encodings.scaled(self.scales_), self.rows_) / self.typical_
        return self.target_.prediction(self.machine_.predict(np.exp(-self.chosen_[1] * square)))

    def _search(self, square: Array, t: Array, rng: Generator) -> tuple[float, float, float]:
        """The best of the given cost, gamma and nu and random ones, by cross-validation."""
        candidates = [(self.cost, self.gamma, self.nu)]
        for _ in range(self.trials):
            cost, gamma = 10 ** rng.uniform(-1, 2), 10 ** rng.uniform(-2, 0)
            candidates.append((float(cost), float(gamma), float(rng.uniform(0.1, 0.9))))
        parts = list(folds(len(t), _FOLDS, rng))

        def error(choice: tuple[float, float, float]) -> float:
            squared_error = 0.0
            for train_idx, val_idx in parts:
                machine = _machine(square[np.ix_(train_idx, train_idx)], t[train_idx], choice)
                predicted = machine.predict(np.exp(-choice[1] * square[np.ix_(val_idx, train_idx)]))
                squared_error += float(((predicted - t[val_idx]) ** 2).sum())
            return squared_error

        return min(candidates, key=error)


def _machine(square: Array, t: Array, choice: tuple[float, float, float]) -> Any:
    """A fitted nu-SVR on squared distances (n, n)."""
    try:
        from sklearn.svm import NuSVR
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "trees", "The predictor svr") from error
    cost, gamma, nu = choice
    machine = NuSVR(kernel="precomputed", C=cost, nu=nu, tol=_TOLERANCE)
    return machine.fit(np.exp(-gamma * square), t)
