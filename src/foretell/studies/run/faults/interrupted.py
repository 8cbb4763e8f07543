"""Networks in the middle of which a run was ended again and again: the third time, none is run."""

import time
from collections.abc import Iterable, Mapping

from foretell.store import Store, Trial
from foretell.types import Json

__all__ = ["Interrupted"]

_IN_FLIGHT, _COUNTS, _SLOWEST = "in flight", "interrupted", "slowest"
_MEETINGS = 2
"""How often a network may end a run before it is given up."""
_LONG = 10.0
"""Seconds after which a network may be what a run hangs in."""
_SLOWER = 3.0
"""The same as a multiple of the slowest that came to its end."""


class Interrupted:
    """What user code a run is in the middle of, on disk, so that the next run can tell.

    A process that is killed does not say why. It is put down to the network it was busy with where
    that had lasted for long, or where the process ended by a fault of its own; a kill at any other
    moment counts for nothing.

    Args:
        store: the open store.
        study: name of the study.
        last_sign: when the run before this one last gave a sign of life; 0 if there was none.
        last_owner: name of that run, as an owner of leases.
        fault: whether that run ended by a fault of its own.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        last_sign: float = 0.0,
        last_owner: str = "",
        fault: bool = False,
    ) -> None:
        """Put the end of the run before this one down to what it was busy with."""
        self._store, self._study = store, study
        self._last_sign, self._fault = last_sign, fault
        self._last_process = _process(last_owner)
        self._counts: dict[str, int] = store.value(study, _COUNTS) or {}
        self._slowest: dict[str, float] = store.value(study, _SLOWEST) or {}
        left: Mapping[str, float] = store.value(study, _IN_FLIGHT) or {}
        self._since: dict[str, float] = {}
        blamed = [
            k for k, since in left.items() if self._blamed(since, self._slowest.get(_kind(k)))
        ]
        for key in blamed:
            self._counts[key] = self._counts.get(key, 0) + 1
        if blamed:
            store.put_value(study, _COUNTS, self._counts)
        if left:
            store.put_value(study, _IN_FLIGHT, {})

    def suspected(self, key: str) -> bool:
        """Whether a run was ended in the middle of it: it should run alone, and last."""
        return key in self._counts

    def given_up(self, key: str) -> str:
        """Why it is not run again; empty if it may be run."""
        count = self._counts.get(key, 0)
        return _sentence(count) if count >= _MEETINGS else ""

    def begin(self, keys: Iterable[str]) -> None:
        """They are about to run."""
        self._since |= dict.fromkeys(keys, time.time())
        self._store.put_value(self._study, _IN_FLIGHT, self._since)

    def expect(self, kind: str, seconds: float) -> None:
        """A sound one of this kind, the first word of its key, may take so long."""
        if seconds > self._slowest.get(kind, 0.0):
            self._slowest[kind] = seconds

    def end(self, keys: Iterable[str]) -> None:
        """They came to their end, a failure included."""
        now, slower = time.time(), False
        for key in keys:
            seconds = now - self._since.pop(key, now)
            if seconds > self._slowest.get(_kind(key), 0.0):
                self._slowest[_kind(key)], slower = seconds, True
        values: dict[str, Json] = {_IN_FLIGHT: self._since}
        if slower:
            values[_SLOWEST] = self._slowest
        for name, value in values.items():
            self._store.put_value(self._study, name, value)

    def release(self, study: str) -> None:
        """Give back the trials that killed runs had taken; those that are given up are failed.

        Args:
            study: whose trials.
        """
        done = [t.seconds for t in self._store.trials(study) if t.state == "done"]
        slowest = max((s for s in done if s is not None), default=None)

        def counts(trial: Trial) -> bool:
            same = _process(trial.owner or "") == self._last_process
            return same and self._blamed(trial.started or 0.0, slowest)

        self._store.release_dead(study, counts=counts, max_lost=_MEETINGS, why=_sentence(_MEETINGS))

    def _blamed(self, since: float, slowest: float | None) -> bool:
        if self._fault:
            return True
        return self._last_sign - since >= max(_LONG, _SLOWER * (slowest or 0.0))


def _process(owner: str) -> str:
    """Machine and process of an owner's name."""
    return owner.rpartition("/")[0]


def _kind(key: str) -> str:
    return key.partition(" ")[0]


def _sentence(count: int) -> str:
    return (
        f"The process was ended {count} times in the middle of it, by its own fault or after it "
        f"had taken far longer than others: it is not run again. It seems to hang or to kill its "
        f"process; with --workers 1 and --timeout it costs itself only."
    )
