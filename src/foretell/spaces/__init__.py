"""Search spaces: values without torch."""

from foretell.spaces._base import CostTable, ProductSpace, Skeleton, Space

__all__ = ["CostTable", "ProductSpace", "Skeleton", "Space"]
