"""Parameters and multiply-adds."""

import math

from foretell.proxies._base import Costs
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.needs import Collector

__all__ = ["CostCollector"]


class CostCollector(Collector):
    """Parameters by the autograd graph, multiply-adds by the meta device."""

    def collect(self, run: Pass) -> Costs:
        """The free baselines."""
        from foretell.cost import count

        own = {n: p for n, p in run.module.named_parameters() if p.requires_grad}
        live = {id(v) for node in run.nodes if (v := getattr(node, "variable", None)) is not None}
        shape = run.batches.input_shape
        return Costs(
            params=sum(p.numel() for p in own.values()),
            live_params=sum(
                own[n].numel() for n, p in run.params.items() if n in own and id(p) in live
            ),
            flops=int(count(run.module, (shape[0], shape[1], shape[2])).flops),
            sum_log_params=sum(math.log(w.numel()) for w in run.weights),
        )
