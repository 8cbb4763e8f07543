"""Proxies of the loss gradients on one batch: grad_norm, snip, plain, fisher."""

import math

import torch

from foretell.errors import ProxyError
from foretell.proxies._base import Collected
from foretell.proxies.shared.rounding import rounding_share

__all__ = ["fisher", "grad_norm", "plain", "snip"]


def grad_norm(c: Collected) -> float:
    """Sum over layers of the L2 norm of dloss/dweight."""
    return float(torch.stack(torch._foreach_norm(c.grads)).sum())


def snip(c: Collected) -> float:
    """Sum over all weights of |w dloss/dw|.

    Differs from SNIP: the sum is not normalised by itself, as a score of the whole network.
    """
    products = torch._foreach_mul(c.weights, c.grads)
    return float(torch.stack(torch._foreach_norm(products, 1)).sum())


def plain(c: Collected) -> float:
    """Sum over all weights of w dloss/dw, with its sign.

    Raises:
        ProxyError: nothing but rounding is left of the sum.
    """
    products = torch._foreach_mul(c.weights, c.grads)
    value = float(torch.stack([p.sum(dtype=torch.float64) for p in products]).sum())
    size = math.hypot(*torch.stack(torch._foreach_norm(products)).tolist())
    if abs(value) < rounding_share(products[0].dtype) * size:
        raise ProxyError(
            "The terms w dloss/dw cancel, and nothing but rounding is left of their sum, as where "
            "every layer is normalised: score in higher precision."
        )
    return value


def fisher(c: Collected) -> float:
    """Sum over weights of their channel's 1/2 mean_n (sum_hw a dloss/da)^2, a the layer's result.

    The value of a channel is counted once for each of its weights, as the authors' code does: a
    factor of inputs times kernel size. ``fisher_channels`` counts it once.
    """
    return float(
        sum(
            f.double().sum() * (w.numel() / f.numel())
            for f, w in zip(c.fisher, c.weights, strict=True)
        )
    )


def fisher_channels(c: Collected) -> float:
    """Sum over channels of 1/2 mean_n (sum_hw a dloss/da)^2, a the layer's result."""
    return float(torch.cat([f.double() for f in c.fisher]).sum())
