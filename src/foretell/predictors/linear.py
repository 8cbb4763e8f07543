"""Bayesian linear regression, whose regularisation follows from the data."""

import numpy as np

from foretell.features import Inputs
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors._targets import NormalTarget
from foretell.types import Array

__all__ = ["BayesianLinear"]

_ROUNDS = 200


@predictors.add(
    "bayes_linear",
    family="linear",
    reference="MacKay, Bayesian Interpolation, Neural Computation 1992",
)
class BayesianLinear(Predictor):
    """Weights N(0, 1/alpha), noise N(0, 1/beta), both of highest evidence; scaled columns.

    Args:
        normal_target: whether to turn values into normal quantiles.
    """

    def __init__(self, normal_target: bool = False) -> None:
        """Store the option."""
        self.normal_target = normal_target

    def _fit(self, inputs: Inputs, y: Array) -> None:
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        z = y if self.target_ is None else self.target_.forward(y)
        self.scales_ = inputs.scales
        x = inputs.scaled()
        self.shift_, self.mean_ = x.mean(axis=0), float(z.mean())
        t = z - self.mean_
        left, sizes, right = np.linalg.svd(x - self.shift_, full_matrices=False)
        square, along = sizes**2, left.T @ t
        rest = float(t @ t - along @ along)
        variance = float(t.var()) or 1.0
        alpha, beta = 1.0, 2.0 / variance
        for _ in range(_ROUNDS):
            shrunk = beta * square / (alpha + beta * square)
            weights = np.divide(shrunk * along, sizes, out=np.zeros_like(sizes), where=sizes > 0)
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

    def _predict(self, inputs: Inputs) -> Prediction:
        x = inputs.scaled(self.scales_) - self.shift_
        z = self.mean_ + x @ self.weights_
        inside = x @ self.right_.T
        outside = np.maximum((x**2).sum(axis=1) - (inside**2).sum(axis=1), 0.0)
        posterior = 1 / (self.alpha_ + self.beta_ * self.square_)
        variance = (inside**2) @ posterior + outside / self.alpha_ + 1 / self.beta_
        std = np.sqrt(variance)
        if self.target_ is None:
            return Prediction(z, std)
        return Prediction(self.target_.back(z), self.target_.spread(z, std))
