"""Importers of official files of published benchmarks; no code in them is run."""

from foretell.benchmarks.importers import (  # noqa: F401  (they register)
    columns,
    hw_nas,
    nats,
    nb101,
    nb201,
    nb_macro,
    robustness,
    suite_zero,
    transnas,
)
from foretell.benchmarks.importers._base import (
    Importer,
    Progress,
    importers,
    quiet,
    read_benchmark,
)

__all__ = ["Importer", "Progress", "importers", "quiet", "read_benchmark"]
