"""Bounds on what a network may cost: read from text, checked on many architectures at once."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ConstraintError
from foretell.spaces import CostTable
from foretell.types import Array

__all__ = ["COST_NAMES", "Constraint", "Feasibility", "combine", "feasible_mask"]

COST_NAMES = tuple(f.name for f in fields(CostTable) if f.name != "alive")
"""What ``CostTable`` can bound."""

_COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_BYTES = {
    "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
}  # fmt: skip
_TIME = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BOUND = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z%]*)\s*$")
_PARTS = re.compile(r"(<=|>=|≤|≥|==|<|>|=)")


@dataclass(frozen=True)
class Constraint:
    """One cost and the closed interval it must lie in.

    Args:
        name: a field of ``CostTable``, or another cost that is measured, such as "latency".
        max: the largest allowed value, in parameters, multiply-adds, bytes or seconds; None for no
            bound.
        min: the smallest allowed value; None for no bound.
        relative: whether the bounds are shares of a reference architecture's cost (0.9 = 90 %).

    >>> Constraint.parse("params<=300k")
    Constraint(name='params', max=300000.0, min=None, relative=False)
    """

    name: str
    max: float | None = None
    min: float | None = None
    relative: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds that nothing can meet.

        Raises:
            ConstraintError: no bound, a bound that is not a finite number >= 0, or min > max.
        """
        bounds = [b for b in (self.min, self.max) if b is not None]
        if not bounds:
            raise ConstraintError(f"The constraint on {self.name!r} has neither min nor max.")
        if bad := [b for b in bounds if not (math.isfinite(b) and b >= 0)]:
            raise ConstraintError(
                f"The bound of {self.name!r} must be a finite number >= 0, but is {bad[0]}."
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ConstraintError(
                f"No value of {self.name!r} is both >= {self.min:g} and <= {self.max:g}: change "
                f"one of the bounds."
            )

    @classmethod
    def parse(cls, text: str, *, known: Sequence[str] = COST_NAMES) -> "Constraint":
        """The constraint that a text names.

        Suffixes: k, M, G (powers of 1,000) for counts; KB, MB, GB and KiB, MiB, GiB for memory; us,
        ms, s for latencies; % of a reference architecture. Case does not matter.

        Args:
            text: such as "params<=300k", "100k<=params<=300k", "memory<=1.5MiB", "flops<=90%".
            known: costs that may be named; "latency" and "latency@DEVICE" always may.

        Raises:
            ConstraintError: the text is no constraint, or names an unknown cost.
        """
        parts = [p.strip() for p in _PARTS.split(text)]
        signs = [{"≤": "<=", "≥": ">="}.get(s, s) for s in parts[1::2]]
        if any(s not in ("<=", ">=") for s in signs) or not 1 <= len(signs) <= 2:
            raise ConstraintError(
                f"{text!r} is no constraint: write a cost, <= or >=, and a number, such as "
                f"params<=300k."
            )
        places = [i for i, p in enumerate(parts[::2]) if not _BOUND.match(p)]
        if len(signs) == 2 and (places != [1] or signs[0] != signs[1]):
            raise ConstraintError(
                f"{text!r} is no constraint: two bounds are written such as 100k<=params<=300k."
            )
        if len(places) != 1:
            word = "number" if places else "cost"
            raise ConstraintError(
                f"{text!r} is no constraint: it has no {word}; write such as params<=300k, with "
                f"k, M, G, KiB, MiB, ms or % after the number."
            )
        place = places[0]
        name = parts[2 * place]
        if name.partition("@")[0] != "latency":
            _known(name, known)
        bounds: dict[str, float] = {}
        kinds: list[bool] = []
        for i, sign in enumerate(signs):
            number = parts[2 * i] if i < place else parts[2 * i + 2]
            value, relative = _bound(name, number, text)
            # The cost left of "<=" has a largest value; right of it, a smallest.
            bounds["max" if (sign == "<=") == (i >= place) else "min"] = value
            kinds.append(relative)
        if len(set(kinds)) > 1:
            raise ConstraintError(f"{text!r} mixes a percentage with a number: use one kind.")
        return cls(name, bounds.get("max"), bounds.get("min"), kinds[0])

    def absolute(self, reference: "Costs | None") -> "Constraint":
        """The same constraint with shares turned into values.

        Args:
            reference: costs of one architecture; only needed for a relative constraint.

        Raises:
            ConstraintError: a reference is needed and absent, or its cost is unknown.
        """
        if not self.relative:
            return self
        if reference is None:
            raise ConstraintError(
                f"{self} is a share of a reference architecture, but none was given."
            )
        cost = _column(reference, self.name)
        if len(cost) != 1 or not np.isfinite(cost[0]):
            raise ConstraintError(
                f"{self} needs one reference architecture of known cost, but got {cost.tolist()}."
            )
        unit = float(cost[0])
        return replace(
            self,
            max=None if self.max is None else self.max * unit,
            min=None if self.min is None else self.min * unit,
            relative=False,
        )

    def mask(self, values: Array) -> NDArray[np.bool_]:
        """Which values lie inside the bounds, (n,); NaN does not."""
        low = -np.inf if self.min is None else self.min
        high = np.inf if self.max is None else self.max
        return np.asarray((values >= low) & (values <= high))

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        unit = "%" if self.relative else "s" if self.name.partition("@")[0] == "latency" else ""
        low, high = (
            None if b is None else f"{b * (100 if self.relative else 1):.12g}{unit}"
            for b in (self.min, self.max)
        )
        if low is None:
            return f"{self.name}<={high}"
        return f"{self.name}>={low}" if high is None else f"{low}<={self.name}<={high}"


Costs = CostTable | Mapping[str, Array]
"""Costs of n architectures: a table, or names and (n,) values where more was measured."""


def combine(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """One constraint per cost and kind, the tightest bounds of all that were given.

    Raises:
        ConstraintError: two of them contradict each other.
    """
    joined: dict[tuple[str, bool], Constraint] = {}
    for new in constraints:
        key = (new.name, new.relative)
        if (old := joined.get(key)) is not None:
            highs = [b for b in (old.max, new.max) if b is not None]
            lows = [b for b in (old.min, new.min) if b is not None]
            new = replace(new, max=min(highs) if highs else None, min=max(lows) if lows else None)
        joined[key] = new
    return tuple(joined.values())


def feasible_mask(
    constraints: Iterable[Constraint], costs: Costs, *, reference: Costs | None = None
) -> NDArray[np.bool_]:
    """Which architectures meet every constraint.

    Args:
        constraints: bounds; several on one cost are combined.
        costs: costs of n architectures; an unknown (NaN) cost meets no bound.
        reference: costs of one architecture, for percentages.

    Returns:
        (n,) bool.

    Raises:
        ConstraintError: an unknown cost, a missing reference, or bounds that contradict.
    """
    exact = combine(c.absolute(reference) for c in constraints)
    mask = np.ones(_length(costs), dtype=bool)
    for constraint in exact:
        mask &= constraint.mask(_column(costs, constraint.name))
    return mask


class Feasibility:
    """Which architectures are alive and meet the constraints: what pools and searchers ask.

    Args:
        constraints: bounds.
        costs: costs of n architectures, such as ``partial(costs, skeleton=...)``.
        reference: costs of one architecture, for percentages.
        alive: whether networks whose input does not reach the output are left out.

    Raises:
        ConstraintError: bounds contradict, or a percentage has no reference.
    """

    def __init__(
        self,
        constraints: Iterable[Constraint],
        costs: Callable[[Sequence[Arch]], CostTable],
        *,
        reference: Costs | None = None,
        alive: bool = True,
    ) -> None:
        """Turn percentages into values once."""
        self.constraints = combine(c.absolute(reference) for c in constraints)
        self._costs, self._alive = costs, alive

    def __call__(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Which architectures may be used, (n,)."""
        mask = np.ones(len(archs), dtype=bool)
        for one in self._masks(archs).values():
            mask &= one
        return mask

    def excluded(self, archs: Sequence[Arch]) -> Mapping[str, int]:
        """Constraint as text (or "alive") -> how many of the architectures do not meet it."""
        return {name: int((~mask).sum()) for name, mask in self._masks(archs).items()}

    def _masks(self, archs: Sequence[Arch]) -> dict[str, NDArray[np.bool_]]:
        if not len(archs):
            return {}
        costs = self._costs(archs)
        masks = {"alive": np.asarray(costs.alive, dtype=bool)} if self._alive else {}
        return masks | {str(c): c.mask(_column(costs, c.name)) for c in self.constraints}


def _known(name: str, known: Sequence[str]) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, 2, 0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(known)}."
    raise ConstraintError(f"Unknown cost {name!r}: {hint}")


def _bound(name: str, number: str, text: str) -> tuple[float, bool]:
    """Value and whether it is a share."""
    match = _BOUND.match(number)
    assert match is not None
    value, suffix = float(match[1]), match[2].lower()
    if suffix == "%":
        return value / 100, True
    cost = name.partition("@")[0]
    units = _COUNT | _BYTES if cost == "memory" else _TIME if cost == "latency" else _COUNT
    if cost == "latency" and not suffix:
        raise ConstraintError(f"{text!r} has no unit: write such as latency<=4ms.")
    if suffix not in units:
        allowed = ", ".join(u for u in units if u)
        raise ConstraintError(
            f"{text!r} has a number that cannot be read, {number!r}: after it, {name} takes "
            f"{allowed} or %."
        )
    return value * units[suffix], False


def _column(costs: Costs, name: str) -> Array:
    if isinstance(costs, CostTable):
        return np.asarray(getattr(costs, _known(name, COST_NAMES)), dtype=np.float64)
    return np.asarray(costs[_known(name, tuple(costs))], dtype=np.float64)


def _length(costs: Costs) -> int:
    if isinstance(costs, CostTable):
        return len(costs)
    return len(next(iter(costs.values()), ()))
