"""Ask, measure, run, tell: the loop that a search and a user's own optimisation share."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from foretell.arch import Arch
from foretell.errors import ConstraintError
from foretell.execution import Executor
from foretell.quantities import Quantity, Stage
from foretell.search import Searcher
from foretell.store import Trial
from foretell.studies.run.costs import CostBook
from foretell.studies.run.inside import watch
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session
from foretell.studies.search.goals import Goals
from foretell.types import Json

__all__ = ["Extra", "Loop", "tell"]

Extra: TypeAlias = Callable[[Arch, int, Sequence[Trial]], Mapping[str, Json]]
"""(architecture, number of the trial, finished trials) -> further fields of its payload."""

MEASURE = "measure"
"""Behind the kind of a study, the name of the measurements in its store."""


def tell(searcher: Searcher, goals: Goals, archs: Sequence[Arch], done: Sequence[Trial]) -> None:
    """Tell a searcher what finished trials were worth."""
    gains = goals.gains([t.value["values"] if t.state == "done" else None for t in done])
    searcher.tell(
        archs,
        gains[:, 0] if gains.shape[1] == 1 else gains,
        feasible=[not (t.state == "done" and t.value["violation"]) for t in done],
    )


class Loop:
    """Runs trials of one study, round by round.

    Searchers keep no state on disk: they are asked and told again, which takes no time because
    every answer is in the store.

    Args:
        session: the open run.
        goals: objectives and constraints; shares of a reference are turned into bounds here.
        searcher: proposes architectures.
        executor: runs measurements and trials.
        text_of: an architecture's text.
        book: costs of architectures; None where they are not known.
        reference: the architecture that shares refer to.
        extra: (architecture, number of the trial, finished trials) -> what its payload holds, too.
    """

    def __init__(
        self,
        session: Session,
        goals: Goals,
        searcher: Searcher,
        executor: Executor,
        *,
        text_of: Callable[[Arch], str],
        book: CostBook | None = None,
        reference: Arch | None = None,
        extra: Extra | None = None,
    ) -> None:
        """Measure the reference, if a share of a measured quantity needs it."""
        self.session, self.searcher = session, searcher
        self._text_of, self._book, self._extra = text_of, book, extra
        self.rows: list[Trial] = []
        self._trials = Rounds(
            session.store, session.kind, executor, session.interrupted, self._waiting
        )
        self._measurements: Rounds | None = None
        self._stored: dict[str, Trial] = {}
        self._executor = executor
        self._reference: dict[str, float] = {}
        self._budget = 0
        self.goals = goals
        relative = [c for c in goals.constraints if c.relative]
        if relative and reference is None:
            raise ConstraintError(
                f"{relative[0]} is a share of a reference architecture, but none was given."
            )
        if relative and reference is not None:
            names = {c.name for c in relative}
            found = self._before_training(
                [reference], [q for q in self._early() if q.name in names]
            )
            values, why = found[0]
            if why is not None:
                raise ConstraintError(f"The reference could not be measured: {why[1]}.")
            self._reference = values
            self.goals = goals.with_reference(values)

    def run(self, trials: int, round_: int, *, reused_scores: int = 0) -> tuple[list[Trial], int]:
        """Go on until the budget is spent or the space exhausted.

        Args:
            trials: the budget.
            round_: how many are asked for at once.
            reused_scores: scored networks that were taken over, for readers.

        Returns:
            The finished trials in the order of asking, and how many an earlier call had finished.
        """
        tell = self.session.tell
        reused = sum(t.state.final for t in self.session.store.trials(self.session.kind))
        self.session.put("resumed", {"trials": reused, "scores": reused_scores})
        rows = self.rows
        self._budget = trials
        while len(rows) < trials:
            tell("train", len(rows), trials, self._best())
            archs = self.searcher.ask(min(round_, trials - len(rows)))
            if not archs:
                break
            self.step(archs)
        tell("train", len(rows), len(rows))
        return rows, min(reused, len(rows))

    def step(self, archs: Sequence[Arch]) -> None:
        """Run the trials of one round and tell the searcher."""
        one = len(self.goals.objectives) == 1
        expected = self.searcher.predict(archs) if one else [math.nan] * len(archs)
        before = self._before_training(archs, self._early())
        payloads = [
            (str(arch), self._payload(arch, float(value), measured, why, len(self.rows) + i))
            for i, (arch, value, (measured, why)) in enumerate(
                zip(archs, expected, before, strict=True)
            )
        ]
        with watch(self.session.folder.path, partial(self._told, len(archs))):
            done = self._trials.run(payloads)
        tell(self.searcher, self.goals, archs, done)
        self.rows += done

    def payload_of(self, arch: Arch) -> dict[str, Json]:
        """What one more training of an architecture is claimed with: costs and early values."""
        ((measured, why),) = self._before_training([arch], self._early())
        return self._payload(arch, math.nan, measured, why, len(self.rows))

    def _told(self, most: int, done: float, words: str) -> None:
        """Say how far the trials of a round are."""
        done = min(done, most)
        note = "; ".join(filter(None, (words, self._best())))
        whole = min(int(done), most - 1)
        self.session.tell(
            "train",
            len(self.rows) + whole,
            max(self._budget, len(self.rows) + most),
            note,
            part=done - whole,
        )

    def _waiting(self, words: str) -> None:
        """Say what is waited for."""
        self.session.log.write(words)
        self.session.tell("train", len(self.rows), max(self._budget, len(self.rows)), words)

    def _early(self) -> tuple[Quantity, ...]:
        return (*self.goals.at(Stage.GRAPH), *self.goals.at(Stage.BUILT))

    def _payload(
        self,
        arch: Arch,
        predicted: float,
        measured: Mapping[str, float],
        why: tuple[str, str] | None,
        number: int,
    ) -> dict[str, Json]:
        payload: dict[str, Json] = {
            "genes": list(arch.genes),
            "text": self._text_of(arch),
            "predicted": None if math.isnan(predicted) else predicted,
            "measured": dict(measured),
        }
        if self._book is not None:
            costs = self._book([arch])
            if arch not in self._book.failures:
                payload["costs"] = {
                    name: int(costs.limited(name)[0]) for name in ("params", "flops", "memory")
                }
        if self._reference:
            payload["reference"] = self._reference
        if why is not None:
            payload["unmeasured"] = list(why)
        if self._extra is not None:
            payload |= self._extra(arch, number, self.rows)
        return payload

    def _before_training(
        self, archs: Sequence[Arch], quantities: Sequence[Quantity]
    ) -> list[tuple[dict[str, float], tuple[str, str] | None]]:
        """Values of each that are known before training, and what could not be measured and why.

        What the store holds is never measured again. One network is measured at a time.
        """
        rows: list[tuple[dict[str, float], tuple[str, str] | None]] = []
        for arch in archs:
            values: dict[str, float] = {}
            failed: tuple[str, str] | None = None
            for quantity in quantities:
                if quantity.stage is Stage.GRAPH:
                    assert self._book is not None
                    value = self._book.value(quantity, arch)
                    why = self._book.failures.get(arch)
                    if why := why or self._book.unmeasured.get((arch, quantity.name)):
                        failed = failed or (quantity.name, why.rstrip("."))
                    else:
                        values[quantity.name] = value
                    continue
                trial = self._measure(arch, quantity)
                if trial.state == "done":
                    values[quantity.name] = float(trial.value["value"])
                else:
                    failed = failed or (quantity.name, f"{trial.error}: {trial.message}")
            rows.append((values, failed))
        return rows

    def _measure(self, arch: Arch, quantity: Quantity) -> Trial:
        study = f"{self.session.kind}/{MEASURE}"
        if self._measurements is None:
            self.session.store.put_study(study, {})
            self._measurements = Rounds(
                self.session.store, study, self._executor, self.session.interrupted
            )
            self._stored = {t.key: t for t in self.session.store.trials(study)}
        key = f"reference of {quantity.name}"
        reference = self.session.value(key)
        payload = {"genes": list(arch.genes), "measure": quantity.name, "reference": reference}
        name = f"{arch} {quantity.name}"
        stored = self._stored.get(name)
        if stored is not None and stored.state.final:
            return stored
        trial = self._measurements.run([(name, payload if stored is None else stored.payload)])[0]
        self._stored[name] = trial
        if reference is None and trial.state == "done" and "reference" in trial.value["details"]:
            self.session.put(key, trial.value["details"]["reference"])
        return trial

    def _best(self) -> str:
        """The best value so far, of the first objective."""
        objective = self.goals.objectives[0]
        quantity = self.goals.known[objective.name]
        values = [
            t.value["values"][objective.name]
            for t in self.rows
            if t.state == "done" and not t.value["violation"]
            if objective.name in t.value["values"]
        ]
        if not values:
            return ""
        best = max(values) if objective.direction == "max" else min(values)
        shown = f"{best:.2%}" if quantity.unit == "fraction" else f"{best:.4g} {quantity.unit}"
        return f"best {shown.strip()}"
