"""Bounds on what a network may cost: read from text, checked on many architectures at once."""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ConstraintError, PluginError, UnknownNameError, UsageError
from foretell.quantities import Quantity, Stage, get_quantity
from foretell.spaces import CostTable
from foretell.types import Array

__all__ = ["COST_NAMES", "Constraint", "Feasibility", "combine", "feasible_mask"]

COST_NAMES = tuple(f.name for f in fields(CostTable) if f.name != "alive")
"""What ``CostTable`` can bound."""

_BOUND = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z%]*)\s*$")
_PARTS = re.compile(r"(<=|>=|≤|≥|==|<|>|=)")
_SHARE = "%ref"


@dataclass(frozen=True)
class Constraint:
    """One quantity and the closed interval it must lie in.

    Args:
        name: of a quantity, such as "params", "latency@onnxruntime" or "pgd@8".
        max: the largest allowed value, in the quantity's unit; None for no bound.
        min: the smallest allowed value; None for no bound.
        relative: whether the bounds are shares of a reference architecture's value (0.9 = 90 %).

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
    def parse(cls, text: str, *, known: Sequence[str] = (), anything: bool = False) -> "Constraint":
        """The constraint that a text names.

        Suffixes: k, M, G (powers of 1,000) for counts; KB, MB, GB and KiB, MiB, GiB for memory; us,
        ms, s for times; % for fractions such as an accuracy; %ref for a share of a reference
        architecture. Case does not matter.

        Args:
            text: such as "params<=300k", "100k<=params<=300k", "memory<=1.5MiB", "flops<=90%ref",
                "latency@torch<=4ms", "pgd@8>=60%".
            known: names of values that are no registered quantities, and what a user measures.
            anything: whether every name is taken for a value that a user measures.

        Raises:
            ConstraintError: the text is no constraint, or names an unknown quantity.
        """
        parts = [p.strip() for p in _PARTS.split(text)]
        signs = [{"≤": "<=", "≥": ">="}.get(s, s) for s in parts[1::2]]
        if any(s not in ("<=", ">=") for s in signs) or not 1 <= len(signs) <= 2:
            raise ConstraintError(
                f"{text!r} is no constraint: write a quantity, <= or >=, and a number, such as "
                f"params<=300k."
            )
        names = [i for i, p in enumerate(parts[::2]) if not _BOUND.match(p)]
        if len(signs) == 2 and (names != [1] or signs[0] != signs[1]):
            raise ConstraintError(
                f"{text!r} is no constraint: two bounds are written such as 100k<=params<=300k."
            )
        if len(names) != 1:
            word = "number" if names else "quantity"
            raise ConstraintError(
                f"{text!r} is no constraint: it has no {word}; write such as params<=300k, with "
                f"k, M, G, KiB, MiB, ms, % or %ref after the number."
            )
        index = names[0]
        name = parts[2 * index]
        quantity = Quantity(name) if name in known else _quantity(name, anything)
        bounds: dict[str, float] = {}
        relative: list[bool] = []
        for i, sign in enumerate(signs):
            number = parts[2 * i] if i < index else parts[2 * i + 2]
            value, is_share = _bound(quantity, number, text)
            # The quantity left of "<=" has a largest value; right of it, a smallest.
            bounds["max" if (sign == "<=") == (i >= index) else "min"] = value
            relative.append(is_share)
        if len(set(relative)) > 1:
            raise ConstraintError(f"{text!r} mixes a share with a number: use one kind.")
        return cls(name, bounds.get("max"), bounds.get("min"), relative[0])

    @property
    def stage(self) -> Stage:
        """What must be done before the quantity is known."""
        return _quantity(self.name, anything=True).stage

    def violation(self, value: float) -> str:
        """How a value breaks the bounds, such as "pgd@8 51% < 60%"; empty if it does not."""
        quantity = _quantity(self.name, anything=True)
        shown = quantity.format(float(f"{value:.4g}"))
        if self.max is not None and not value <= self.max:
            return f"{self.name} {shown} > {quantity.format(self.max)}"
        if self.min is not None and not value >= self.min:
            return f"{self.name} {shown} < {quantity.format(self.min)}"
        return ""

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
        shown = _quantity(self.name, anything=True).format
        low, high = (
            None if b is None else f"{100 * b:.12g}{_SHARE}" if self.relative else shown(b)
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
        value: (name, archs) -> (n,) values of what is no field of ``CostTable``.

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
        value: Callable[[str, Sequence[Arch]], Array] | None = None,
    ) -> None:
        """Turn shares into values once."""
        self.constraints = combine(c.absolute(reference) for c in constraints)
        self._texts = {str(c): c for c in self.constraints}
        self._costs, self._alive, self._value = costs, alive, value

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
        for text, constraint in self._texts.items():
            if self._value is not None and constraint.name not in COST_NAMES:
                masks[text] = constraint.mask(self._value(constraint.name, archs))
            else:
                masks[text] = constraint.mask(_column(costs, constraint.name))
        return masks


def _quantity(name: str, anything: bool = False) -> Quantity:
    """The quantity of a name.

    Raises:
        ConstraintError: there is none, and not anything may be measured.
    """
    try:
        return get_quantity(name)
    except UnknownNameError as error:
        if anything:
            return Quantity(name)
        raise ConstraintError(str(error)) from error
    except (UsageError, PluginError) as error:
        raise ConstraintError(str(error)) from error


def _bound(quantity: Quantity, number: str, text: str) -> tuple[float, bool]:
    """Value and whether it is a share of the reference."""
    match = _BOUND.match(number)
    assert match is not None
    suffix = match[2].lower()
    if suffix == _SHARE:
        return float(match[1]) / 100, True
    if suffix == "%" and quantity.unit != "fraction":
        raise ConstraintError(
            f"{text!r}: a share of the reference architecture is written {match[1]}{_SHARE}; % "
            f"alone is for fractions such as an accuracy."
        )
    if quantity.unit == "s" and not suffix:
        raise ConstraintError(f"{text!r} has no unit: write such as {quantity.name}<=4ms.")
    try:
        value = quantity.parse(number)
    except UsageError as error:
        raise ConstraintError(
            f"{text!r} has a number that cannot be read, {error} or {_SHARE}."
        ) from error
    if quantity.unit == "fraction" and value > 1:
        raise ConstraintError(f"{text!r}: {quantity.name} is at most 1; write such as 60%.")
    return value, False


def _column(costs: Costs, name: str) -> Array:
    names = COST_NAMES if isinstance(costs, CostTable) else tuple(costs)
    if name not in names:
        near = difflib.get_close_matches(name, names, 2, 0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(names)}."
        raise ConstraintError(f"Unknown cost {name!r}: {hint}")
    values = costs.limited(name) if isinstance(costs, CostTable) else costs[name]
    return np.asarray(values, dtype=np.float64)


def _length(costs: Costs) -> int:
    if isinstance(costs, CostTable):
        return len(costs)
    return len(next(iter(costs.values()), ()))
