"""Gradients of the loss on every batch."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector
from foretell.proxies.shared.batches import check_distinct

__all__ = ["BatchGradCollector"]


class BatchGradCollector(Collector):
    """For each batch, dloss/dweight of each live layer."""

    def collect(self, run: Pass) -> tuple[tuple[Tensor, ...], ...]:
        """One tuple a batch, one tensor a layer; the first batch is that of the pass.

        A layer that does not run on a further batch has a gradient of zeros there.

        Raises:
            TooFewBatchesError: two batches hold the same images.
        """
        check_distinct(run.batches)
        return (run.grads, *_further(run))


def _further(run: Pass) -> Iterator[tuple[Tensor, ...]]:
    for x, labels in zip(run.batches.images[1:], run.batches.labels[1:], strict=True):
        if run.of_parameters:
            yield run.gradients(x, labels)
            continue
        trace = run.traced(run.state(), x, Watch())
        grads = trace.gradients(F.cross_entropy(trace.logits, labels))
        by_key = dict(zip(trace.weights, grads, strict=True))
        yield tuple(
            by_key[key] if key in by_key else torch.zeros_like(ts[0])
            for key, ts in run.trace.weights.items()
        )
