"""The linearised network."""

import torch

from foretell.proxies._base import SynflowLayer
from foretell.proxies.autograd_pass.network import Pass, leaf
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector

__all__ = ["SynflowCollector"]


class SynflowCollector(Collector):
    """All weights made positive, batch normalisation removed, one image of ones."""

    def collect(self, run: Pass) -> tuple[SynflowLayer, ...]:
        """Each live layer."""
        params = {
            n: leaf(p.detach().double().abs()) if p.is_floating_point() else p
            for n, p in run.params.items()
        }
        x = torch.ones(1, *run.batches.input_shape, dtype=torch.float64, device=run.device)
        watch = Watch(linearise=True)
        y = run.forward(params | run.buffers(torch.float64), x, watch, train=False)
        weights = run.live_weights(watch)
        grads = torch.autograd.grad(y.sum(), weights, allow_unused=True)
        return tuple(
            SynflowLayer(w.detach(), torch.zeros_like(w) if g is None else g)
            for w, g in zip(weights, grads, strict=True)
        )
