"""Gradients of the loss on every batch."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector

__all__ = ["BatchGradCollector"]


class BatchGradCollector(Collector):
    """For each batch, dloss/dweight of each live layer."""

    def collect(self, run: Pass) -> tuple[tuple[Tensor, ...], ...]:
        """One tuple a batch, one tensor a layer; the first batch is that of the pass."""
        return (run.grads, *_further(run))


def _further(run: Pass) -> Iterator[tuple[Tensor, ...]]:
    for x, labels in zip(run.batches.images[1:], run.batches.labels[1:], strict=True):
        watch = Watch()
        y = run.forward(run.params | run.buffers(), x, watch)
        yield torch.autograd.grad(F.cross_entropy(y, labels), run.live_weights(watch))
