"""What a network costs: parameters, multiply-adds, peak activation memory, measured latency."""

from foretell.cost.counting import Cost, count
from foretell.cost.latency import Latency, measure_latency
from foretell.cost.runtime import runtimes
from foretell.cost.tables import costs

__all__ = ["Cost", "Latency", "costs", "count", "measure_latency", "runtimes"]
