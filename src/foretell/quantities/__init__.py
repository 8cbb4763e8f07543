"""Quantities: what an objective or a constraint can name; a file adds one."""

from foretell.quantities import attacks, costs, latency, training  # noqa: F401  (they register)
from foretell.quantities._base import (
    UNITS,
    Measure,
    Quantity,
    Stage,
    Subject,
    get_quantity,
    quantities,
)

__all__ = [
    "UNITS",
    "Measure",
    "Quantity",
    "Stage",
    "Subject",
    "get_quantity",
    "quantities",
]
