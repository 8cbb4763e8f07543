"""The exact Gaussian process: one kernel over descriptions, one over identities."""

import math

import numpy as np

from foretell.encodings import Encodings
from foretell.gaussian.posterior import Posterior
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.gp.evidence import likeliest
from foretell.predictors.gp.groups import covariance, groups, noise_variance, total_variance
from foretell.predictors.shared.targets import UnitTarget
from foretell.types import Array

__all__ = ["GaussianProcess"]


@predictors.add(
    "gp",
    family="gaussian process",
    reference="Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 5",
)
class GaussianProcess(Predictor):
    """A sum of Matern 5/2 kernels, one over descriptions and one over identities.

    Encodings that describe (``graf``, proxies, costs) are scaled to weigh the same and
    share a kernel; those that only identify (one-hot genes, paths) share another, which can learn
    what no description contains, such as the position of an operation, and vanishes with few
    labels. Variances, length scales and noise maximise the marginal likelihood times a weak prior.
    Values are transformed to normal quantiles first.

    Args:
        normal_target: whether to transform values to normal quantiles.
        start: ``theta_`` of an earlier fit on the same tables, as the initial value of the search.
    """

    def __init__(self, normal_target: bool = True, start: Array | None = None) -> None:
        """Store the options."""
        self.normal_target, self.start = normal_target, start

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.target_ = UnitTarget.of(y, self.normal_target)
        t = self.target_.transform(y)
        self.groups_ = groups(encodings)
        distances = [g.distances(encodings) for g in self.groups_]
        self.theta_, _ = likeliest(distances, t, start=self.start)
        square = covariance(distances, self.theta_)
        self.posterior_ = Posterior.fit(square, t, noise_variance(self.theta_))

    def _predict(self, encodings: Encodings) -> Prediction:
        k_star = covariance([g.distances(encodings) for g in self.groups_], self.theta_)
        prior_var = total_variance(self.theta_, len(self.groups_))
        mean, variance = self.posterior_.predict(k_star, prior_var)
        return self.target_.prediction(mean, np.sqrt(variance + math.exp(self.theta_[-1])))
