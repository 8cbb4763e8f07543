"""Costs by closed form or on the meta device: fields of ``CostTable``."""

from foretell.quantities._base import Quantity, Stage, register

__all__ = ["COSTS"]

COSTS = (
    Quantity(
        "params", "count", "min", Stage.GRAPH,
        summary="Trainable parameters that reach the output, as live_params: those are exported.",
    ),
    Quantity(
        "live_params", "count", "min", Stage.GRAPH,
        summary="Trainable parameters on some path from input to output.",
    ),
    Quantity("flops", "count", "min", Stage.GRAPH, summary="Multiply-adds of one image."),
    Quantity(
        "memory", "bytes", "min", Stage.GRAPH, summary="Peak activation bytes of one image."
    ),
    Quantity(
        "sum_log_params", "", "max", Stage.GRAPH,
        summary="Sum over live weight layers of log of their number of weights.",
    ),
)  # fmt: skip
"""Costs of a network, known without training."""
for _quantity in COSTS:
    register(_quantity)
