"""What a search is after and what bounds it, sorted by what must be done to know it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from foretell.errors import ConstraintError, UnknownNameError, UsageError
from foretell.quantities import Quantity, Stage, get_quantity
from foretell.search import Constraint, Objective, combine
from foretell.types import Array

__all__ = ["Goals"]


class _Asks(Protocol):
    """Settings that name objectives and constraints."""

    @property
    def objectives(self) -> tuple[str, ...]: ...
    @property
    def constraints(self) -> tuple[str, ...]: ...
    @property
    def prefer(self) -> str: ...


@dataclass(frozen=True)
class Goals:
    """Objectives and constraints.

    Args:
        objectives: at least one.
        constraints: as they were asked for, those with shares of a reference among them.
        prefer: which point of the front wins.
        known: quantities by name.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    prefer: str
    known: Mapping[str, Quantity]

    @classmethod
    def of(cls, asked: _Asks, *, anything: bool = False, costs: bool = True) -> "Goals":
        """What settings ask for.

        Args:
            asked: the settings.
            anything: whether a user measures everything but costs, so that every name will do.
            costs: whether costs can be computed; if not, a user measures these, too.

        Raises:
            UnknownNameError: no such quantity, or no such choice of a winner.
            UsageError: an objective stands twice, or its argument is wrong.
            ConstraintError: a constraint cannot be read, or bounds contradict each other.
        """
        objectives = tuple(Objective.parse(text, anything=anything) for text in asked.objectives)
        names = [o.name for o in objectives]
        if len(set(names)) < len(names):
            raise UsageError(f"An objective stands twice in {', '.join(names)}.")
        if asked.prefer != "knee" and asked.prefer not in names:
            raise UnknownNameError("choice of a winner", asked.prefer, [], ["knee", *names])
        constraints = tuple(Constraint.parse(text, anything=anything) for text in asked.constraints)
        combine(c for c in constraints if not c.relative)
        for constraint in constraints:
            if constraint.relative and constraint.stage > Stage.BUILT:
                raise ConstraintError(
                    f"{constraint}: shares of the reference are for costs and latency; bound "
                    f"{constraint.name} by a number."
                )
        known = {}
        for name in dict.fromkeys([*names, *(c.name for c in constraints)]):
            try:
                known[name] = get_quantity(name)
            except UnknownNameError:
                if not anything:
                    raise
                known[name] = Quantity(name)
            if anything and not (costs and known[name].stage is Stage.GRAPH):
                known[name] = replace(known[name], stage=Stage.TRAINED)
        return cls(objectives, constraints, asked.prefer, known)

    @property
    def early(self) -> tuple[Constraint, ...]:
        """Constraints that are known for the whole pool."""
        return tuple(c for c in self.constraints if self.known[c.name].stage is Stage.GRAPH)

    @property
    def attacked(self) -> bool:
        """Whether a quantity needs an attack."""
        return bool(self.at(Stage.ATTACKED))

    def at(self, stage: Stage) -> tuple[Quantity, ...]:
        """The quantities of a stage."""
        return tuple(q for q in self.known.values() if q.stage is stage)

    def with_reference(self, values: Mapping[str, float]) -> "Goals":
        """The same with shares turned into bounds.

        Args:
            values: quantity -> value of the reference architecture.

        Raises:
            ConstraintError: a value is missing.
        """
        table = {name: np.array([value]) for name, value in values.items()}
        exact = tuple(
            c.absolute(table if c.name in table else None) if c.relative else c
            for c in self.constraints
        )
        return replace(self, constraints=exact)

    def violation(self, values: Mapping[str, float]) -> str:
        """How known values break a constraint, the first of them; empty if they do not."""
        for constraint in self.constraints:
            if constraint.name in values and (why := constraint.violation(values[constraint.name])):
                return why
        return ""

    def gains(self, values: Sequence[Mapping[str, float] | None]) -> Array:
        """Values of the objectives, higher is better, (n, k); NaN where one is not known."""
        table = np.full((len(values), len(self.objectives)), np.nan)
        for i, row in enumerate(values):
            for k, objective in enumerate(self.objectives):
                if row is not None and objective.name in row:
                    table[i, k] = float(objective.gain(np.array(row[objective.name])))
        return table
