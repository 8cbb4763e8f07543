"""What a search is after: quantities, which way is better, and several of them as one number."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from foretell.errors import SearchError, UnknownNameError, UsageError
from foretell.metrics import non_dominated, ranks
from foretell.quantities import Quantity, Stage, get_quantity
from foretell.types import Array, Direction

__all__ = ["Objective", "chebyshev", "draw_weights", "preferred"]

_RHO = 0.05
"""Weight of the plain sum beside the minimum."""


@dataclass(frozen=True)
class Objective:
    """One quantity and which way is better.

    Args:
        name: of a quantity, such as "accuracy" or "latency@onnxruntime".
        direction: "max" or "min".

    Raises:
        UsageError: the direction is neither "max" nor "min".
    """

    name: str
    direction: Direction = "max"

    def __post_init__(self) -> None:
        """Refuse a direction that is none."""
        if self.direction not in ("max", "min"):
            raise UsageError(
                f"Expected the direction 'max' or 'min' for {self.name!r}, but got "
                f"{self.direction!r}."
            )

    @classmethod
    def parse(cls, text: str, *, anything: bool = False) -> "Objective":
        """The objective that a text names.

        Args:
            text: a quantity, whose own direction is taken, or "max:NAME" or "min:NAME".
            anything: whether an unknown name is taken for a value that a user measures, which is
                better when higher.

        Raises:
            UnknownNameError: no such quantity.
            UsageError: the quantity lacks an argument, or has a wrong one.
        """
        sign, colon, rest = text.strip().partition(":")
        name = rest if colon and sign in ("max", "min") else text.strip()
        try:
            quantity = get_quantity(name)
        except UnknownNameError:
            if not anything:
                raise
            quantity = Quantity(name)
        if name != text.strip():
            return cls(name, "max" if sign == "max" else "min")
        return cls(name, quantity.direction)

    @property
    def stage(self) -> Stage:
        """What must be done before the quantity is known."""
        try:
            return get_quantity(self.name).stage
        except UnknownNameError:
            return Stage.TRAINED

    def gain(self, values: Array) -> Array:
        """The values with their sign flipped where lower is better, so that higher is better."""
        return values if self.direction == "max" else -values

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        try:
            usual = get_quantity(self.name).direction
        except UnknownNameError:
            usual = "max"
        return self.name if self.direction == usual else f"{self.direction}:{self.name}"


def draw_weights(objectives: int, rng: Generator) -> Array:
    """Weights of several objectives, uniform on the simplex, (objectives,)."""
    return rng.dirichlet(np.ones(objectives))


def chebyshev(gains: Array, weights: Array) -> Array:
    """Several objectives as one number: augmented Chebyshev scalarisation of ranks.

    Each column is replaced by its ranks, from 0 for the worst to 1 for the best; the value is
    ``min_k w_k r_k + 0.05 sum_k w_k r_k``. Ranks make it free of units.

    Args:
        gains: (n, k) higher is better; a row with NaN has no value.
        weights: (k,) >= 0.

    Returns:
        (n,) higher is better; NaN where a row has one.

    Reference:
        Knowles: ParEGO, IEEE Transactions on Evolutionary Computation 10(1), 2006, section III.

    Differs:
        Ranks in place of values scaled to [0, 1], and a maximum is sought.
    """
    out = np.full(len(gains), np.nan)
    rows = np.isfinite(gains).all(axis=1)
    n = int(rows.sum())
    if not n:
        return out
    scaled = np.stack([ranks(column) / max(n - 1, 1) for column in gains[rows].T], axis=1)
    weighted = scaled * weights
    out[rows] = weighted.min(axis=1) + _RHO * weighted.sum(axis=1)
    return out


def preferred(gains: Array, names: Sequence[str], prefer: str) -> int:
    """The row of the front to take.

    "knee" takes the row that is farthest beyond the plane through the best of each objective, each
    scaled to [0, 1] on the front: where giving up a little of one no longer wins much of another.
    The name of an objective takes the best in that one. Of equals the first is taken.

    Args:
        gains: (n, k) higher is better.
        names: (k,) of the objectives.
        prefer: "knee" or one of the names.

    Returns:
        The row.

    Raises:
        UnknownNameError: it is neither.
        SearchError: no row has all values.

    Reference:
        Das: On characterizing the "knee" of the Pareto curve, Structural Optimization 18, 1999.
    """
    if prefer != "knee" and prefer not in names:
        known = ["knee", *names]
        near = difflib.get_close_matches(prefer, known, 2, 0.4)
        raise UnknownNameError("choice of a winner", prefer, near, known)
    rows = np.flatnonzero(non_dominated(gains, ["max"] * len(names)))
    if not len(rows):
        raise SearchError("No trial has a value of every objective, so there is nothing to choose.")
    values = gains[rows]
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    if prefer == "knee":
        merit = np.round(scaled.sum(axis=1), 12)
    else:
        merit = values[:, list(names).index(prefer)]
    return int(rows[np.argmax(merit)])
