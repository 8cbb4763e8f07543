"""Linear models that choose their regularisation from the data."""

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.shared.targets import NormalTarget
from foretell.types import Array

__all__ = ["BayesianLinear", "Linear"]

_ROUNDS = 200
_PENALTIES = np.logspace(-6, 2, 49)
"""Candidate penalties, in units of the largest squared singular value."""


@predictors.add(
    "linear",
    family="linear",
    reference="Golub, Heath and Wahba, Generalized Cross-Validation, Technometrics 1979",
)
class Linear(Predictor):
    """Least squares on scaled columns, by default with a ridge penalty.

    The ridge penalty minimises the generalised cross-validation score: the squared residual over
    the squared residual degrees of freedom.

    Args:
        penalty: of the squared weights; 0 for least squares (the solution of minimum norm), None
            for generalised cross-validation.
        normal_target: whether to transform values to normal quantiles.
    """

    def __init__(self, penalty: float | None = None, normal_target: bool = True) -> None:
        """Store the options."""
        self.penalty, self.normal_target = penalty, normal_target

    def _fit(self, encodings: Encodings, y: Array) -> None:
        if self.penalty is not None and not self.penalty >= 0:
            raise PredictorError(f"Expected a penalty of 0 or more, but got {self.penalty}.")
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        z = y if self.target_ is None else self.target_.transform(y)
        self.scales_ = encodings.scales
        x = encodings.scaled()
        self.shift_, self.mean_ = x.mean(axis=0), float(z.mean())
        t = z - self.mean_
        left, singular, right = np.linalg.svd(x - self.shift_, full_matrices=False)
        nonzero = singular > max(x.shape) * np.finfo(np.float64).eps * singular.max(initial=0.0)
        singular, along = singular[nonzero], left.T[nonzero] @ t
        rest = float(t @ t - along @ along)
        self.penalty_ = self.penalty
        if self.penalty_ is None:
            self.penalty_ = _cross_validated(singular**2, along, rest, len(t))
        self.weights_ = right[nonzero].T @ (singular / (singular**2 + self.penalty_) * along)

    def _predict(self, encodings: Encodings) -> Prediction:
        z = self.mean_ + (encodings.scaled(self.scales_) - self.shift_) @ self.weights_
        return Prediction(z if self.target_ is None else self.target_.inverse_transform(z))


def _cross_validated(square: Array, along: Array, rest: float, n: int) -> float:
    """The penalty that minimises the generalised cross-validation score.

    Args:
        square: (k,) squared singular values.
        along: (k,) projections of the values on the left singular vectors.
        rest: squared norm of the values outside their span.
        n: labelled architectures.
    """
    if not len(square):
        return 0.0
    penalties = _PENALTIES * square.max()
    left_out = penalties[:, None] / (penalties[:, None] + square)
    residual = ((left_out * along) ** 2).sum(axis=1) + max(rest, 0.0)
    free = n - 1 - len(square) + left_out.sum(axis=1)
    return float(penalties[np.argmin(residual / free**2)])


@predictors.add(
    "bayes_linear",
    family="linear",
    reference="MacKay, Bayesian Interpolation, Neural Computation 1992",
)
class BayesianLinear(Predictor):
    """Bayesian linear regression: weights N(0, 1/alpha), noise N(0, 1/beta), maximum evidence.

    Args:
        normal_target: whether to transform values to normal quantiles.
    """

    def __init__(self, normal_target: bool = True) -> None:
        """Store the option."""
        self.normal_target = normal_target

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        z = y if self.target_ is None else self.target_.transform(y)
        self.scales_ = encodings.scales
        x = encodings.scaled()
        self.shift_, self.mean_ = x.mean(axis=0), float(z.mean())
        t = z - self.mean_
        left, singular, right = np.linalg.svd(x - self.shift_, full_matrices=False)
        square, along = singular**2, left.T @ t
        rest = float(t @ t - along @ along)
        variance = float(t.var()) or 1.0
        alpha, beta = 1.0, 2.0 / variance
        for _ in range(_ROUNDS):
            shrunk = beta * square / (alpha + beta * square)
            weights = np.divide(
                shrunk * along, singular, out=np.zeros_like(singular), where=singular > 0
            )
            used = float(shrunk.sum())
            missed = float((((1 - shrunk) * along) ** 2).sum()) + rest
            new = (
                used / max(float(weights @ weights), 1e-12),
                max(len(t) - used, 1e-6) / max(missed, 1e-12 * variance),
            )
            done = np.allclose(new, (alpha, beta), rtol=1e-4)
            alpha, beta = (min(v, 1e12) for v in new)
            if done:
                break
        self.alpha_, self.beta_ = alpha, beta
        self.weights_, self.right_, self.square_ = right.T @ weights, right, square

    def _predict(self, encodings: Encodings) -> Prediction:
        x = encodings.scaled(self.scales_) - self.shift_
        z = self.mean_ + x @ self.weights_
        inside = x @ self.right_.T
        outside = np.maximum((x**2).sum(axis=1) - (inside**2).sum(axis=1), 0.0)
        posterior = 1 / (self.alpha_ + self.beta_ * self.square_)
        variance = (inside**2) @ posterior + outside / self.alpha_ + 1 / self.beta_
        std = np.sqrt(variance)
        if self.target_ is None:
            return Prediction(z, std)
        return Prediction(self.target_.inverse_transform(z), self.target_.inverse_std(z, std))
