"""What a network costs: parameters, multiply-adds, peak activation memory."""

from foretell.cost.counting import Cost, count
from foretell.cost.tables import costs

__all__ = ["Cost", "costs", "count"]
