"""Predicted values as people read them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foretell.report.html.format import DASH
from foretell.studies.predict.study import Ranking
from foretell.types import Array

__all__ = ["Unit", "short", "unit_of"]


@dataclass(frozen=True)
class Unit:
    """How values and differences are written.

    Args:
        factor: by which they are multiplied.
        of_value: what follows a value.
        of_change: what follows a difference.
        digits: after the point; None for four significant ones.
    """

    factor: float = 1.0
    of_value: str = ""
    of_change: str = ""
    digits: int | None = None

    def value(self, value: float) -> str:
        """A value.

        >>> Unit(100.0, " %", " points", 2).value(0.93672)
        '93.67 %'
        """
        return self._number(value) + self.of_value if math.isfinite(value) else DASH

    def change(self, value: float) -> str:
        """A difference, with its sign.

        >>> Unit(100.0, " %", " points", 2).change(-0.0123)
        '−1.23 points'
        """
        if not math.isfinite(value):
            return DASH
        zero = not float(self._number(abs(value)))
        return f"{'' if zero else '+' if value > 0 else '−'}{self.size(abs(value))}"

    def size(self, value: float) -> str:
        """A distance, such as an error or a width."""
        return self._number(value) + self.of_change if math.isfinite(value) else DASH

    def between(self, low: float, high: float) -> str:
        """An interval; empty without one, or where an end is infinite."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return ""
        return f"{self._number(low)} to {self.value(high)}"

    def _number(self, value: float) -> str:
        scaled = self.factor * value
        return f"{scaled:.4g}" if self.digits is None else f"{scaled:.{self.digits}f}"


def unit_of(ranking: Ranking) -> Unit:
    """Points of a percentage for an accuracy; numbers as they are for anything else.

    An accuracy is what is bounded by 0 and 1, or what is called so and lies between 0 and 1 or
    between 0 and 100.
    """
    return _unit(ranking.config.target, ranking.learned.values, ranking.config.bounds)


def _unit(target: str, values: Array, bounds: Sequence[float] | None) -> Unit:
    named = "acc" in target.lower() and bool(np.min(values) >= 0)
    most = float(np.max(values))
    if bounds == (0, 1) or (named and bounds is None and most <= 1):
        return Unit(100.0, " %", " points", 2)
    if named and most <= 100:
        return Unit(1.0, " %", " points", 2)
    return Unit()


def short(text: str, most: int) -> str:
    """A text, cut where it is too long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
