"""ZiCo: gradients that are large and agree over batches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from foretell.errors import ProxyError, TooFewBatchesError
from foretell.proxies._base import Collected

__all__ = ["zico", "zico_code", "zico_layer"]


def zico_layer(grads: Tensor, *, signed: bool = False) -> Tensor:
    """ZiCo of one layer: log of the sum over weights of mean |g| / std, over batches.

    Args:
        grads: (batches >= 2, weights) dloss/dweight.
        signed: take the standard deviation of g, as the authors' code, instead of that of |g|.

    Returns:
        () in float64; weights whose gradients do not spread are left out, and a layer that has none
        left is 0.

    Raises:
        TooFewBatchesError: one batch has no spread.

    >>> zico_layer(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))  # the second weight is left out
    tensor(0.6931, dtype=torch.float64)
    """
    if len(grads) < 2:
        raise TooFewBatchesError(f"Expected gradients of 2 batches or more, but got {len(grads)}.")
    size = grads.abs()
    if len(grads) == 2:  # half the distance is the standard deviation: no pass for the mean
        spread = grads if signed else size
        std = (spread[0] - spread[1]).abs_().div_(2)
    else:
        std = (grads if signed else size).std(0, correction=0)
    ratio = (size.mean(0) / std).masked_fill_(std == 0, 0)
    total = ratio.sum(dtype=torch.float64)
    return total.log() if float(total) > 0 else torch.zeros((), dtype=torch.float64)


def _sum(grads: Sequence[Sequence[Tensor]], layer: Callable[[Tensor], Tensor]) -> float:
    batches = zip(*grads, strict=True)
    values = [float(layer(torch.stack([g.flatten() for g in gs]))) for gs in batches]
    if not any(values):
        raise ProxyError(
            "No gradient differs between the batches: there is no spread to divide by."
        )
    return sum(values)


def zico(c: Collected) -> float:
    """Sum over layers of log sum_w E|g| / Std|g|, over batches, as the paper writes it."""
    return _sum(c.batch_grads, zico_layer)


def zico_code(c: Collected) -> float:
    """ZiCo with the standard deviation of the signed gradients, as in the authors' code.

    With two batches a weight whose gradients differ in sign then counts exactly 1, so that the
    score is close to ``sum_log_params``.
    """
    return _sum(c.batch_grads, lambda g: zico_layer(g, signed=True))
