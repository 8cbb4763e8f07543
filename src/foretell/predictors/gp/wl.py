"""A Gaussian process on graphs, compared by their Weisfeiler-Lehman labels."""

import math

import numpy as np

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError
from foretell.gaussian.posterior import Posterior
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.gp.evidence import likeliest
from foretell.predictors.gp.groups import covariance, groups, noise_variance, total_variance
from foretell.predictors.shared.targets import UnitTarget
from foretell.types import Array, IntArray

__all__ = ["GraphGaussianProcess"]

_TABLE = "wl"


@predictors.add(
    "gp_wl",
    family="gaussian process",
    reference="Ru et al., Interpretable Neural Architecture Search via Bayesian Optimisation with "
    "Weisfeiler-Lehman Kernels, ICLR 2021",
    needs=_TABLE,
)
class GraphGaussianProcess(Predictor):
    """A Gaussian process with the Weisfeiler-Lehman kernel, from the table ``wl``.

    The kernel is the cosine between the counts of two architectures' labels of all rounds up to
    one, chosen by the marginal likelihood. Other tables add the Matern kernels of ``gp``.
    Variances, length scales and noise maximise the marginal likelihood times a weak prior.

    Differs from the paper: the noise is learned, too; values are transformed to normal quantiles.

    Args:
        rounds: labels up to this round; by default chosen by the marginal likelihood.
        normal_target: whether to transform values to normal quantiles.
    """

    def __init__(self, rounds: int | None = None, normal_target: bool = True) -> None:
        """Store the options."""
        self.rounds, self.normal_target = rounds, normal_target

    def _fit(self, encodings: Encodings, y: Array) -> None:
        if _TABLE not in encodings.tables:
            raise PredictorError(
                f"gp_wl compares graphs by the table 'wl', but got {', '.join(encodings.tables)}: "
                f"give it with --encoding wl, or with others as in --encoding wl+graf."
            )
        self.target_ = UnitTarget.of(y, self.normal_target)
        t = self.target_.transform(y)
        others = frozenset(encodings.tables) - {_TABLE}
        self.groups_ = groups(encodings.only(others)) if others else []
        distances = [g.distances(encodings) for g in self.groups_]
        table = encodings.tables[_TABLE]
        least = np.inf
        for rounds in self._tried(_rounds(table)):
            units = _units(table, rounds)
            theta, loss = likeliest(distances, t, [units @ units.T])
            if loss < least:
                least, self.rounds_, self.units_, self.theta_ = loss, rounds, units, theta
        square = covariance(distances, self.theta_, [self.units_ @ self.units_.T])
        self.posterior_ = Posterior.fit(square, t, noise_variance(self.theta_))

    def _predict(self, encodings: Encodings) -> Prediction:
        distances = [g.distances(encodings) for g in self.groups_]
        alike = _units(encodings.tables[_TABLE], self.rounds_) @ self.units_.T
        k_star = covariance(distances, self.theta_, [alike])
        prior_var = total_variance(self.theta_, len(self.groups_))
        mean, variance = self.posterior_.predict(k_star, prior_var)
        return self.target_.prediction(mean, np.sqrt(variance + math.exp(self.theta_[-1])))

    def _tried(self, rounds: IntArray) -> list[int]:
        """Candidate rounds."""
        if self.rounds is None:
            return sorted(set(rounds.tolist()))
        if not 0 <= self.rounds <= rounds.max():
            raise PredictorError(
                f"The table 'wl' has labels of the rounds 0 to {rounds.max()}, but "
                f"{self.rounds} were asked for."
            )
        return [self.rounds]


def _rounds(table: EncodingTable) -> IntArray:
    """Round of each label, (labels,), which its name begins with: ``wl1_``.

    Raises:
        PredictorError: a name begins otherwise.
    """
    numbers = [name.partition("_")[0].removeprefix("wl") for name in table.names]
    for number, name in zip(numbers, table.names, strict=True):
        if not number.isdecimal():
            raise PredictorError(
                f"Expected columns of 'wl' such as wl0_conv3x3 and wl1_..., but got {name!r}."
            )
    return np.array(numbers, dtype=np.int64)


def _units(table: EncodingTable, rounds: int) -> Array:
    """Counts of the labels up to a round, each row of length 1."""
    counts = np.asarray(table.values[:, _rounds(table) <= rounds], dtype=np.float64)
    length = np.sqrt((counts**2).sum(axis=1, keepdims=True))
    return counts / np.where(length > 0, length, 1.0)
