"""The free baselines: what the architecture costs, and the size of its weights."""

import torch

from foretell.proxies._base import Collected, Needs, proxies

__all__ = ["flops", "l2_norm", "live_params", "params", "sum_log_params"]


@proxies.add("params", needs=Needs.COSTS, data="none", reference="White et al., NeurIPS 2021")
def params(c: Collected) -> float:
    """Number of trainable parameters, those of dead operations included."""
    return float(c.costs.params)


@proxies.add("flops", needs=Needs.COSTS, data="none", reference="White et al., NeurIPS 2021")
def flops(c: Collected) -> float:
    """Multiply-adds of one image in convolutions and matrix products.

    Differs: the published column of NAS-Bench-Suite-Zero counts normalisation and pooling as well.
    """
    return float(c.costs.flops)


@proxies.add("live_params", needs=Needs.COSTS, data="none")
def live_params(c: Collected) -> float:
    """Number of trainable parameters on some path from input to output."""
    return float(c.costs.live_params)


@proxies.add("sum_log_params", needs=Needs.COSTS, data="none")
def sum_log_params(c: Collected) -> float:
    """Sum over live weight layers of the log of their number of weights.

    What ZiCo measures with two batches, but for noise: no pass is needed for it.
    """
    return c.costs.sum_log_params


@proxies.add(
    "l2_norm",
    needs=Needs.WEIGHTS,
    data="none",
    reference="Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021",
)
def l2_norm(c: Collected) -> float:
    """Sum over live layers of the L2 norm of the initial weights.

    Differs from SamsungLabs/zero-cost-nas: layers that do not reach the output are left out.
    """
    return float(torch.stack(torch._foreach_norm(c.weights)).sum())
