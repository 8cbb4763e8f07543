"""Products of activations and their gradients."""

import torch
from torch import Tensor

from foretell.errors import ProxyError
from foretell.proxies.autograd_pass.graph import LayerKey
from foretell.proxies.autograd_pass.images import Layout
from foretell.proxies.autograd_pass.network import Pass
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
        self._storages: dict[int, list[int]] = {}
        self._values: list[Tensor] = []
        self._products: dict[int, Tensor] = {}
        self._rows: dict[int, bool] = {}

    def layer(self, index: int, out: Tensor) -> None:
        """Keep the result, and wait for its gradient."""
        self._storages.setdefault(out.untyped_storage().data_ptr(), []).append(len(self._values))
        self._values.append(out.detach())
        self._rows[index] = self.by_row
        if out.requires_grad:
            out.register_hook(lambda grad: self._add(index, grad.detach()))  # type: ignore[no-untyped-call]

    def write(self, x: Tensor) -> None:
        """Keep what is in a result before something else is written into its memory."""
        for i in self._storages.pop(x.untyped_storage().data_ptr(), ()):
            self._values[i] = self._values[i].clone()

    def backward(self, running: bool) -> None:
        """Look at the gradients of this backward and of no other."""
        self._active = running

    def _add(self, index: int, grad: Tensor) -> None:
        if self._active:
            product = self._values[index] * grad
            self._products[index] = self._products.get(index, 0) + product

    def collect(self, run: Pass) -> tuple[Tensor, ...]:
        """(channels,) a layer; weights that are used more than once add up, parts are joined.

        Raises:
            ProxyError: it cannot be told which part of a result is whose.
        """
        weights = run.weights
        _ = run.grads  # without them nothing was seen in the backward
        totals: dict[LayerKey, dict[tuple[int, tuple[int, ...]], Tensor]] = {}
        for index, product in self._products.items():
            call = run.layers[index]
            if call.key is None or call.key not in run.trace.weights or call.node not in run.nodes:
                continue
            if self._rows[index]:
                layout = Layout(0, len(product) // self.n)
            else:
                layout = run.layer_layout(index)
            rows = layout.rows(product, self.n)
            if call.channel is None:
                rows, channel = rows.unsqueeze(-1), rows.ndim
            elif call.channel == layout.axis:
                raise ProxyError("The images of the batch are the channels of a layer's result.")
            else:
                channel = layout.axis_after(call.channel)
            dims = [d for d in range(1, rows.ndim) if d != channel]
            value = (rows.sum(dims) if dims else rows).square().mean(0) / 2
            parts = totals.setdefault(call.key, {})
            parts[call.part] = parts[call.part] + value if call.part in parts else value
        return tuple(
            torch.cat(list(totals[key].values())) if key in totals else weight.new_zeros(1)
            for key, weight in zip(run.trace.weights, weights, strict=True)
        )
