"""Features of an input and its perturbation under N(0, 1) weights."""

from functools import partial

from torch import Tensor

from foretell.errors import ProxyError
from foretell.proxies._base import ZenStats
from foretell.proxies.autograd_pass.features import features
from foretell.proxies.autograd_pass.graph import LayerKey
from foretell.proxies.autograd_pass.network import Pass, leaf
from foretell.proxies.autograd_pass.rewrite import Rewrite
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector
from foretell.proxies.shared.zen_inputs import (
    gaussian_values,
    running_variance,
    zen_inputs,
)
from foretell.rng import stream_seed

__all__ = ["ZenCollector"]


class ZenCollector(Collector):
    """Statistics of two forwards under N(0, 1) weights."""

    def collect(self, run: Pass) -> ZenStats:
        """The distance of the features, and the variances that batch normalisations see.

        Raises:
            ProxyError: the weights of a layer cannot be drawn, or the features are overwritten.
        """
        seed = stream_seed(run.seed, "zen")
        layers = {c.key: c.bias for c in run.layers if c.key is not None}
        idle = run.params.keys() - run.read.union(*(key[0] for key in layers))
        drawn, made = gaussian_values(run.module, seed, layers, run.trace.watch.scales, idle)
        params = {
            n: leaf(drawn[n].to(run.device, p.dtype) if n in drawn else p.detach())
            for n, p in run.params.items()
        }
        sides: list[list[Tensor]] = []
        variances = []
        live: list[bool] = []
        n = len(run.batches.images[0])
        for x in zen_inputs(tuple(run.batches.images[0].shape), seed):
            watch = Watch(measure=True, outputs=True)
            x = x.to(run.device, run.dtype)
            used: set[LayerKey] = set()
            rewrite = partial(_drawn, made=made, used=used) if made else None
            own = run.copies(params)
            trace = run.traced(own | run.buffers(), x, watch, rewrite=rewrite)
            if any(c.key in made and c.key not in used for c in watch.layers):
                raise ProxyError(
                    "Some weights are computed inside of an operation from parameters: Zen cannot "
                    "draw them."
                )
            sides.append([f.detach() for f in features(trace.logits, watch)] or [trace.logits])
            variances.append(watch.variances)
            live = [call.node in trace.nodes for call in watch.norms]
        if [f.shape for f in sides[0]] != [f.shape for f in sides[1]]:
            raise ProxyError("The features of two inputs have different shapes: no distance.")
        difference = sum(_distance(a, b, n) for a, b in zip(*sides, strict=True))
        return ZenStats(difference, running_variance(variances[0], variances[1], live))


def _distance(a: Tensor, b: Tensor, n: int) -> float:
    """L1 distance, mean over images."""
    size = (a - b).detach().abs()
    return float(size.flatten(1).sum(1).mean() if len(a) == n else size.sum() / n)


def _drawn(watch: Watch, made: dict[LayerKey, Tensor], used: set[LayerKey]) -> Rewrite:
    """Takes the drawn values instead of computed weights, in the graph of these."""

    def weight(w: Tensor) -> Tensor | None:
        w = w if w._base is None else w.clone()  # of its own shape
        made_of = watch.graph.weight(w)
        if made_of is None or made_of.key not in made:
            return None
        used.add(made_of.key)
        return w * 0 + made[made_of.key].to(w.device, w.dtype) * (w != 0)  # a mask stays

    return Rewrite(weight, norms=True)
