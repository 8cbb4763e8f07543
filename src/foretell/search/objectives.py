"""What a search is after."""

from dataclasses import dataclass

from foretell.errors import UsageError
from foretell.types import Array, Direction

__all__ = ["Objective"]


@dataclass(frozen=True)
class Objective:
    """One quantity and which way is better.

    Args:
        name: what is measured, such as "val_accuracy" or "latency".
        direction: "max" or "min".
    """

    name: str
    direction: Direction = "max"

    def __post_init__(self) -> None:
        """Refuse a direction that is none.

        Raises:
            UsageError: the direction is neither "max" nor "min".
        """
        if self.direction not in ("max", "min"):
            raise UsageError(
                f"Expected the direction 'max' or 'min' for {self.name!r}, but got "
                f"{self.direction!r}."
            )

    def gain(self, values: Array) -> Array:
        """The values turned so that higher is better, as searchers are told them; NaN stays."""
        return values if self.direction == "max" else -values
