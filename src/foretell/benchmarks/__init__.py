"""Tables of trained networks: what was measured, for every architecture, seed and epoch."""

from foretell.benchmarks._base import Benchmark, Kind, Metric, Split, TableData

__all__ = ["Benchmark", "Kind", "Metric", "Split", "TableData"]
