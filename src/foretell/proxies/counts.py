"""The free baselines: what the architecture costs, and the size of its weights."""

import torch

from foretell.errors import ProxyError
from foretell.proxies._base import Collected

__all__ = ["flops", "l2_norm", "live_params", "params", "sum_log_params"]


def params(c: Collected) -> float:
    """Number of trainable parameters, those of dead operations included."""
    return float(c.costs.params)


def flops(c: Collected) -> float:
    """Multiply-adds of one image in convolutions and matrix products.

    Differs: the published column of NAS-Bench-Suite-Zero counts normalisation and pooling as well.

    Raises:
        ProxyError: an operation has no count.
    """
    if c.costs.uncounted:
        raise ProxyError(f"Multiply-adds of {', '.join(c.costs.uncounted)} have no formula.")
    return float(c.costs.flops)


def live_params(c: Collected) -> float:
    """Number of trainable parameters on some path from input to output."""
    return float(c.costs.live_params)


def sum_log_params(c: Collected) -> float:
    """Sum over live weight layers of the log of their number of weights.

    What ZiCo measures with two batches, but for noise: no pass is needed for it.
    """
    return c.costs.sum_log_params


def l2_norm(c: Collected) -> float:
    """Sum over live layers of the L2 norm of the initial weights.

    Differs from SamsungLabs/zero-cost-nas: layers that do not reach the output are left out.
    """
    return float(torch.stack(torch._foreach_norm(c.weights)).sum())
