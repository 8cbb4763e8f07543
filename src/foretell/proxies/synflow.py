"""SynFlow: flow through the network with every weight made positive; no data."""

import torch

from foretell.errors import ProxyError
from foretell.proxies._base import Collected

__all__ = ["logsynflow", "synflow"]


def synflow(c: Collected) -> float:
    """Log of the sum over weights of |w dR/dw|, R the summed outputs for an image of ones.

    Weights are made positive, batch normalisation is removed, all in float64: the sum reaches 1e60
    on common networks, so its log is what is kept, as NAS-Bench-Suite-Zero does.

    Differs from ZenNAS: that keeps batch normalisation, which makes it another proxy.
    """
    total = torch.stack([(layer.weight * layer.grad).abs().sum() for layer in c.synflow]).sum()
    if not 0 < float(total) < float("inf"):
        raise ProxyError(f"synflow sums to {float(total)}: it leaves the range of float64.")
    return float(total.log())


def logsynflow(c: Collected) -> float:
    """Sum over weights of |w| log(1 + |dR/dw|): one large layer no longer drowns the others."""
    return float(
        torch.stack([(x.grad.abs().log1p() * x.weight.abs()).sum() for x in c.synflow]).sum()
    )
