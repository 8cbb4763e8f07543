"""Tables of trained networks: what was measured, for every architecture, seed and epoch."""

from foretell.benchmarks._base import Benchmark, Kind, Metric, Split, TableData
from foretell.benchmarks.table import Table, from_data, write_table

__all__ = [
    "Benchmark",
    "Kind",
    "Metric",
    "Split",
    "Table",
    "TableData",
    "from_data",
    "write_table",
]
