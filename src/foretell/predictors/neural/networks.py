"""Stacks of small networks of one shape, trained together in batched operations."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from foretell.errors import PredictorError
from foretell.predictors.neural.losses import LOSSES
from foretell.types import Array

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batches", "Networks", "Recipe", "Shape", "train"]

_ROWS = 2048
"""Rows predicted at once."""


@dataclass(frozen=True)
class Shape:
    """Widths of the layers, from the inputs to the one output, with silu between them.

    The parameters of one network are a flat row: weights and biases of each layer in turn.
    """

    widths: tuple[int, ...]

    @property
    def parts(self) -> list[int]:
        """Number of elements of each weight and each bias."""
        return [count for a, b in pairwise(self.widths) for count in (a * b, b)]

    def first(self, streams: Sequence[Generator]) -> Array:
        """Initial parameters, (members, parameters): weights N(0, 1 / inputs), biases 0."""
        rows = []
        for rng in streams:
            layers = [
                (rng.standard_normal(a * b) / math.sqrt(a), np.zeros(b))
                for a, b in pairwise(self.widths)
            ]
            rows.append(np.concatenate([part for layer in layers for part in layer]))
        return np.stack(rows)

    def outputs(self, parameters: "Tensor", x: "Tensor") -> "Tensor":
        """Outputs (members, n) for parameters (members, parameters) and inputs (members, n, d)."""
        from torch import baddbmm, split
        from torch.nn.functional import silu

        members = len(parameters)
        parts = split(parameters, self.parts, dim=1)
        layers = list(zip(parts[::2], parts[1::2], pairwise(self.widths), strict=True))
        for i, (weight, bias, (a, b)) in enumerate(layers):
            if i:
                x = silu(x)
            x = baddbmm(bias.view(members, 1, b), x, weight.view(members, a, b))
        return x[:, :, 0]


@dataclass(frozen=True)
class Networks:
    """Trained networks.

    Args:
        shape: theirs.
        parameters: (members, parameters) float64.

    Raises:
        PredictorError: some are not finite.
    """

    shape: Shape
    parameters: Array

    def __post_init__(self) -> None:
        """Check that the parameters are finite."""
        broken = (~np.isfinite(self.parameters).all(axis=1)).sum()
        if broken:
            raise PredictorError(
                f"{broken} of {len(self.parameters)} networks have parameters that are not finite "
                f"after training: take smaller steps, or look for outliers among the inputs."
            )

    def __call__(self, x: Array) -> Array:
        """Outputs (members, n) for inputs (n, d), or (members, n, d) where each has its own."""
        weight = self.parameters[:, -self.shape.widths[-2] - 1 : -1, None]
        bias = self.parameters[:, -1:]
        return np.concatenate([(h @ weight)[:, :, 0] + bias for h in self._hidden(x)], axis=1)

    def features(self, x: Array) -> Array:
        """Activations of the last hidden layer for inputs, (members, n, width)."""
        return np.concatenate(list(self._hidden(x)), axis=1)

    def _hidden(self, x: Array) -> Iterator[Array]:
        from scipy.special import expit

        members, widths = len(self.parameters), self.shape.widths
        parts = np.split(self.parameters, np.cumsum(self.shape.parts)[:-1], axis=1)
        for start in range(0, x.shape[-2], _ROWS):
            h = x[..., start : start + _ROWS, :]
            for weight, bias, (a, b) in zip(
                parts[:-2:2], parts[1:-2:2], pairwise(widths[:-1]), strict=True
            ):
                h = h @ weight.reshape(members, a, b) + bias[:, None]
                h = h * expit(h)
            yield h


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of training.

    Args:
        hidden: widths of the hidden layers.
        steps: of AdamW; the learning rate falls to 0 along a cosine.
        batch: rows of one step.
        lr: learning rate at the start.
        decay: of the parameters.
        loss: a name in ``LOSSES``.
    """

    hidden: tuple[int, ...] = (64, 64)
    steps: int = 300
    batch: int = 128
    lr: float = 0.01
    decay: float = 1.0
    loss: str = "mse"


class Batches:
    """Batches of each step, drawn without replacement; reshuffled when too few rows are left.

    Args:
        x: (members, n, d) inputs.
        t: (members, n) targets.
        size: rows of one step; all of them if there are no more.
        streams: of each member's order.
    """

    def __init__(self, x: Array, t: Array, size: int, streams: Sequence[Generator]) -> None:
        """Copy the data to tensors of single precision."""
        import torch

        self.x = torch.tensor(x, dtype=torch.float32)
        self.t = torch.tensor(t, dtype=torch.float32)
        self.size, self.streams = size, streams
        self.member, self.at = torch.arange(len(t))[:, None], t.shape[1]

    def draw(self) -> tuple["Tensor", "Tensor"]:
        """Inputs (members, batch, d) and targets (members, batch) of the next step."""
        import torch

        n = self.t.shape[1]
        if n <= self.size:
            return self.x, self.t
        if self.at + self.size > n:
            self.order = torch.tensor(np.stack([s.permutation(n) for s in self.streams]))
            self.at = 0
        rows = self.order[:, self.at : self.at + self.size]
        self.at += self.size
        return self.x[self.member, rows], self.t[self.member, rows]


def train(x: Array, t: Array, recipe: Recipe, streams: Sequence[Generator]) -> Networks:
    """Train a stack of networks; each is the same as if it were trained alone.

    Args:
        x: (members, n, d) inputs of about unit variance.
        t: (members, n) targets of about unit variance.
        recipe: hyperparameters.
        streams: random generators of initial weights and batches, one for each network.

    Reference: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """
    import torch

    shape = Shape((x.shape[2], *recipe.hidden, 1))
    parameters = torch.tensor(shape.first(streams), dtype=torch.float32, requires_grad=True)
    optimizer = torch.optim.AdamW([parameters], weight_decay=recipe.decay, fused=True)
    batches, loss = Batches(x, t, recipe.batch, streams), LOSSES[recipe.loss]
    for step in range(recipe.steps):
        rate = recipe.lr * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        optimizer.param_groups[0]["lr"] = rate
        inputs, targets = batches.draw()
        optimizer.zero_grad()
        total = loss(shape.outputs(parameters, inputs), targets).sum()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Networks(shape, parameters.detach().numpy().astype(np.float64))
