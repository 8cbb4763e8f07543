"""The product of weights, Hessian and gradient."""

import torch

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector

__all__ = ["GraspCollector"]


class GraspCollector(Collector):
    """w'Hg over the live layers, H the Hessian and g the gradient of the loss."""

    def collect(self, run: Pass) -> float:
        """One number; 0 where the loss has no curvature."""
        hessian = run.second(
            lambda grads: torch.stack(
                [(g * d).sum() for g, d in zip(grads, run.grads, strict=True)]
            ).sum()
        )
        return sum(
            float((w.detach() * h).sum(dtype=torch.float64))
            for w, h in zip(run.weights, hessian, strict=True)
            if h is not None
        )
