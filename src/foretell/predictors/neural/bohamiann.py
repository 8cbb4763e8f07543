"""A Bayesian neural network: posterior samples of its weights."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from foretell.errors import PredictorError
from foretell.predictors._base import predictors
from foretell.predictors.neural._base import Neural, check_at_least
from foretell.predictors.neural.networks import Batches, Networks, Shape
from foretell.predictors.neural.sghmc import sample
from foretell.rng import stream, stream_seed
from foretell.types import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BOHAMIANN"]

_BATCH = 64
_FRICTION = 0.05
_SHAPE, _NOISE = 5.0, 0.2
"""Prior of the noise precision: Gamma(shape) / (shape * noise)."""


@predictors.add(
    "bohamiann",
    family="neural",
    reference="Springenberg et al., Bayesian Optimization with Robust Bayesian Neural Networks, "
    "NeurIPS 2016",
)
class BOHAMIANN(Neural):
    """The mean over networks sampled from the posterior, by several chains side by side.

    Weights are N(0, prior / inputs of the layer), biases N(0, prior). The precision of the noise is
    drawn from its gamma distribution given the errors, at every step. The variance of a prediction
    is the variance over the samples plus the noise.

    Args:
        hidden: widths of the hidden layers.
        chains: run side by side.
        burn_in: steps before the first sample.
        steps: after the burn-in.
        keep: thinning: a sample is taken every this many steps.
        step_size: of the sampler.
        prior: variance of the weights.
        normal_target: whether to transform values to normal quantiles.
        seed: of initial weights, batches and noise.

    Differs: several chains; two layers of 32 with silu instead of three of 50 with tanh; a prior
    variance that falls with the inputs of a layer; the noise is sampled separately, as its
    gradients are too uneven for the sampler.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (32, 32),
        chains: int = 8,
        burn_in: int = 120,
        steps: int = 80,
        keep: int = 20,
        step_size: float = 0.03,
        prior: float = 1.0,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        super().__init__(normal_target)
        self.hidden, self.chains, self.burn_in = hidden, chains, burn_in
        self.steps, self.keep, self.step_size = steps, keep, step_size
        self.prior, self.seed = prior, seed

    def _train(self, x: Array, t: Array) -> None:
        import torch

        check_at_least(1, hidden=self.hidden, chains=self.chains, burn_in=self.burn_in)
        check_at_least(1, keep=self.keep)
        check_at_least(self.keep, steps=self.steps)
        if not (self.prior > 0 and self.step_size > 0):
            raise PredictorError(
                f"Expected a prior and a step size above 0, but got {self.prior} and "
                f"{self.step_size}."
            )
        n, shape = len(t), Shape((x.shape[1], *self.hidden, 1))
        streams = [stream(self.seed, "chain", i) for i in range(self.chains)]
        batches = Batches(
            np.broadcast_to(x, (self.chains, *x.shape)),
            np.broadcast_to(t, (self.chains, n)),
            _BATCH,
            streams,
        )
        layers = [np.repeat([a, 1.0], [a * b, b]) for a, b in pairwise(shape.widths)]
        precision = torch.tensor(np.concatenate(layers) / self.prior, dtype=torch.float32)
        gammas = stream(self.seed, "noise variance")
        variance = torch.empty(self.chains)

        def energy(weights: "Tensor") -> "Tensor":
            inputs, targets = batches.draw()
            square = n * (shape.outputs(weights, inputs) - targets).square().mean(dim=1)
            drawn = torch.tensor(gammas.gamma(_SHAPE + n / 2, size=self.chains))
            variance.copy_((_SHAPE * _NOISE + square.detach() / 2) / drawn)
            return (square / variance + (precision * weights.square()).sum(dim=1)) / 2

        samples, noise = [], []
        for weights in sample(
            energy,
            torch.tensor(shape.first(streams), dtype=torch.float32),
            burn_in=self.burn_in,
            steps=self.steps,
            keep=self.keep,
            step_size=self.step_size,
            friction=_FRICTION,
            noise=torch.Generator().manual_seed(stream_seed(self.seed, "noise")),
        ):
            samples.append(weights)
            noise.append(float(variance.mean()))
        self.networks_ = Networks(shape, np.concatenate(samples))
        self.noise_ = float(np.mean(noise))

    def _predict_targets(self, x: Array) -> tuple[Array, Array]:
        each = self.networks_(x)
        return each.mean(axis=0), np.sqrt(each.var(axis=0) + self.noise_)
