"""Gaussian processes: one kernel for what architectures look like, one for which they are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.features import Inputs
from foretell.kernels import matern52, matern52_slope, squared_distances
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors._targets import NormalTarget
from foretell.types import Array

__all__ = ["GaussianProcess"]

_ITERATIONS = 60
_JITTER = 1e-8


@dataclass
class _Group:
    """Tables that share a kernel.

    Args:
        names: theirs.
        scales: of their columns.
        rows: (labelled, d) scaled columns.
        typical: median squared distance between labelled rows.
    """

    names: frozenset[str]
    scales: Mapping[str, tuple[Array, Array]]
    rows: Array
    typical: float = 1.0

    def distances(self, inputs: Inputs) -> Array:
        """Distances to the labelled rows in units of the typical one, (n, labelled)."""
        other = inputs.only(self.names).scaled(self.scales)
        return np.asarray(np.sqrt(squared_distances(other, self.rows) / self.typical))


@predictors.add(
    "gp",
    family="gaussian process",
    reference="Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 5",
)
class GaussianProcess(Predictor):
    """A sum of Matern 5/2 kernels, one over descriptions and one over identities.

    Representations that describe (graph features, proxies, costs) are scaled to weigh the same and
    share a kernel; those that only identify (one-hot genes, paths) share another, which can learn
    what no description says, such as the place of an operation, and fades out where there is
    little to learn it from. Variances, length scales and noise maximise the marginal likelihood
    times a weak prior. Values are turned into normal quantiles first.

    Args:
        normal_target: whether to turn values into normal quantiles.
    """

    def __init__(self, normal_target: bool = True) -> None:
        """Store the option."""
        self.normal_target = normal_target

    def _fit(self, inputs: Inputs, y: Array) -> None:
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        z = y if self.target_ is None else self.target_.forward(y)
        self.mean_, self.std_ = float(z.mean()), float(z.std()) or 1.0
        t = (z - self.mean_) / self.std_
        self.groups_ = _groups(inputs)
        distances = [g.distances(inputs) for g in self.groups_]
        self.theta_ = _likeliest(distances, t)
        covariance = _covariance(distances, self.theta_)
        covariance[np.diag_indices(len(t))] += math.exp(self.theta_[-1]) + _JITTER
        self.factor_ = np.linalg.cholesky(covariance)
        self.solved_ = _solve(self.factor_, t)

    def _predict(self, inputs: Inputs) -> Prediction:
        from scipy.linalg import solve_triangular

        distances = [g.distances(inputs) for g in self.groups_]
        cross = _covariance(distances, self.theta_)
        white = solve_triangular(self.factor_, cross.T, lower=True, check_finite=False)
        prior = sum(math.exp(v) for v in self.theta_[:-1:2])
        variance = np.maximum(prior - (white**2).sum(axis=0), 0.0) + math.exp(self.theta_[-1])
        z = self.mean_ + self.std_ * (cross @ self.solved_)
        std = self.std_ * np.sqrt(variance)
        if self.target_ is None:
            return Prediction(z, std)
        return Prediction(self.target_.back(z), self.target_.spread(z, std))


def _groups(inputs: Inputs) -> list[_Group]:
    """Descriptions, then identities, where there are any."""
    found = []
    for identity in (False, True):
        names = frozenset(k for k in inputs.tables if (k in inputs.identity) == identity)
        if not names:
            continue
        group = _Group(names, inputs.scales, inputs.only(names).scaled())
        square = squared_distances(group.rows, group.rows)
        apart = square[square > 1e-9]
        group.typical = float(np.median(apart)) if len(apart) else 1.0
        found.append(group)
    return found


def _covariance(distances: list[Array], theta: Array) -> Array:
    parts = [
        math.exp(theta[2 * i]) * matern52(d, math.exp(theta[2 * i + 1]))
        for i, d in enumerate(distances)
    ]
    return np.asarray(sum(parts))


def _likeliest(distances: list[Array], t: Array) -> NDArray[np.float64]:
    """Log variance and log length scale of each kernel, then log noise: the MAP estimate."""
    from scipy.optimize import minimize

    k, n = len(distances), len(t)
    start = np.array([math.log(0.5 / k), math.log(2.0)] * k + [math.log(0.1)])
    width = np.array([1.5, 1.0] * k + [1.5])

    def loss(theta: Array) -> tuple[float, Array]:
        parts = [matern52_slope(d, math.exp(theta[2 * i + 1])) for i, d in enumerate(distances)]
        covariance = np.asarray(sum(math.exp(theta[2 * i]) * m for i, (m, _) in enumerate(parts)))
        noise = math.exp(theta[-1])
        covariance[np.diag_indices(n)] += noise + _JITTER
        factor = np.linalg.cholesky(covariance)
        solved = _solve(factor, t)
        inverse = _solve(factor, np.eye(n))
        outer = inverse - np.outer(solved, solved)
        away = (theta - start) / width
        value = 0.5 * t @ solved + np.log(np.diag(factor)).sum() + 0.5 * (away**2).sum()
        slope = away / width
        for i, (m, dm) in enumerate(parts):
            variance = math.exp(theta[2 * i])
            slope[2 * i] += 0.5 * variance * (outer * m).sum()
            slope[2 * i + 1] += 0.5 * variance * (outer * dm).sum()
        slope[-1] += 0.5 * noise * np.trace(outer)
        return float(value), slope

    bounds = [(-12.0, 6.0), (-4.0, 6.0)] * k + [(-12.0, 3.0)]
    options = {"maxiter": _ITERATIONS}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64)


def _solve(factor: NDArray[np.floating[Any]], right: Array) -> Array:
    from scipy.linalg import cho_solve

    return np.asarray(cho_solve((factor, True), right, check_finite=False))
