"""Records of the store: states, results, trials, studies, tables of scores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from foretell.errors import UsageError
from foretell.types import Array, Json

__all__ = ["Result", "ScoreTable", "State", "Study", "Trial"]


class State(StrEnum):
    """State of a trial or result.

    ``pending`` and ``running`` are states of a stored trial only, ``stale`` of a result only: a
    result is stale if its trial belongs to another owner by now, or is already finished.
    """

    pending = "pending"
    running = "running"
    done = "done"
    failed = "failed"
    timed_out = "timed_out"
    out_of_memory = "out_of_memory"
    not_finite = "not_finite"
    pruned = "pruned"
    stale = "stale"

    @property
    def final(self) -> bool:
        """Whether this is a final state."""
        return self not in (State.pending, State.running, State.stale)


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a claim: a value, or an error with its reason; never a placeholder number.

    Args:
        id: the claim's.
        state: done, failed, timed_out, out_of_memory, not_finite, pruned or stale.
        value: what the function returned; None unless done, or pruned with something to keep.
        error: class name of the error; empty when done.
        message: the error's sentence.
        traceback: the text of the traceback, where there is one.
        seconds: wall time, also of a failure.

    Raises:
        UsageError: the state is pending or running, or a failure carries a value.
    """

    id: int | str
    state: State
    value: Json = None
    error: str = ""
    message: str = ""
    traceback: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Validate the combination of fields."""
        if self.state in (State.pending, State.running):
            raise UsageError(
                f"A result says what became of a claim, but got the state {self.state.value!r}: "
                f"use done, failed, timed_out, out_of_memory or not_finite."
            )
        if self.state not in (State.done, State.stale, State.pruned) and self.value is not None:
            raise UsageError(
                f"A result in the state {self.state.value!r} has no value, but got one of type "
                f"{type(self.value).__name__}: put what is known into message."
            )

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.state is State.done

    def as_stale(self) -> "Result":
        """The same result, marked as stale."""
        return replace(self, state=State.stale)


@dataclass(frozen=True, slots=True)
class Study:
    """A stored study.

    Args:
        name: unique in the store.
        config: its configuration.
        created: seconds since the epoch.
    """

    name: str
    config: Mapping[str, Json]
    created: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A stored trial, as of reading.

    Args:
        id: unique in the store.
        study: name of its study.
        number: index in the study, from 0, in the order of adding.
        key: unique in the study.
        payload: what the function is called with.
        state: pending, running or a final state.
        attempts: number of claims.
        lost: number of leases that expired while it ran.
        owner: of the last claim; None if there was none.
        lease_until: seconds since the epoch; None unless it runs.
        value: what the function returned; None unless done.
        error: class name of the error; empty unless it failed.
        message: the error's sentence.
        traceback: the text of the traceback.
        seconds: how long the function took; None until finished.
        created: seconds since the epoch.
        started: of the last claim; None if there was none.
        finished: None until finished.
    """

    id: int
    study: str
    number: int
    key: str
    payload: Json
    state: State
    attempts: int
    lost: int
    owner: str | None
    lease_until: float | None
    value: Json
    error: str
    message: str
    traceback: str
    seconds: float | None
    created: float
    started: float | None
    finished: float | None


class ScoreTable(NamedTuple):
    """A table of scores with n keys and p names, in the order of writing.

    Args:
        keys: n texts.
        names: p texts.
        values: (n, p) float64; NaN and infinities as they were written.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]
    values: Array
