"""Products of activations and their gradients."""

from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass, weight_of
from foretell.proxies.needs import Collector

__all__ = ["FisherCollector"]


class FisherCollector(Collector):
    """Per channel of each live layer, one half of mean_n (sum_hw a dloss/da)^2.

    Keeps the results of the layers and, while the backward runs, their products with the gradients.
    """

    def __init__(self, n: int) -> None:
        """Start with no layer."""
        super().__init__(n)
        self._active = False
        self._outputs: list[Tensor] = []
        self._values: list[Tensor] = []
        self._products: dict[int, Tensor] = {}

    def layer(self, index: int, out: Tensor) -> None:
        """Keep the result, and wait for its gradient."""
        self._outputs.append(out)
        self._values.append(out.detach())
        if out.requires_grad:
            out.register_hook(lambda grad: self._add(index, grad.detach()))  # type: ignore[no-untyped-call]

    def write(self, x: Tensor) -> None:
        """Keep what is in a result before something else is written into it."""
        for i, out in enumerate(self._outputs):
            if out is x:
                self._values[i] = x.detach().clone()

    def backward(self, running: bool) -> None:
        """Look at the gradients of this backward and of no other."""
        self._active = running

    def _add(self, index: int, grad: Tensor) -> None:
        if self._active:
            product = self._values[index] * grad
            self._products[index] = self._products.get(index, 0) + product

    def collect(self, run: Pass) -> tuple[Tensor, ...]:
        """(channels,) a layer; weights that are used more than once add up."""
        totals: dict[int, Tensor] = {}
        for index, product in self._products.items():
            weight = weight_of(run.layers[index])
            channel = product.ndim - 1 if weight.ndim == 2 else 1
            dims = [d for d in range(1, product.ndim) if d != channel]
            value = (product.sum(dims) if dims else product).square().mean(0) / 2
            totals[id(weight)] = totals[id(weight)] + value if id(weight) in totals else value
        return tuple(totals[id(w)] for w in run.weights)
