"""Bayesian linear regression on the last hidden layer of a trained network."""

import numpy as np

from foretell.encodings import Encodings, EncodingTable
from foretell.predictors._base import predictors
from foretell.predictors.linear import BayesianLinear
from foretell.predictors.neural._base import Neural, check_at_least
from foretell.predictors.neural.networks import Recipe, train
from foretell.rng import stream
from foretell.types import Array

__all__ = ["DNGO", "LinearHead"]


@predictors.add(
    "dngo",
    family="neural",
    reference="Snoek et al., Scalable Bayesian Optimization Using Deep Neural Networks, ICML 2015",
)
class DNGO(Neural):
    """The last hidden layer of a trained network as features of a Bayesian linear model.

    The precisions of weights and noise maximise the evidence. Features that were fitted to the same
    values would leave no noise: two more networks are therefore trained on one half of the
    architectures each, and the evidence is that of the other half.

    Args:
        hidden: widths of the hidden layers; the last is the number of features.
        steps: of AdamW.
        normal_target: whether to transform values to normal quantiles.
        seed: of halves, initial weights and batches.

    Differs: in the paper the precisions are sampled, on the network's own training data.
    """

    min_train_size = 4

    def __init__(
        self,
        hidden: tuple[int, ...] = (64, 64),
        steps: int = 200,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        super().__init__(normal_target)
        self.hidden, self.steps, self.seed = hidden, steps, seed

    def _train(self, x: Array, t: Array) -> None:
        check_at_least(1, hidden=self.hidden, steps=self.steps)
        recipe = Recipe(self.hidden, self.steps)
        self.network_ = train(x[None], t[None], recipe, [stream(self.seed, "network")])
        order, half = stream(self.seed, "halves").permutation(len(t)), len(t) // 2
        parts = np.stack([order[:half], order[-half:]])
        streams = [stream(self.seed, "half", i) for i in range(2)]
        halves = train(x[parts], t[parts], recipe, streams)
        variances = []
        for values, rows in zip(halves.features(x[parts[::-1]]), parts[::-1], strict=True):
            evidence = BayesianLinear(normal_target=False).fit(_units(values), t[rows])
            variances.append([1 / evidence.alpha_, 1 / evidence.beta_])
        alpha, beta = 1 / np.mean(variances, axis=0)
        self.head_ = LinearHead(self.network_.features(x)[0], t, alpha, beta)

    def _predict_targets(self, x: Array) -> tuple[Array, Array]:
        return self.head_.predict(self.network_.features(x)[0])


class LinearHead:
    """Weights N(0, 1/alpha) on standardised features, noise N(0, 1/beta); flat prior of the mean.

    Args:
        values: (n, d) features.
        t: (n,) targets.
        alpha: precision of the weights, where the features' mean square norm is 1.
        beta: precision of the noise.
    """

    def __init__(self, values: Array, t: Array, alpha: float, beta: float) -> None:
        """Compute the posterior."""
        units = _units(values)
        self.shift, self.factor = units.scales["unit"]
        x = units.scaled()
        self.middle, self.noise = float(t.mean()), 1 / beta
        self.covariance = np.linalg.inv(alpha * np.eye(x.shape[1]) + beta * x.T @ x)
        self.weights = beta * self.covariance @ (x.T @ (t - self.middle))

    def predict(self, values: Array) -> tuple[Array, Array]:
        """Mean (n,) and standard deviation (n,) for features (n, d)."""
        x = (values - self.shift) * self.factor
        variance = ((x @ self.covariance) * x).sum(axis=1) + self.noise
        return self.middle + x @ self.weights, np.sqrt(variance)


def _units(values: Array) -> Encodings:
    names = tuple(f"unit_{i}" for i in range(values.shape[1]))
    return Encodings({"unit": EncodingTable(names, values)})
