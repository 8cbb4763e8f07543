"""Official files of published benchmarks, read into tables without running anything in them."""

from foretell.benchmarks.importers import columns, nats, nb101, nb_macro  # noqa: F401  (they register)
from foretell.benchmarks.importers._base import (
    Importer,
    Progress,
    importers,
    quiet,
    read_benchmark,
)

__all__ = ["Importer", "Progress", "importers", "quiet", "read_benchmark"]
