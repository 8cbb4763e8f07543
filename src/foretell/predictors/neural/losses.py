"""Losses of neural predictors, for each member of a stack of networks."""

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from foretell.errors import PredictorError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LOSSES", "RANK_LOSSES", "check_loss"]


def mse(predicted: "Tensor", target: "Tensor") -> "Tensor":
    """Mean squared error, (members, n) each -> (members,)."""
    return (predicted - target).square().mean(dim=1)


def mae(predicted: "Tensor", target: "Tensor") -> "Tensor":
    """Mean absolute error, (members, n) each -> (members,)."""
    return (predicted - target).abs().mean(dim=1)


def pairwise(predicted: "Tensor", target: "Tensor") -> "Tensor":
    """Mean of log(1 + exp(s_j - s_i)) over all pairs whose values are y_i > y_j.

    Args:
        predicted: (members, n) scores on any scale.
        target: (members, n) values; pairs of equal ones do not count.

    Returns:
        (members,); 0 where all values are equal.

    Reference: Burges et al., Learning to Rank using Gradient Descent, ICML 2005, section 3.
    """
    from torch.nn.functional import softplus

    above = target[:, :, None] > target[:, None, :]
    lost = softplus(predicted[:, None, :] - predicted[:, :, None]) * above
    return lost.sum(dim=(1, 2)) / above.sum(dim=(1, 2)).clamp(min=1)


def listmle(predicted: "Tensor", target: "Tensor") -> "Tensor":
    """Negative log-likelihood of the true order, best first, when drawn without replacement.

    The item at each position is drawn with probability exp(s) over the sum of all that are left;
    the loss is the mean over the positions. Ties are in the order of their rows.

    Args:
        predicted: (members, n) scores on any scale.
        target: (members, n) values.

    Returns:
        (members,).

    Reference: Xia et al., Listwise Approach to Learning to Rank, ICML 2008, section 4. Differs:
    divided by n, so that one learning rate fits lists of any length.
    """
    order = target.argsort(dim=1, descending=True, stable=True)
    scores = predicted.gather(1, order)
    left = scores.flip(1).logcumsumexp(dim=1).flip(1)
    return (left - scores).mean(dim=1)


LOSSES = MappingProxyType[str, Callable[["Tensor", "Tensor"], "Tensor"]](
    {"mse": mse, "mae": mae, "pairwise": pairwise, "listmle": listmle}
)
"""Name -> function of (predicted, target), (members, n) each -> (members,)."""
RANK_LOSSES = frozenset({"pairwise", "listmle"})
"""Losses that are invariant to an offset of the scores."""


def check_loss(name: str) -> None:
    """Refuse an unknown loss.

    Raises:
        PredictorError: no such loss.
    """
    if name not in LOSSES:
        raise PredictorError(f"Expected a loss among {', '.join(LOSSES)}, but got {name!r}.")
