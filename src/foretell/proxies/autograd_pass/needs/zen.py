"""Features of an input and its perturbation under N(0, 1) weights."""

import torch

from foretell.proxies._base import ZenStats
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector
from foretell.proxies.shared.zen_inputs import gaussian_weights, running_variance, zen_inputs
from foretell.rng import stream_seed

__all__ = ["ZenCollector"]


class ZenCollector(Collector):
    """Statistics of two forwards under N(0, 1) weights."""

    @torch.no_grad()
    def collect(self, run: Pass) -> ZenStats:
        """The distance of the features, and the variances that batch normalisations see."""
        seed = stream_seed(run.seed, "zen")
        drawn = gaussian_weights(run.module, seed)
        params = {n: drawn[n].to(run.device) if n in drawn else p for n, p in run.params.items()}
        features, variances = [], []
        for x in zen_inputs(tuple(run.batches.images[0].shape), seed):
            watch = Watch(measure=True)
            y = run.forward(params | run.buffers(), x.to(run.device), watch)
            features.append(y if watch.features is None else watch.features)
            variances.append(watch.variances)
        difference = float((features[0] - features[1]).abs().flatten(1).sum(1).mean())
        live = [call.node in run.nodes for call in run.norms]
        if len(live) != len(variances[0]):
            live = [True] * len(variances[0])
        return ZenStats(difference, running_variance(variances[0], variances[1], live))
