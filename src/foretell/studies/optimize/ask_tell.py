"""Ask and tell: an optimisation whose loop is the user's own."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from foretell.arch import Arch
from foretell.errors import SearchError, UsageError
from foretell.store import Result, State, Store, Trial, owner_name
from foretell.studies._base import NO_RESOURCES, Resources
from foretell.studies.optimize.config import OptimizeConfig
from foretell.studies.optimize.read import read
from foretell.studies.optimize.study import finish, identity, named, prepare
from foretell.studies.optimize.trial import values_from
from foretell.studies.run.session import Session, open_session
from foretell.studies.search.loop import tell
from foretell.studies.search.read import store_about
from foretell.studies.search.result import SearchResult
from foretell.types import Json

__all__ = ["AskTellStudy", "AskedTrial"]

_LEASE = 10.0 * 365 * 24 * 3600
"""Seconds; the folder is held by this process, so nobody else takes its trials."""


@dataclass(frozen=True)
class AskedTrial:
    """An architecture to evaluate.

    Args:
        number: of the trial.
        arch: the architecture.
        values: what it chooses, by name, where its space has names.
    """

    number: int
    arch: Arch
    values: Mapping[str, Json]


def _as_is(result: SearchResult) -> SearchResult:
    return result


class AskTellStudy:
    """An optimisation that is asked for architectures and told their values.

    Every ask and every tell is in the run folder before the call returns. Opened again, the study
    is where it was: what was asked for and not told is given out first.

    Args:
        config: the settings; ``trials`` is of no use here.
        out: the run folder.
        resources: a space in memory.
        on_result: called with each result before it is returned, such as to write its page.

    Raises:
        RunFolderError: the folder cannot be written, is in use, or holds another study.
        ForetellError: a setting is at fault.
    """

    def __init__(
        self,
        config: OptimizeConfig,
        out: Path | str,
        *,
        resources: Resources = NO_RESOURCES,
        on_result: Callable[[SearchResult], SearchResult] = _as_is,
    ) -> None:
        """Open the folder, and ask and tell again what it remembers."""
        config = named(config, resources)
        self.config = config
        self._on_result = on_result
        self._open: list[AskedTrial] = []
        self._closed = False
        self._exit = contextlib.ExitStack()
        try:
            self._session: Session = self._exit.enter_context(open_session(config, out))
            self.space, self._goals, self._searcher, self._book = prepare(config, resources)
            if any(c.relative for c in self._goals.constraints):
                raise UsageError("Shares of a reference are for foretell.optimize: give a number.")
            self._session.claim(identity(self.space))
            store_about(self._session, None, self.space, {})
            self._replay()
        except BaseException:
            self._exit.close()
            raise

    def ask(self, n: int = 1) -> list[AskedTrial]:
        """Up to n architectures to evaluate.

        In a study that was opened anew, those that were asked for before and not told are given out
        first, and no new ones with them: a loop of rounds then goes on as if it had not stopped.

        Returns:
            Fewer than n where not so many are waiting, or the space is exhausted; then none.

        Raises:
            NoFeasibleArchError: no draw from the space was ever feasible.
            SearchError: n < 1.
        """
        if n < 1:
            raise SearchError(f"Expected to be asked for at least 1 architecture, but got {n}.")
        again, self._open = self._open[:n], self._open[n:]
        if again:
            return again
        fresh = self._asked(n)
        self._event({"ask": n})
        rows = [(str(a), self._payload(a)) for a in fresh]
        self._store.add_trials(self._kind, rows)
        numbers = {t.key: t.number for t in self._store.trials(self._kind)}
        return [self._handle(a, numbers[str(a)]) for a in fresh]

    def tell(
        self,
        trial: AskedTrial | int,
        value: float | Mapping[str, float] | None = None,
        *,
        error: str = "",
    ) -> None:
        """What an architecture turned out to be worth.

        Args:
            trial: what ``ask`` gave, or its number.
            value: a number, or names and numbers, for all objectives and constraints.
            error: why there is none; the trial then counts as failed.

        Raises:
            UsageError: there is no such trial, or it was told before, or neither or both of value
                and error are given.
            QuantityError: a value is missing, or no finite number.
        """
        number = trial if isinstance(trial, int) else trial.number
        store = self._store
        stored = next((t for t in store.trials(self._kind) if t.number == number), None)
        if stored is None:
            raise UsageError(f"There is no trial {number}: ask first.")
        if stored.state.final:
            raise UsageError(f"Trial {number} was told before.")
        if (value is None) == (not error):
            raise UsageError("Give the trial's value, or error= with the reason why it has none.")
        state: State = State.failed
        found: Json = None
        if not error:
            measured: Mapping[str, float] = stored.payload["measured"]
            values = {**measured, **values_from(value, self._goals, measured)}
            violation = self._goals.violation(values)
            state = State.done
            found = {"values": values, "violation": violation, "reports": [], "curves": None}
        self._finish(
            stored, Result(0, state, found, error="Failed" if error else "", message=error)
        )
        self._open = [t for t in self._open if t.number != number]
        self._event({"tell": [number]})
        self._told([number])

    def result(self) -> SearchResult:
        """What was found so far; with trials.csv written, and the winner where there is one."""
        trials = [t for t in self._store.trials(self._kind) if t.state.final]
        with contextlib.suppress(SearchError):  # nothing can win yet
            finish(self._session, self._goals, trials, self.space)
        result = read(self._session.folder.path)
        self._session.write_tables(result.tables())
        return self._on_result(result)

    def close(self) -> None:
        """Leave the folder."""
        self._closed = True
        self._exit.close()

    def __enter__(self) -> Self:
        """The study itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the folder."""
        self.close()

    @property
    def _store(self) -> Store:
        """The open store.

        Raises:
            UsageError: the study was closed.
        """
        if self._closed:
            raise UsageError("This study is closed: open it again with foretell.create_study.")
        return self._session.store

    @property
    def _kind(self) -> str:
        return self._session.kind

    def _asked(self, n: int) -> list[Arch]:
        return self._searcher.ask(n)

    def _payload(self, arch: Arch) -> Json:
        measured: dict[str, float] = {}
        payload: dict[str, Json] = {
            "genes": list(arch.genes),
            "text": self.space.format(arch),
            "predicted": None,
            "measured": measured,
        }
        if self._book is not None:
            costs = self._book([arch])
            names = ("params", "flops", "memory")
            if arch in self._book.failures:
                return payload
            payload["costs"] = {name: int(costs.limited(name)[0]) for name in names}
            for quantity in self._goals.known.values():
                if quantity.stage == 0:
                    value = self._book.value(quantity, arch)
                    if (arch, quantity.name) not in self._book.unmeasured:
                        measured[quantity.name] = value
        return payload

    def _handle(self, arch: Arch, number: int) -> AskedTrial:
        named_values = getattr(self.space, "values", None)
        values = named_values(arch) if callable(named_values) else {}
        return AskedTrial(number, arch, values)

    def _finish(self, trial: Trial, result: Result) -> None:
        """Claim one trial and finish it."""
        store, owner = self._store, owner_name()
        claimed = store.claim_trial(trial, owner, _LEASE)
        store.finish(
            claimed,
            Result(
                claimed.id, result.state, result.value, error=result.error, message=result.message
            ),
        )

    def _event(self, event: Json) -> None:
        """Append to the order of asks and tells, from which the searcher's state follows."""
        self._store.add_trials(self._events, [(f"{self._count:08d}", event)])
        self._count += 1

    @property
    def _events(self) -> str:
        return f"{self._kind}/events"

    def _told(self, numbers: Sequence[int]) -> None:
        rows = {t.number: t for t in self._store.trials(self._kind)}
        done = [rows[n] for n in numbers]
        archs = [Arch(self.space.name, tuple(t.payload["genes"])) for t in done]
        tell(self._searcher, self._goals, archs, done)

    def _replay(self) -> None:
        store = self._store
        store.put_study(self._events, {})
        events = [t.payload for t in store.trials(self._events)]
        self._count = len(events)
        asked: list[Arch] = []
        told: set[int] = set()
        for event in events:
            if "ask" in event:
                fresh = self._asked(event["ask"])
                asked += fresh
                # a kill between the event and the trials leaves the trials to be added
                store.add_trials(self._kind, [(str(a), self._payload(a)) for a in fresh])
            else:
                told.update(event["tell"])
                self._told(event["tell"])
        rows = {t.key: t for t in store.trials(self._kind)}
        # a kill between a trial's end and its event leaves the event to be written
        for number in (t.number for t in rows.values() if t.state.final and t.number not in told):
            self._event({"tell": [number]})
            self._told([number])
        numbers = [(a, rows[str(a)]) for a in asked]
        self._open = [self._handle(a, t.number) for a, t in numbers if not t.state.final]
