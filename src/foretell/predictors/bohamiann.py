"""A Bayesian network: samples of its weights instead of one choice of them."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from foretell.predictors._base import predictors
from foretell.predictors._networks import Batches, Networks, Shape
from foretell.predictors._neural import Neural, check_at_least
from foretell.predictors._sghmc import sample
from foretell.rng import stream, stream_seed
from foretell.types import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BOHAMIANN"]

_BATCH = 64
_FRICTION = 0.05
_NOISE = 0.1
"""Variance of the noise that is most likely before anything was seen."""


@predictors.add(
    "bohamiann",
    family="neural",
    reference="Springenberg et al., Bayesian Optimization with Robust Bayesian Neural Networks, "
    "NeurIPS 2016",
)
class BOHAMIANN(Neural):
    """The mean over networks sampled from the posterior, by several chains side by side.

    Weights are N(0, prior / inputs of the layer), biases N(0, prior), the noise's variance is
    log-normal and sampled with them. The variance of a prediction is that among the samples plus
    the noise.

    Args:
        hidden: widths of the hidden layers.
        chains: run side by side.
        burn_in: steps before samples are kept.
        steps: after the burn-in.
        keep: every so many steps a sample is kept.
        step_size: of the sampler.
        prior: variance of the weights.
        normal_target: whether to turn values into normal quantiles.
        seed: of first weights, batches and noise.

    Differs: several chains; two layers with silu instead of three with tanh; the prior's
    variance falls with the inputs of a layer.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (50, 50),
        chains: int = 4,
        burn_in: int = 150,
        steps: int = 100,
        keep: int = 25,
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

    def _learn(self, x: Array, t: Array) -> None:
        import torch

        check_at_least(1, hidden=self.hidden, chains=self.chains, burn_in=self.burn_in)
        check_at_least(1, keep=self.keep)
        check_at_least(self.keep, steps=self.steps)
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

        def energy(parameters: "Tensor") -> "Tensor":
            weights, log_noise = parameters[:, :-1], parameters[:, -1]
            inputs, wanted = batches.draw()
            square = (shape.outputs(weights, inputs) - wanted).square().mean(dim=1)
            misfit = n * (square / log_noise.exp() + log_noise)
            prior = (precision * weights.square()).sum(dim=1)
            return (misfit + prior + (log_noise - math.log(_NOISE)).square()) / 2

        first = shape.first(streams)
        start = np.concatenate([first, np.full((self.chains, 1), math.log(_NOISE))], axis=1)
        found = sample(
            energy,
            torch.tensor(start, dtype=torch.float32),
            burn_in=self.burn_in,
            steps=self.steps,
            keep=self.keep,
            step_size=self.step_size,
            friction=_FRICTION,
            noise=torch.Generator().manual_seed(stream_seed(self.seed, "noise")),
        )
        self.networks_ = Networks(shape, found[:, :-1])
        self.noise_ = float(np.exp(found[:, -1]).mean())

    def _guess(self, x: Array) -> tuple[Array, Array]:
        each = self.networks_(x)
        return each.mean(axis=0), np.sqrt(each.var(axis=0) + self.noise_)
