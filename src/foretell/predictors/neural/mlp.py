"""A multilayer perceptron."""

from foretell.predictors._base import predictors
from foretell.predictors.neural._base import Neural, check_at_least, to_targets
from foretell.predictors.neural.losses import check_loss
from foretell.predictors.neural.networks import Recipe, train
from foretell.rng import stream
from foretell.types import Array

__all__ = ["MLP"]


@predictors.add(
    "mlp",
    family="neural",
    reference="White et al., How Powerful are Performance Predictors in NAS?, NeurIPS 2021",
)
class MLP(Neural):
    """One network of two hidden layers.

    Scores of a rank loss are mapped to values by a least-squares line through the labelled
    architectures, in normal quantiles.

    Args:
        loss: "mse", "mae", "pairwise" (RankNet) or "listmle".
        hidden: widths of the hidden layers.
        steps: of AdamW.
        normal_target: whether to transform values to normal quantiles.
        seed: of initial weights and batches.

    Differs: two layers of 64 instead of twenty of 20, normal quantiles as targets, AdamW with
    decay instead of an L1 penalty.
    """

    def __init__(
        self,
        loss: str = "mae",
        hidden: tuple[int, ...] = (64, 64),
        steps: int = 300,
        normal_target: bool = True,
        seed: int = 0,
    ) -> None:
        """Store the options."""
        super().__init__(normal_target)
        self.loss, self.hidden, self.steps, self.seed = loss, hidden, steps, seed

    def _train(self, x: Array, t: Array) -> None:
        check_loss(self.loss)
        check_at_least(1, hidden=self.hidden, steps=self.steps)
        recipe = Recipe(self.hidden, self.steps, loss=self.loss)
        self.network_ = train(x[None], t[None], recipe, [stream(self.seed, "network", 0)])
        self.slope_, self.offset_ = to_targets(self.network_, x[None], t[None], self.loss)

    def _predict_targets(self, x: Array) -> tuple[Array, None]:
        return (self.offset_ + self.slope_ * self.network_(x))[0], None
