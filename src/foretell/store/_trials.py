"""Trials and their leases."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from foretell.errors import StudyConflictError, UsageError
from foretell.store._base import Result, State, Trial
from foretell.store._codec import damaged, dump, load
from foretell.store._connection import Database
from foretell.store._owner import is_dead
from foretell.types import Json

__all__ = ["Trials"]

_COLUMNS = (
    "id, number, key, payload, state, attempts, lost, owner, lease_until, value, error, message, "
    "traceback, seconds, created, started, finished"
)
_HELD = "id = ? AND state = 'running' AND owner = ? AND attempts = ?"
"""The trial is still leased to whom the caller got it for; attempts tells apart two leases."""
_CLEAR = (
    "state = 'pending', owner = NULL, lease_until = NULL, value = NULL, error = '', message = '', "
    "traceback = '', seconds = NULL, finished = NULL"
)


class Trials:
    """The part of the store that holds trials."""

    _db: Database
    _now: Callable[[], float]
    _id: Callable[[str], int]

    def add_trials(self, study: str, trials: Iterable[tuple[str, Json]]) -> int:
        """Append trials in order; existing ones are not changed.

        Args:
            study: name of the study.
            trials: (key, payload) pairs; a key names a trial within the study.

        Returns:
            Number of new trials.

        Raises:
            UnknownNameError: there is no such study.
            StudyConflictError: a key is there with another payload; then nothing is added.
            UsageError: a payload is no JSON.
        """
        owner, now = self._id(study), self._now()
        rows = [(key, dump(payload, f"payload of {key!r}")) for key, payload in trials]
        with self._db.write() as db:
            first = db.execute(
                "SELECT coalesce(max(number), -1) + 1 FROM trials WHERE study = ?", (owner,)
            ).fetchone()[0]
            new = 0
            for key, payload in rows:
                new += db.execute(
                    "INSERT OR IGNORE INTO trials (study, number, key, payload, created) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (owner, first + new, key, payload, now),
                ).rowcount
            if new < len(rows):
                self._refuse_other_payloads(db, owner, rows)
        return new

    def claim(
        self,
        study: str,
        owner: str,
        count: int = 1,
        lease_seconds: float = 60.0,
        *,
        max_lost: int | None = None,
    ) -> list[Trial]:
        """Claim trials: pending ones, and running ones whose lease has expired.

        Args:
            study: name of the study.
            owner: of the leases; see ``owner_name``.
            count: maximum number of trials.
            lease_seconds: duration of the leases, unless renewed.
            max_lost: a trial whose lease expired this often is finished as failed; None for no
                limit.

        Returns:
            The trials, lowest number first; fewer than ``count`` if there are no more.

        Raises:
            UnknownNameError: there is no such study.
            UsageError: ``count`` or ``lease_seconds`` is not positive.
        """
        if count < 1 or not lease_seconds > 0:
            raise UsageError(
                f"Expected count >= 1 and lease_seconds > 0, but got {count} and {lease_seconds:g}."
            )
        key = self._id(study)
        with self._db.write() as db:
            now = self._now()
            expired = "study = ? AND state = 'running' AND lease_until <= ?"
            if max_lost is not None:
                db.execute(
                    "UPDATE trials SET state = 'failed', error = 'WorkerLostError', message = "
                    "'Its worker went silent ' || (lost + 1) || ' times: it was killed, or ran out "
                    "of memory, or its machine stopped.', lost = lost + 1, lease_until = NULL, "
                    f"seconds = ? - started, finished = ? WHERE {expired} AND lost + 1 >= ?",
                    (now, now, key, now, max_lost),
                )
            rows = db.execute(
                "SELECT id, number FROM trials WHERE study = ? AND state = 'pending' "
                "ORDER BY number LIMIT ?",
                (key, count),
            ).fetchall()
            rows += db.execute(
                f"SELECT id, number FROM trials WHERE {expired} ORDER BY number LIMIT ?",
                (key, now, count),
            ).fetchall()
            taken = [row[0] for row in sorted(rows, key=lambda row: row[1])[:count]]
            db.executemany(
                "UPDATE trials SET lost = lost + (state = 'running'), state = 'running', "
                "attempts = attempts + 1, owner = ?, lease_until = ?, started = ? WHERE id = ?",
                [(owner, now + lease_seconds, now, i) for i in taken],
            )
            select = f"SELECT {_COLUMNS} FROM trials WHERE id = ?"
            return [_trial(study, db.execute(select, (i,)).fetchone()) for i in taken]

    def claim_trial(self, trial: Trial, owner: str, lease_seconds: float = 60.0) -> Trial:
        """Claim one trial, whoever runs it; for the owner of the whole study.

        Returns:
            The trial as it is now.

        Raises:
            UsageError: it is finished.
        """
        with self._db.write() as db:
            now = self._now()
            taken = db.execute(
                "UPDATE trials SET state = 'running', attempts = attempts + 1, owner = ?, "
                "lease_until = ?, started = ? WHERE id = ? AND state IN ('pending', 'running')",
                (owner, now + lease_seconds, now, trial.id),
            ).rowcount
            if not taken:
                raise UsageError(f"Trial {trial.number} is finished: it cannot be taken again.")
            select = f"SELECT {_COLUMNS} FROM trials WHERE id = ?"
            return _trial(trial.study, db.execute(select, (trial.id,)).fetchone())

    def renew(self, trials: Iterable[Trial], lease_seconds: float = 60.0) -> list[Trial]:
        """Renew leases, from now.

        Returns:
            The trials that still belong to the caller; the others were taken over, or are finished.
        """
        with self._db.write() as db:
            until = self._now() + lease_seconds
            return [
                trial
                for trial in trials
                if db.execute(
                    f"UPDATE trials SET lease_until = ? WHERE {_HELD}",
                    (until, trial.id, trial.owner, trial.attempts),
                ).rowcount
            ]

    def finish(self, trial: Trial, result: Result) -> State:
        """Store the result of a trial, once; it is on disk when this returns.

        An expired lease is accepted as long as nobody else has claimed the trial.

        Args:
            trial: as returned by ``claim``.
            result: its result.

        Returns:
            The stored state; stale, with nothing stored, if the trial belongs to another owner by
            now or is already finished.

        Raises:
            UsageError: the value is no JSON, or the result is of another trial.
        """
        if result.id != trial.id:
            raise UsageError(f"Expected the result of trial {trial.id}, but got {result.id!r}'s.")
        if result.state is State.stale:
            return State.stale
        value = (
            dump(result.value, f"value of trial {trial.key!r}")
            if result.value is not None or result.ok
            else None
        )
        with self._db.write() as db:
            stored = db.execute(
                "UPDATE trials SET state = ?, value = ?, error = ?, message = ?, traceback = ?, "
                f"seconds = ?, finished = ?, lease_until = NULL WHERE {_HELD}",
                (
                    result.state.value,
                    value,
                    _clean(result.error),
                    _clean(result.message),
                    _clean(result.traceback),
                    result.seconds,
                    self._now(),
                    trial.id,
                    trial.owner,
                    trial.attempts,
                ),
            ).rowcount
        return result.state if stored else State.stale

    def release(self, owner: str, study: str | None = None) -> int:
        """Release an owner's unfinished trials, so that anyone can claim them.

        Args:
            owner: whose trials.
            study: only those of one study.

        Returns:
            Number of trials.
        """
        where = "state = 'running' AND owner = ?"
        values: tuple[object, ...] = (owner,)
        if study is not None:
            where, values = f"study = ? AND {where}", (self._id(study), owner)
        with self._db.write() as db:
            return db.execute(f"UPDATE trials SET {_CLEAR} WHERE {where}", values).rowcount

    def give_back(self, trials: Iterable[Trial]) -> int:
        """Release those of the trials whose lease is unchanged since ``claim``.

        Returns:
            Number of trials.
        """
        with self._db.write() as db:
            return sum(
                db.execute(
                    f"UPDATE trials SET {_CLEAR} WHERE {_HELD}",
                    (trial.id, trial.owner, trial.attempts),
                ).rowcount
                for trial in trials
            )

    def release_dead(
        self,
        study: str,
        *,
        counts: Callable[[Trial], bool] = lambda _: True,
        max_lost: int | None = None,
        why: str = "Its process was killed again and again.",
    ) -> int:
        """Release the trials of owners whose processes have ended on this machine.

        A resumed run then need not wait for the leases of a killed one. Only owners named by
        ``owner_name`` on this machine are considered.

        Args:
            study: name of the study.
            counts: whether the end of the process is put down to the trial, and counted as lost.
            max_lost: a trial that was lost this often is finished as failed; None for no limit.
            why: the failure's sentence.

        Returns:
            Number of trials.
        """
        key, now = self._id(study), self._now()
        select = "SELECT DISTINCT owner FROM trials WHERE study = ? AND state = 'running'"
        dead = {owner for (owner,) in self._db.read(select, key) if is_dead(owner)}
        if not dead:
            return 0
        released = 0
        for trial in self.trials(study, State.running):
            if trial.owner not in dead:
                continue
            lost = trial.lost + counts(trial)
            change = _CLEAR
            values: list[object] = [lost]
            if max_lost is not None and lost >= max_lost:
                change = (
                    "state = 'failed', error = 'WorkerLostError', message = ?, "
                    "seconds = ? - started, lease_until = NULL, finished = ?"
                )
                values += [why, now, now]
            with self._db.write() as db:
                released += db.execute(
                    f"UPDATE trials SET lost = ?, {change} WHERE {_HELD}",
                    (*values, trial.id, trial.owner, trial.attempts),
                ).rowcount
        return released

    def retry(self, study: str, states: Iterable[State]) -> int:
        """Reset finished trials to pending, such as failed ones after a bug fix.

        Args:
            study: name of the study.
            states: which final states to take.

        Returns:
            Number of trials.

        Raises:
            UsageError: a state is not final.
        """
        wanted = [State(s) for s in states]
        if wrong := [s.value for s in wanted if not s.final]:
            raise UsageError(f"Only finished trials can be tried again, but got {wrong[0]!r}.")
        marks = ", ".join("?" * len(wanted))
        with self._db.write() as db:
            return db.execute(
                f"UPDATE trials SET {_CLEAR} WHERE study = ? AND state IN ({marks})",
                (self._id(study), *[s.value for s in wanted]),
            ).rowcount

    def trials(self, study: str, state: State | Sequence[State] | None = None) -> list[Trial]:
        """A study's trials by number.

        Args:
            study: name of the study.
            state: only those in this state, or in these.

        Raises:
            UnknownNameError: there is no such study.
        """
        sql = f"SELECT {_COLUMNS} FROM trials WHERE study = ?"
        values: list[object] = [self._id(study)]
        if state is not None:
            states = [state] if isinstance(state, str) else list(state)
            sql += f" AND state IN ({', '.join('?' * len(states))})"
            values += [State(s).value for s in states]
        return [_trial(study, row) for row in self._db.read(sql + " ORDER BY number", *values)]

    def counts(self, study: str) -> dict[State, int]:
        """Number of trials in each state; empty states are left out.

        Raises:
            UnknownNameError: there is no such study.
        """
        rows = self._db.read(
            "SELECT state, count(*) FROM trials WHERE study = ? GROUP BY state", self._id(study)
        )
        counts = {State(s): n for s, n in rows}
        return {state: counts[state] for state in State if state in counts}

    def _refuse_other_payloads(
        self, db: sqlite3.Connection, study: int, rows: list[tuple[str, str]]
    ) -> None:
        for key, payload in rows:
            stored = db.execute(
                "SELECT payload FROM trials WHERE study = ? AND key = ?", (study, key)
            ).fetchone()[0]
            if stored != payload and load(stored) != load(payload):
                raise StudyConflictError(
                    f"The trial {key!r} is stored with another payload: {stored[:60]} there, "
                    f"{payload[:60]} here; a key must name everything that a trial depends on."
                )


def _clean(text: str) -> str:
    """The text without lone surrogates, which SQLite refuses."""
    return text.encode("utf-8", "backslashreplace").decode()


def _trial(study: str, row: tuple[Any, ...]) -> Trial:
    ident, number, key, payload, state, attempts, lost, owner, lease_until, value, *rest = row
    error, message, traceback, seconds, created, started, finished = rest
    whole = all(isinstance(v, int) for v in (ident, number, attempts, lost))
    times = (lease_until, seconds, created, started, finished)
    if not whole or not all(v is None or isinstance(v, int | float) for v in times):
        raise damaged(f"trial {str(number)[:20]!r} has a text for a number")
    if state not in State._value2member_map_:
        raise damaged(f"trial {number} has the state {str(state)[:20]!r}")
    return Trial(
        id=ident,
        study=study,
        number=number,
        key=key,
        payload=load(payload),
        state=State(state),
        attempts=attempts,
        lost=lost,
        owner=owner,
        lease_until=lease_until,
        value=load(value),
        error=error,
        message=message,
        traceback=traceback,
        seconds=seconds,
        created=created,
        started=started,
        finished=finished,
    )
