"""Parameters and multiply-adds."""

from typing import cast

from foretell.proxies._base import Costs
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.restore import seeded
from foretell.proxies.needs import Collector
from foretell.rng import stream_seed
from foretell.types import Shape3

__all__ = ["CostCollector"]


class CostCollector(Collector):
    """What ``foretell.cost.count`` counts, on the meta device where the module runs there."""

    def collect(self, run: Pass) -> Costs:
        """The free baselines."""
        from foretell.cost import count

        shape = cast(Shape3, run.batches.input_shape)  # whatever number of axes the images have
        seed = stream_seed(run.seed, "costs")
        with (
            seeded(seed, run.batches.images[0]),
            run.held.unchanged(train=run.module.training),
        ):
            cost = count(run.module, shape, partial=True, run_itself=True)
        return Costs(cost.params, cost.live_params, cost.flops, cost.sum_log_params, cost.uncounted)
