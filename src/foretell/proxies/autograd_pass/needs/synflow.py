"""The linearised network."""

import torch
from torch import Tensor, nn

from foretell.errors import ProxyError
from foretell.proxies._base import SynflowLayer
from foretell.proxies.autograd_pass.network import Pass, Trace, leaf
from foretell.proxies.autograd_pass.rewrite import Rewrite
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.needs import Collector

__all__ = ["SynflowCollector"]


class SynflowCollector(Collector):
    """All weights made positive, batch normalisation removed, one image of ones, eval mode.

    The weights are those that a layer runs with: of a normed or otherwise computed weight, the
    absolute value of the result is taken, not that of the parameters that it is computed from.
    """

    def collect(self, run: Pass) -> tuple[SynflowLayer, ...]:
        """Each layer that is live there.

        Raises:
            ProxyError: some weights cannot be made positive, or normalisations removed.
        """
        sources = _sources(run.trace.watch)
        trace = _linearised(run, sources)
        if further := _sources(trace.watch) - sources:  # of layers that run in eval mode alone
            trace = _linearised(run, sources | further)
        watch = trace.watch
        norms = [call for call in watch.norms if call.node in trace.nodes]
        if norms and not run.scripted:
            raise ProxyError(
                "A batch normalisation is called in a way that SynFlow cannot remove: use "
                "nn.BatchNorm2d or torch.nn.functional.batch_norm."
            )
        if not trace.weights:
            raise ProxyError("No layer leads to the output in eval mode: SynFlow has no flow.")
        if any(bool((t < 0).any()) for ts in trace.weights.values() for t in ts):
            raise ProxyError(
                "Some weights are computed inside of an operation from parameters: SynFlow cannot "
                "make them positive."
            )
        grads = trace.gradients(trace.logits.sum())
        return tuple(
            SynflowLayer(ts[0].detach(), g)
            for ts, g in zip(trace.weights.values(), grads, strict=True)
        )


def _sources(watch: Watch) -> frozenset[str]:
    """Names of the parameters that weights are computed from."""
    computed = (c.key[0] for c in watch.layers if c.key is not None and c.key[2])
    return frozenset[str]().union(*computed)


def _linearised(run: Pass, sources: frozenset[str]) -> Trace:
    """The forward of one image of ones; weights are computed from the sources as they are."""
    params = {}
    for n, p in run.params.items():
        double = p.detach().double() if p.is_floating_point() else p
        params[n] = leaf(double if n in sources or double is p else double.abs())
    state = params | run.buffers(torch.float64)
    if run.scripted:
        state |= _identities(run.module, state)
    x = torch.ones(1, *run.batches.input_shape, dtype=torch.float64, device=run.device)
    return run.traced(state, x, Watch(), train=False, rewrite=_positive)


def _positive(watch: Watch) -> Rewrite:
    def weight(w: Tensor) -> Tensor | None:
        made = watch.graph.weight(w)
        return None if made is None or not made.key[2] else w.abs()

    return Rewrite(weight, norms=False)


def _identities(module: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values with which batch normalisations inside of TorchScript return their input."""
    values = {}
    for name, child in module.named_modules():
        prefix = f"{name}." if name else ""
        if f"{prefix}running_var" in state and isinstance(child, torch.jit.ScriptModule):
            eps = float(getattr(child, "eps", 1e-5))
            for part, value in {
                "running_mean": 0.0, "running_var": 1 - eps, "weight": 1.0, "bias": 0.0,
            }.items():  # fmt: skip
                if (key := prefix + part) in state:
                    full = torch.full_like(state[key], value).detach()
                    values[key] = full.requires_grad_(state[key].requires_grad)
    return values
