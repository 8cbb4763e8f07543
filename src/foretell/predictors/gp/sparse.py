"""Sparse Gaussian processes with inducing architectures; cost linear in n."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from foretell.encodings import Encodings
from foretell.gaussian.kernels import matern52_slope, squared_distances
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.gp.evidence import Loss, likeliest, minimised, spread_rows
from foretell.predictors.gp.groups import (
    Group,
    Prior,
    covariance,
    groups,
    noise_variance,
    total_variance,
)
from foretell.predictors.shared.targets import UnitTarget
from foretell.types import Array, IntArray

__all__ = ["SparseGaussianProcess", "VariationalGaussianProcess", "inducing_rows", "sparse_loss"]

_FEW = 200
"""Architectures of the exact process that initialises the hyperparameters."""
_INNER_JITTER = 1e-9
_KNOWN = 1e-6
"""Share of the variance below which an architecture is redundant."""


class _Sparse(Predictor):
    """Kernels and target of ``gp``, with a subset of the labelled architectures as inducing points.

    These are selected greedily by the largest conditional variance, under the hyperparameters of an
    exact process on 200 architectures; then the marginal likelihood of all is maximised.
    """

    share: ClassVar[float]
    """Share of the residual variance that is added as independent noise: 1 for FITC, 0 for VFE."""

    def __init__(
        self, inducing: int = 128, normal_target: bool = True, start: Array | None = None
    ) -> None:
        """Store the options."""
        self.inducing, self.normal_target, self.start = inducing, normal_target, start

    def _fit(self, encodings: Encodings, y: Array) -> None:
        from scipy.linalg import solve_triangular

        self.target_ = UnitTarget.of(y, self.normal_target)
        t = self.target_.transform(y)
        everything = groups(encodings)
        start = self.start
        if start is None:
            rows = spread_rows(t, _FEW) if len(t) > _FEW else np.arange(len(t))
            few = [g.take(rows).distances(encodings.take(rows)) for g in everything]
            start, _ = likeliest(few, t[rows])
        self.rows_ = inducing_rows(everything, start, self.inducing)
        self.groups_ = [g.take(self.rows_) for g in everything]
        cross = [g.distances(encodings).T for g in self.groups_]
        inner = [c[:, self.rows_] for c in cross]
        loss = sparse_loss(cross, inner, t, self.share)
        self.theta_, _ = minimised(loss, Prior.of(len(everything)), start)
        self.factor_, inside, noise = _projected(cross, inner, self.theta_, self.share)
        self.mix_ = np.linalg.cholesky(np.eye(len(inside)) + (inside / noise) @ inside.T)
        along = solve_triangular(self.mix_, inside @ (t / noise), lower=True)
        self.weights_ = solve_triangular(self.mix_, along, lower=True, trans=1)

    def _predict(self, encodings: Encodings) -> Prediction:
        from scipy.linalg import solve_triangular

        cross = covariance([g.distances(encodings) for g in self.groups_], self.theta_)
        inside = solve_triangular(self.factor_, cross.T, lower=True, check_finite=False)
        mixed = solve_triangular(self.mix_, inside, lower=True, check_finite=False)
        explained = (inside**2).sum(axis=0) - (mixed**2).sum(axis=0)
        variance = np.maximum(total_variance(self.theta_, len(self.groups_)) - explained, 0.0)
        std = np.sqrt(variance + math.exp(self.theta_[-1]))
        return self.target_.prediction(inside.T @ self.weights_, std)


@predictors.add(
    "sparse_gp",
    family="gaussian process",
    reference="Snelson and Ghahramani, Sparse Gaussian Processes using Pseudo-inputs, NeurIPS 2006",
)
class SparseGaussianProcess(_Sparse):
    """A sparse Gaussian process (FITC): values are independent given the inducing points.

    Kernels, prior and target are those of ``gp``. The residual variance of a value counts as
    independent noise.

    Differs from the paper: the inducing points are labelled architectures, selected greedily, since
    architectures cannot be interpolated.

    Args:
        inducing: maximum number of inducing points.
        normal_target: whether to transform values to normal quantiles.
        start: ``theta_`` of an earlier fit on the same tables, as the initial value of the search.
    """

    share = 1.0


@predictors.add(
    "variational_sparse_gp",
    family="gaussian process",
    reference="Titsias, Variational Learning of Inducing Variables in Sparse Gaussian Processes, "
    "AISTATS 2009; Hensman et al., Gaussian Processes for Big Data, UAI 2013",
)
class VariationalGaussianProcess(_Sparse):
    """A variational sparse Gaussian process (VFE).

    It maximises a lower bound of the marginal likelihood of the exact process. The noise is
    Gaussian, so that the optimal variational distribution has a closed form.

    Differs from the papers: as ``sparse_gp``.

    Args:
        inducing: maximum number of inducing points.
        normal_target: whether to transform values to normal quantiles.
        start: ``theta_`` of an earlier fit on the same tables, as the initial value of the search.
    """

    share = 0.0


def inducing_rows(parts: Sequence[Group], theta: Array, count: int) -> IntArray:
    """Inducing points, selected greedily among the labelled architectures.

    The first is the most central one, each next one that of the largest variance given those
    before, by a partial Cholesky factorisation; fewer where no variance is left.

    Args:
        parts: the groups.
        theta: the parameters.
        count: maximum number.

    Returns:
        (m,) rows, increasing.

    Reference: Burt et al., Convergence of Sparse Variational Inference, JMLR 2020, section 4.1.
    """
    n, total = len(parts[0].rows), total_variance(theta, len(parts))
    count = min(count, n)
    factor, left = np.zeros((n, count)), np.full(n, total)
    central = sum(((g.rows - g.rows.mean(axis=0)) ** 2).sum(axis=1) / g.typical for g in parts)
    chosen = [int(np.argmin(central))]
    while True:
        at, j = chosen[-1], len(chosen) - 1
        square = [squared_distances(g.rows, g.rows[[at]])[:, 0] / g.typical for g in parts]
        row = covariance([np.sqrt(s) for s in square], theta) - factor[:, :j] @ factor[at, :j]
        factor[:, j] = row / math.sqrt(left[at])
        left -= factor[:, j] ** 2
        left[chosen] = 0.0
        if len(chosen) == count or left.max() < _KNOWN * total:
            return np.sort(np.array(chosen, dtype=np.int64))
        chosen.append(int(np.argmax(left)))


def _projected(
    cross: Sequence[Array], inner: Sequence[Array], theta: Array, share: float
) -> tuple[Array, Array, Array]:
    """Factor L of the inducing covariance (m, m), L^-1 K (m, n), and the noise of each value."""
    from scipy.linalg import solve_triangular

    square = covariance(inner, theta)
    square[np.diag_indices(len(square))] += _INNER_JITTER
    factor = np.asarray(np.linalg.cholesky(square), dtype=np.float64)
    inside = solve_triangular(factor, covariance(cross, theta), lower=True, check_finite=False)
    left = total_variance(theta, len(cross)) - (inside**2).sum(axis=0)
    return factor, inside, noise_variance(theta) + share * left


def sparse_loss(cross: Sequence[Array], inner: Sequence[Array], t: Array, share: float) -> Loss:
    """Negative log evidence of a sparse process, or its bound, and its gradient.

    With Q = K' Ku^-1 K, D = diag(Kn - Q) and S = Q + noise I + share D, it is
    (log |S| + t' S^-1 t) / 2 + (1 - share) trace(D) / (2 noise), but for a constant.

    Args:
        cross: of each group, distances of the inducing architectures to the labelled, (m, n).
        inner: among the inducing architectures, (m, m).
        t: (n,) values of mean 0 and variance 1.
        share: 1 for FITC, 0 for the variational bound.
    """
    from scipy.linalg import solve_triangular

    count = len(cross)

    def loss(theta: Array) -> tuple[float, Array]:
        factor, inside, own = _projected(cross, inner, theta, share)
        noise = noise_variance(theta)
        left = total_variance(theta, count) - (inside**2).sum(axis=0)
        mix = np.linalg.cholesky(np.eye(len(inside)) + (inside / own) @ inside.T)
        mixed = solve_triangular(mix, inside, lower=True, check_finite=False)
        along = mixed @ (t / own)
        value = 0.5 * (np.log(own).sum() + t @ (t / own) - along @ along)
        value += np.log(np.diag(mix)).sum() + (1 - share) * left.sum() / (2 * noise)

        solved = (t - mixed.T @ along) / own  # S^-1 t
        at = 1 / own - (mixed**2).sum(axis=0) / own**2 - solved**2  # diag(S^-1 - solved solved')
        open_ = 0.5 * share * at + (1 - share) / (2 * noise)  # by the variance left open
        weights = solve_triangular(factor, inside, lower=True, trans=1, check_finite=False)
        back = solve_triangular(mix, mixed / own, lower=True, trans=1, check_finite=False)
        back = solve_triangular(factor, back, lower=True, trans=1, check_finite=False)
        by_cross = back - np.outer(weights @ solved, solved) - 2 * weights * open_
        by_inner = -0.5 * by_cross @ weights.T
        slope = np.empty(len(theta))
        for i in range(count):
            variance, scale = math.exp(theta[2 * i]), math.exp(theta[2 * i + 1])
            outside, steeper = matern52_slope(cross[i], scale)
            among, wider = matern52_slope(inner[i], scale)
            slope[2 * i] = variance * (
                np.vdot(by_cross, outside) + np.vdot(by_inner, among) + open_.sum()
            )
            slope[2 * i + 1] = variance * (np.vdot(by_cross, steeper) + np.vdot(by_inner, wider))
        slope[-1] = 0.5 * at.sum() - (1 - share) * left.sum() / (2 * noise**2)
        slope[-1] *= math.exp(theta[-1])
        return float(value), slope

    return loss
