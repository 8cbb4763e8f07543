"""A need of the shared pass of your own, in one file, and a proxy that reads it.

    foretell score --sample 5 --proxies tutorials/my_need.py:even_activations,synflow

Proxies are pure functions of what the pass collected. Where the needs of ``foretell.proxies.Needs``
are not enough, a collector adds one: it says after which step of the pass it can work, watches
that step by hooks, and returns a value. The pass still runs once for all proxies.
"""

import torch
from torch import Tensor

from foretell.errors import ProxyError
from foretell.proxies import Collected, Collector, Needs, Pass, Step, collectors, proxies


@collectors.add("activity", step=Step.FORWARD)
class Activity(Collector):
    """For each live layer, the standard deviation of its result on the first batch."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.stds: list[float] = []

    def layer(self, index: int, out: Tensor) -> None:
        self.stds.append(float(out.detach().std()))

    def collect(self, run: Pass) -> Tensor:
        """(layers,) float64, aligned to ``run.weights``."""
        return torch.tensor([self.stds[i] for i in run.first_calls], dtype=torch.float64)


@proxies.add("even_activations", needs=Needs.of("activity"), data="images")
def even_activations(c: Collected) -> float:
    """Minus the spread over layers of the log of the standard deviation of their results."""
    stds = c.part("activity")
    assert isinstance(stds, Tensor)
    if not bool((stds > 0).all()):
        raise ProxyError("Some layer gives the same value for every image.")
    return -float(stds.log().std(correction=0))
