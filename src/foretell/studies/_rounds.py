"""Rounds of trials: stored, claimed, run, finished; what is finished is never run again."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from foretell.execution import Executor, InlineExecutor, PoolExecutor, drain
from foretell.store import Store, Trial, owner_name
from foretell.studies._config import SearchConfig
from foretell.studies._trial import run_trial
from foretell.types import Json

__all__ = ["Rounds"]


class Rounds:
    """Runs trials of one study and waits for those that workers on other hosts have taken.

    Args:
        store: the open store.
        study: name of the study.
        config: how many processes, and the time a trial may take.
    """

    def __init__(self, store: Store, study: str, config: SearchConfig) -> None:
        """Start nothing yet: a run whose trials are all finished needs no worker."""
        self.store, self.study, self.config = store, study, config
        self.owner = owner_name()
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        """Give back what a killed run on this machine had claimed."""
        self.store.release_dead(self.study)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the workers."""
        if self._executor is not None:
            self._executor.close()

    def run(self, payloads: Sequence[tuple[str, Json]]) -> list[Trial]:
        """Finish the trials of one round.

        Args:
            payloads: (key, payload) of each; those finished by an earlier call are not run again.

        Returns:
            The finished trials, in the order given; failed ones included.
        """
        self.store.add_trials(self.study, payloads)
        keys = [key for key, _ in payloads]
        while True:
            rows = {t.key: t for t in self.store.trials(self.study)}
            if all(rows[key].state.final for key in keys):
                return [rows[key] for key in keys]
            if not self._work():
                time.sleep(0.1)
                self.store.release_dead(self.study)

    def _work(self) -> bool:
        """Run what nobody has; whether there was anything."""
        done = drain(self.store, self.study, self._executors(), owner=self.owner, max_lost=3)
        return sum(1 for _ in done) > 0

    def _executors(self) -> Executor:
        if self._executor is None:
            if self.config.workers:
                self._executor = PoolExecutor(
                    run_trial, self.config.workers, timeout=self.config.timeout
                )
            else:
                self._executor = InlineExecutor(run_trial)
        return self._executor
