"""Agreement of the ReLU codes of the images of the first batch."""

from torch import Tensor

from foretell.errors import ProxyError
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector
from foretell.proxies.shared.codes import CodeCounter

__all__ = ["CodeCollector"]


class CodeCollector(Collector):
    """Number of ReLU units on which two images agree."""

    def __init__(self, n: int) -> None:
        """Start with no ReLU."""
        super().__init__(n)
        self._counter = CodeCounter(n)
        self._later: dict[int, Tensor] = {}

    def relu(self, index: int, x: Tensor) -> None:
        """Count the units of one more ReLU, or keep them until the images' axis is known."""
        if self.by_row:
            self._counter.add(index, x)
        else:
            self._later[index] = (x.detach() > 0).clone()

    def collect(self, run: Pass) -> Tensor:
        """(n, n) float64, over the ReLUs whose result reaches the output.

        Raises:
            ProxyError: there is none, or it cannot be told which units are whose.
        """
        live = [call.node in run.nodes for call in run.relus]
        if not any(live):
            raise ProxyError(
                "The network has no ReLU whose result reaches the output: no codes to compare."
            )
        for index, x in self._later.items():
            if live[index]:
                self._counter.add(index, run.relu_layout(index).rows(x, self.n))
        return self._counter.total(live)
