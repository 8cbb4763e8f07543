"""Gradients of the loss on the first batch."""

from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector

__all__ = ["GradCollector"]


class GradCollector(Collector):
    """dloss/dweight of each live layer."""

    def collect(self, run: Pass) -> tuple[Tensor, ...]:
        """One tensor a layer."""
        return run.grads
