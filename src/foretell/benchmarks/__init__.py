"""Tabular benchmarks: measured values of trained networks by architecture, seed and epoch."""

from foretell.benchmarks._base import Benchmark, Kind, Metric, Split, TableData
from foretell.benchmarks._registry import (
    benchmarks,
    download_benchmark,
    home,
    how_to_get,
    import_benchmark,
    imported,
    open_benchmark,
    table_path,
)
from foretell.benchmarks.table import Table, from_data, write_table

__all__ = [
    "Benchmark",
    "Kind",
    "Metric",
    "Split",
    "Table",
    "TableData",
    "benchmarks",
    "download_benchmark",
    "from_data",
    "home",
    "how_to_get",
    "import_benchmark",
    "imported",
    "open_benchmark",
    "table_path",
    "write_table",
]
