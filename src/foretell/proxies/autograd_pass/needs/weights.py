"""The weights of the live layers."""

from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector

__all__ = ["WeightCollector"]


class WeightCollector(Collector):
    """The weights of each live layer."""

    def collect(self, run: Pass) -> tuple[Tensor, ...]:
        """One tensor a layer."""
        return tuple(w.detach() for w in run.weights)
