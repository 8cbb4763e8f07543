"""Rounds of trials: stored, claimed, run, finished; what is finished is never run again."""

import contextlib
import time
from collections.abc import Callable, Generator, Sequence

from foretell.execution import Executor, drain
from foretell.store import Result, State, Store, Trial, owner_name
from foretell.studies.run.faults.interrupted import Interrupted
from foretell.types import Json

__all__ = ["Rounds"]

_PATIENCE, _EVERY = 3.0, 30.0
"""Seconds of waiting for other workers until that is said, and until it is said again."""


class Rounds:
    """Runs trials of one study and waits for those that workers on other hosts have taken.

    Args:
        store: the open store.
        study: name of the study.
        executor: runs them.
        interrupted: gives up what has ended runs before; None gives up nothing.
        on_wait: told in a sentence what is waited for, after some seconds and every 30 s.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        executor: Executor,
        interrupted: Interrupted | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Give back what a killed run on this machine had claimed."""
        self.store, self.study, self.executor = store, study, executor
        self.owner = owner_name()
        self._on_wait = on_wait
        if interrupted is None:
            store.release_dead(study)
        else:
            interrupted.release(study)

    def run(self, payloads: Sequence[tuple[str, Json]]) -> list[Trial]:
        """Finish the trials of one round.

        Args:
            payloads: (key, payload) of each; those finished by an earlier call are not run again.

        Returns:
            The finished trials, in the order given; failed ones included.
        """
        self.store.add_trials(self.study, payloads)
        keys = [key for key, _ in payloads]
        next_words = time.monotonic() + _PATIENCE
        while True:
            rows = {t.key: t for t in self.store.trials(self.study)}
            if all(rows[key].state.final for key in keys):
                return [rows[key] for key in keys]
            if self._work():
                next_words = time.monotonic() + _PATIENCE
                continue
            time.sleep(0.1)
            self.store.release_dead(self.study)
            if self._on_wait is not None and time.monotonic() >= next_words:
                next_words = time.monotonic() + _EVERY
                held = [t for t in self.store.trials(self.study, State.running) if t.key in keys]
                if held:
                    self._on_wait(_waiting(held, time.time()))

    def each(
        self, payloads: Sequence[tuple[str, Json]]
    ) -> Generator[tuple[Trial, Result], None, None]:
        """Run trials that do not depend on each other, each stored when there is room for it.

        A study that is killed therefore leaves no more unfinished trials than it has workers, and
        one that is asked for less the next time does no more than that.

        Args:
            payloads: (key, payload) of each; those that succeeded in an earlier call are not run
                again, those that failed are.

        Yields:
            The trial as it was taken and its result, as soon as it is there.
        """
        bad = [s for s in State if s.final and s is not State.done]
        wanted = {key for key, _ in payloads}
        if any(t.key in wanted for t in self.store.trials(self.study, bad)):
            self.store.retry(self.study, bad)
        done = {t.key for t in self.store.trials(self.study, State.done)}
        todo = (pair for pair in payloads if pair[0] not in done)

        def add_one() -> bool:
            """Asked before each trial is taken; never stops, but stores the next one."""
            if (pair := next(todo, None)) is not None:
                self.store.add_trials(self.study, [pair])
            return False

        with contextlib.closing(
            drain(
                self.store,
                self.study,
                self.executor,
                owner=self.owner,
                max_lost=3,
                stop=add_one,
            )
        ) as results:
            yield from results

    def _work(self) -> bool:
        """Run what nobody has; whether there was anything."""
        done = drain(self.store, self.study, self.executor, owner=self.owner, max_lost=3)
        return sum(1 for _ in done) > 0


def _waiting(held: Sequence[Trial], now: float) -> str:
    """Who is waited for, how long, and what happens then."""
    first = held[0]
    host, _, process = (first.owner or "").rpartition("/")[0].rpartition("/")
    left = max(0.0, (first.lease_until or now) - now)
    more = f" and {len(held) - 1} more" if len(held) > 1 else ""
    return (
        f"Waiting for trial {first.number}{more}, which process {process} on "
        f"{host.partition('.')[0] or 'another host'} works on: if that is dead, the trial is taken "
        f"over when its lease ends, in {left:.0f} s; as long as it lives, it renews the lease. End "
        f"that process to take it over."
    )
