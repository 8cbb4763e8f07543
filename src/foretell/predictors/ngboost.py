"""Natural-gradient boosting of a normal distribution; it needs the extra ``trees``."""

from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.encodings import Encodings
from foretell.errors import MissingExtraError, PredictorError
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.shared.folds import folds
from foretell.predictors.shared.targets import UnitTarget
from foretell.types import Array

__all__ = ["NGBoost", "natural_gradient"]

_LONGEST, _SHORTEST = 256.0, 1 / 1024
"""Bounds of the line search."""
_LEAST_LOG_STD = -7.0
"""For values of variance 1."""
_WITHIN_ONE = 0.6827
"""Share of a normal distribution within one standard deviation."""

Columns: TypeAlias = NDArray[np.float32]
Step: TypeAlias = tuple[list[Any], float]
"""Trees for mean and log standard deviation, and how far to go."""


def natural_gradient(y: Array, normal: Array) -> Array:
    """Gradient of the negative log density of a normal, by the inverse of its Fisher matrix.

    The Fisher matrix of mean and log standard deviation is diag(1 / std^2, 2), so that the gradient
    ((mean - y) / std^2, 1 - (y - mean)^2 / std^2) becomes (mean - y, half of the second).

    Args:
        y: (n,) values.
        normal: (n, 2) mean and log standard deviation.

    Returns:
        (n, 2), by mean and by log standard deviation.
    """
    away = normal[:, 0] - y
    return np.stack([away, 0.5 * (1 - (away * np.exp(-normal[:, 1])) ** 2)], axis=1)


@predictors.add(
    "ngboost",
    family="trees",
    extra="trees",
    reference="Duan et al., NGBoost, ICML 2020, algorithm 1",
)
class NGBoost(Predictor):
    """Boosted trees for the mean and the log standard deviation of a normal distribution.

    Each round fits a tree to the natural gradient of each parameter on a random subset of the
    architectures, finds the step by a line search on the likelihood of the subset, and takes the
    share ``lr`` of it.

    Differs from the paper: values are scaled, by default as normal quantiles; the log standard
    deviation stays above -7, and is calibrated at the end on held-out architectures, since trees
    that fit the training data are far too confident.

    Args:
        trees: boosting rounds of two trees each.
        lr: learning rate, the share of the step of the line search.
        depth: maximum depth of a tree.
        min_samples_leaf: minimum number of labelled architectures in a leaf.
        columns: share of the columns considered at each split.
        rows: share of the architectures used in each round.
        folds: of the calibration of the standard deviation; 0 for none.
        normal_target: whether to transform values to normal quantiles.
        seed: of rows, columns and folds.
    """

    def __init__(
        self,
        trees: int = 200,
        lr: float = 0.08,
        depth: int = 4,
        min_samples_leaf: int = 3,
        columns: float = 0.5,
        rows: float = 0.5,
        folds: int = 3,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        self.trees, self.lr, self.depth, self.min_samples_leaf = trees, lr, depth, min_samples_leaf
        self.columns, self.rows, self.folds = columns, rows, folds
        self.normal_target, self.seed = normal_target, seed

    def _fit(self, encodings: Encodings, y: Array) -> None:
        if not (0 < self.rows <= 1 and 0 < self.columns <= 1):
            raise PredictorError(
                f"Expected shares of rows and columns in (0, 1], but got {self.rows} and "
                f"{self.columns}."
            )
        rng = np.random.default_rng(self.seed)
        self.target_ = UnitTarget.of(y, self.normal_target)
        t, x = self.target_.transform(y), encodings.matrix().astype(np.float32)
        self.steps_ = self._boost(x, t, rng)
        self.widening_, self.held_out_ = 1.0, None
        if self.folds:
            normal = np.empty((len(t), 2))
            for train_idx, val_idx in folds(len(t), self.folds, rng):
                normal[val_idx] = _after(self._boost(x[train_idx], t[train_idx], rng), x[val_idx])
            std = np.exp(normal[:, 1])
            z_quantile = float(np.quantile(np.abs(t - normal[:, 0]) / std, _WITHIN_ONE))
            self.widening_ = z_quantile or 1.0
            self.held_out_ = self.target_.prediction(normal[:, 0], self.widening_ * std)

    def held_out(self) -> Prediction | None:
        """Cross-validated predictions for the training architectures; None without folds."""
        return self.held_out_

    def _predict(self, encodings: Encodings) -> Prediction:
        normal = _after(self.steps_, encodings.matrix().astype(np.float32))
        return self.target_.prediction(normal[:, 0], self.widening_ * np.exp(normal[:, 1]))

    def _boost(self, x: Columns, t: Array, rng: Generator) -> list[Step]:
        """The trees and the step of every round."""
        normal = np.zeros((len(t), 2))
        part = min(max(2, round(self.rows * len(t))), len(t))
        steps = []
        for _ in range(self.trees):
            rows = rng.choice(len(t), part, replace=False)
            trees = self._grow(x[rows], natural_gradient(t[rows], normal[rows]), rng)
            direction = _predicted(trees, x)
            length = self.lr * _line_search(t[rows], normal[rows], direction[rows])
            steps.append((trees, length))
            normal = _moved(normal, direction, length)
        return steps

    def _grow(self, x: Columns, gradient: Array, rng: Generator) -> list[Any]:
        """A tree for each column of the gradient."""
        try:
            from sklearn.tree import DecisionTreeRegressor
        except ImportError as error:
            raise MissingExtraError("scikit-learn", "trees", "The predictor ngboost") from error
        trees = []
        for target in gradient.T:
            tree = DecisionTreeRegressor(
                max_depth=self.depth,
                min_samples_leaf=self.min_samples_leaf,
                max_features=self.columns,
                random_state=int(rng.integers(2**31)),
            )
            trees.append(tree.fit(x, target, check_input=False).tree_)
        return trees


def _after(steps: list[Step], x: Columns) -> Array:
    """Mean and log standard deviation after all rounds, (n, 2)."""
    normal = np.zeros((len(x), 2))
    for trees, length in steps:
        normal = _moved(normal, _predicted(trees, x), length)
    return normal


def _predicted(trees: list[Any], x: Columns) -> Array:
    return np.concatenate([tree.predict(x) for tree in trees], axis=1)


def _moved(normal: Array, direction: Array, length: float) -> Array:
    """Mean and log standard deviation after a step."""
    moved = normal - length * direction
    moved[:, 1] = np.maximum(moved[:, 1], _LEAST_LOG_STD)
    return moved


def _line_search(y: Array, normal: Array, direction: Array) -> float:
    """Step size: doubled while the negative log density falls, or halved until it does."""

    def loss(length: float) -> float:
        mean, log_std = (normal - length * direction).T
        return float((log_std + 0.5 * ((y - mean) * np.exp(-log_std)) ** 2).mean())

    length, least, start = 1.0, loss(1.0), loss(0.0)
    while length < _LONGEST and (farther := loss(2 * length)) < least:
        length, least = 2 * length, farther
    while length > _SHORTEST and least > start:
        length /= 2
        least = loss(length)
    return length
