"""Rounds of trials: stored, claimed, run, finished; what is finished is never run again."""

import time
from collections.abc import Sequence

from foretell.execution import Executor, drain
from foretell.store import Store, Trial, owner_name
from foretell.types import Json

__all__ = ["Rounds"]


class Rounds:
    """Runs trials of one study and waits for those that workers on other hosts have taken.

    Args:
        store: the open store.
        study: name of the study.
        executor: runs them.
    """

    def __init__(self, store: Store, study: str, executor: Executor) -> None:
        """Give back what a killed run on this machine had claimed."""
        self.store, self.study, self.executor = store, study, executor
        self.owner = owner_name()
        store.release_dead(study)

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
        done = drain(self.store, self.study, self.executor, owner=self.owner, max_lost=3)
        return sum(1 for _ in done) > 0
