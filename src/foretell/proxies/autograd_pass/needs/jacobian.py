"""Gradients of the summed logits with respect to the images."""

from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector

__all__ = ["JacobianCollector"]


class JacobianCollector(Collector):
    """Jacobian of the summed logits with respect to the inputs."""

    def collect(self, run: Pass) -> Tensor:
        """(n, c*h*w)."""
        return run.image_grads.flatten(1)
