"""An ensemble of networks, each trained without a part of the labelled architectures."""

import numpy as np

from foretell.predictors._base import predictors
from foretell.predictors.neural._base import Neural, check_at_least, to_targets
from foretell.predictors.neural.losses import check_loss
from foretell.predictors.neural.networks import Recipe, train
from foretell.rng import stream
from foretell.types import Array, IntArray

__all__ = ["BANANAS"]


@predictors.add("bananas", family="neural", reference="White et al., BANANAS, AAAI 2021")
class BANANAS(Neural):
    """The mean of several networks, each trained without its own part of the architectures.

    The variance is that over the networks plus the mean squared error of each on its held-out part:
    networks that are trained on everything agree far better with one another than with the truth.
    Meant for the path encoding (``path``), but takes any.

    Args:
        members: how many networks.
        loss: "mse", "mae", "pairwise" (RankNet) or "listmle"; see ``MLP``.
        hidden: widths of the hidden layers.
        steps: of AdamW.
        normal_target: whether to transform values to normal quantiles.
        seed: of parts, initial weights and batches.

    Differs: parts left out, and their error; two layers of 64 instead of ten of 20; normal
    quantiles as targets.
    """

    def __init__(
        self,
        members: int = 5,
        loss: str = "mae",
        hidden: tuple[int, ...] = (64, 64),
        steps: int = 300,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        super().__init__(normal_target)
        self.members, self.loss, self.hidden = members, loss, hidden
        self.steps, self.seed = steps, seed

    def _train(self, x: Array, t: Array) -> None:
        check_loss(self.loss)
        check_at_least(1, hidden=self.hidden, steps=self.steps)
        check_at_least(2, members=self.members)
        train_idx, val_idx = _parts(stream(self.seed, "parts").permutation(len(t)), self.members)
        streams = [stream(self.seed, "network", i) for i in range(self.members)]
        recipe = Recipe(self.hidden, self.steps, loss=self.loss)
        self.networks_ = train(x[train_idx], t[train_idx], recipe, streams)
        self.slope_, self.offset_ = to_targets(
            self.networks_, x[train_idx], t[train_idx], self.loss
        )
        self.error_ = float(((self._each(x[val_idx]) - t[val_idx]) ** 2).mean())

    def _each(self, x: Array) -> Array:
        return self.offset_ + self.slope_ * self.networks_(x)

    def _predict_targets(self, x: Array) -> tuple[Array, Array]:
        each = self._each(x)
        return each.mean(axis=0), np.sqrt(each.var(axis=0) + self.error_)


def _parts(order: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """Training and held-out rows of each of ``count`` networks, in the given order.

    All have the same number, so that some rows are held out twice where n is no multiple.
    """
    n = len(order)
    size = -(-n // count)
    positions = (np.arange(count)[:, None] * size + np.arange(n)) % n
    return order[positions[:, size:]], order[positions[:, :size]]
