"""Costs of architectures as a search asks for them: again and again, so each is computed once."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.errors import ForetellError, QuantityError
from foretell.execution import Executor
from foretell.quantities import Quantity, Subject, get_quantity
from foretell.spaces import CostTable, Skeleton, Space, name_of
from foretell.store import Result
from foretell.studies.run.faults.groups import run_groups
from foretell.studies.run.faults.interrupted import Interrupted
from foretell.types import Array, Json

if TYPE_CHECKING:
    from foretell.studies.run.session import Session

__all__ = ["FAILED", "CostBook", "counted", "lost_row", "may_retry"]

_GROUP, _GROUP_OF_VALUES = 10, 100
"""Networks that a worker counts at once, and architectures whose quantity it computes."""
FAILED = "cost failures"
"""Under this name a study keeps the networks whose costs could not be counted, and why."""
_LOST = "lost costs"
_LOST_FIELDS = 5
"""Class, sentence, time limit, name of the quantity or nothing, genes."""


class CostBook:
    """Remembers the costs of every architecture it was asked about.

    Closed forms where the space has them (then torch stays unloaded), else the meta device.

    Args:
        space: whose architectures.
        skeleton: what surrounds their genes.
        executor: runs claims that ``counted`` answers, so that what a user's code does to its
            process costs one architecture; None to count in this process.
    """

    def __init__(
        self, space: Space, skeleton: Skeleton, *, executor: Executor | None = None
    ) -> None:
        """Start with an empty book."""
        self.space, self.skeleton = space, skeleton
        self.failures: dict[Arch, str] = {}
        """Architectures that could not be built or traced, and why; they count as not alive."""
        self.kinds: dict[Arch, str] = {}
        """Class of the error of each failure."""
        self.unmeasured: dict[tuple[Arch, str], str] = {}
        """Architectures and quantities whose own function failed, and how."""
        self._executor = executor
        self._session: Session | None = None
        self._lost: dict[str, Json] = {}
        self._told: dict[str, str] = {}
        self._rows: dict[Arch, tuple[float, ...]] = {}
        self._values: dict[tuple[Arch, str], float] = {}

    def __call__(self, archs: Sequence[Arch]) -> CostTable:
        """Costs of n architectures, in order; see ``failures``."""
        if new := [a for a in dict.fromkeys(archs) if a not in self._rows]:
            table = self.space.costs(new, self.skeleton)
            if table is None:
                name_of(self.space)  # another one in memory may have taken its name
                self._count(new)
            else:
                self.enter(new, {name: getattr(table, name) for name in CostTable.names()})
        rows = [self._rows[a] for a in archs]
        columns = list(zip(*rows, strict=True)) or [()] * len(CostTable.names())
        return CostTable.of(dict(zip(CostTable.names(), columns, strict=True)))

    @property
    def archs(self) -> tuple[Arch, ...]:
        """Those whose costs were asked for."""
        return tuple(self._rows)

    def enter(self, archs: Sequence[Arch], columns: Mapping[str, Sequence[float] | Array]) -> None:
        """Take costs that are known already.

        Args:
            archs: n architectures.
            columns: field of ``CostTable`` -> n values.
        """
        table = [np.asarray(columns[name]).tolist() for name in CostTable.names()]
        self._rows |= dict(zip(archs, zip(*table, strict=True), strict=True))

    def attach(self, session: "Session") -> None:
        """Take what ended its process in earlier calls of a run, and keep there what fails now."""
        self._session = session
        self._told = dict(session.value(FAILED) or {})
        for text, row in (session.value(_LOST) or {}).items():
            if len(row) != _LOST_FIELDS:
                continue
            kind, why, _, name, genes = row
            arch = Arch(self.space.name, tuple(genes))
            if may_retry(row, session):
                self._told.pop(self.space.format(arch), None)
                continue
            self._lost[text] = row
            if name:
                self._unmeasure(arch, name, f"{kind}: {why}")
            else:
                self._fail(arch, kind, why)
        self._save()

    def value(self, quantity: Quantity, arch: Arch) -> float:
        """A quantity that is known without building: a cost, or what its own function says.

        NaN, and the reason in ``unmeasured``, where that function fails.
        """
        return float(self.values(quantity, [arch])[0])

    def values(self, quantity: Quantity, archs: Sequence[Arch]) -> Array:
        """The same of n architectures, (n,)."""
        name = quantity.name
        if name in CostTable.names():
            return np.asarray(self(archs).limited(name), dtype=np.float64)
        new = [a for a in dict.fromkeys(archs) if (a, name) not in self._values]
        if new and self._executor is None:
            self._enter_values(new, name, _values(self.space, self.skeleton, quantity, new))
        elif new:
            self._ask_values(new, name, self._executor)
        return np.array([self._values[a, name] for a in archs], dtype=np.float64)

    def _count(self, archs: Sequence[Arch]) -> None:
        if self._executor is None:
            self._enter_counted(archs, _costs(archs, self.skeleton))
            return
        for group, result in run_groups(
            self._executor,
            archs,
            _GROUP,
            lambda group: {"count": [list(a.genes) for a in group]},
            watch=self._watch(),
            key=lambda arch: f"cost {arch}",
        ):
            if result.ok:
                self._enter_counted(group, result.value)
            else:
                self._fail(group[0], result.error, result.message)
                self._lose(group[0], result)

    def _enter_counted(self, archs: Sequence[Arch], found: Json) -> None:
        self.enter(archs, found["columns"])
        for index, (kind, why) in found["failures"].items():
            self._fail(archs[int(index)], kind, why)
        if found["failures"]:
            self._save()

    def _ask_values(self, archs: Sequence[Arch], name: str, executor: Executor | None) -> None:
        assert executor is not None
        for group, result in run_groups(
            executor,
            archs,
            _GROUP_OF_VALUES,
            lambda group: {"quantity": name, "genes": [list(a.genes) for a in group]},
            watch=self._watch(),
            key=lambda arch: f"{name} {arch}",
        ):
            if result.ok:
                self._enter_values(group, name, result.value)
            else:
                self._unmeasure(group[0], name, f"{result.error}: {result.message}")
                self._lose(group[0], result, name)

    def _enter_values(self, archs: Sequence[Arch], name: str, found: Json) -> None:
        for arch, (value, why) in zip(archs, found, strict=True):
            if why is None:
                self._values[arch, name] = value
            else:
                self._unmeasure(arch, name, why)

    def _fail(self, arch: Arch, kind: str, why: str) -> None:
        self.failures[arch], self.kinds[arch] = why, kind
        self._rows[arch] = tuple(0.0 for _ in CostTable.names())

    def _unmeasure(self, arch: Arch, name: str, why: str) -> None:
        self.unmeasured[arch, name] = why
        self._values[arch, name] = math.nan

    def _watch(self) -> Interrupted | None:
        return None if self._session is None else self._session.interrupted

    def _lose(self, arch: Arch, result: Result, name: str = "") -> None:
        """Keep what ended its process; what only raised may be tried again by a later call."""
        row = [*lost_row(result, self._session), name, list(arch.genes)]
        self._lost[f"{arch} {name}".rstrip()] = row
        self._save()

    def _save(self) -> None:
        if self._session is not None:
            self._told |= {
                self.space.format(a): f"{self.kinds[a]}: {why}" for a, why in self.failures.items()
            }
            self._session.put(_LOST, self._lost)
            self._session.put(FAILED, self._told)


def lost_row(result: Result, session: "Session | None") -> list[Json]:
    """Class, sentence and the time limit of what ended its process."""
    limit = getattr(session.config, "timeout", None) if session is not None else None
    return [result.error, result.message, limit]


def may_retry(row: Sequence[Json], session: "Session") -> bool:
    """Whether a later call has more time for what took longer than its limit.

    Not once there are trials: they followed from what could be chosen.
    """
    limit = getattr(session.config, "timeout", None)
    more = row[0] == "TimeoutError" and row[2] is not None and (limit is None or limit > row[2])
    return more and not session.store.counts(session.kind)


def counted(space: Space, skeleton: Skeleton, payload: Json) -> Json:
    """What a worker answers to the claims of a book.

    Args:
        space: whose architectures.
        skeleton: what surrounds their genes.
        payload: {"count": genes of n architectures}, or {"quantity": name, "genes": the same}.
    """
    genes = payload["genes"] if "quantity" in payload else payload["count"]
    archs = [Arch(space.name, tuple(g)) for g in genes]
    if "quantity" in payload:
        return _values(space, skeleton, get_quantity(payload["quantity"]), archs)
    return _costs(archs, skeleton)


def _costs(archs: Sequence[Arch], skeleton: Skeleton) -> Json:
    """Columns of the cost table; class and sentence of each failure by index."""
    from foretell.cost import costs

    failed: dict[int, ForetellError] = {}
    table = costs(archs, skeleton, failures=failed)
    return {
        "columns": {name: getattr(table, name).tolist() for name in CostTable.names()},
        "failures": {str(i): [type(e).__name__, str(e)] for i, e in failed.items()},
    }


def _values(
    space: Space, skeleton: Skeleton, quantity: Quantity, archs: Sequence[Arch]
) -> list[tuple[float, str | None]]:
    """Value and, where its function failed, the reason."""
    rows: list[tuple[float, str | None]] = []
    for arch in archs:
        try:
            value = quantity.value(Subject(arch, space, skeleton=skeleton))[0]
            rows.append((value, None))
        except Exception as error:  # a user's function: it costs this architecture only
            named = f"{type(error).__name__}: {error}"
            rows.append((math.nan, error.why if isinstance(error, QuantityError) else named))
    return rows
