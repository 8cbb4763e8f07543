"""The last stages of a search: the winner is chosen, trained in full, attacked and exported."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from foretell import errors
from foretell.arch import Arch
from foretell.errors import SearchError
from foretell.execution import Claim, Executor
from foretell.rng import stream_seed
from foretell.search import preferred
from foretell.store import Trial
from foretell.studies._base import fingerprint
from foretell.studies.run.costs import CostBook
from foretell.studies.run.inside import watch
from foretell.studies.run.session import Session
from foretell.studies.run.values import unpack
from foretell.studies.search.closing import full_recipe
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.types import Json

if TYPE_CHECKING:
    from foretell.training import Recipe, TrainingResult

__all__ = ["FAILED", "PASSED", "Ending", "Final", "choose"]

FAILED = "closing failures"
"""Name of the closing steps that failed, in the store."""
PASSED = "passed winners"
"""Name of the winners that failed in them: number, text and reason of each, in the store."""
_WINNERS = 3
"""So many winners may fail before the search ends without one."""


@dataclass(frozen=True)
class Final:
    """The winner, trained in full.

    Args:
        key: stands for architecture, recipe and seed.
        arch: the architecture.
        trial: the number of the trial that found it.
        recipe: how it was trained.
        seed: of its weights and batches.
        result: curves, validation and test accuracy, seconds; None before the training.
        robustness: attack -> eps in 1/255 -> accuracy in [0, 1].
        robust_clean: accuracy on the attacked images before the attack.
        robust_issues: why accuracy under attack may be far too high, in sentences.
        robust_failed: why the attack failed; empty if it did not, or none was asked for.
        reused: whether an earlier call had trained it already.
    """

    key: str
    arch: Arch
    trial: int
    recipe: "Recipe"
    seed: int
    result: "TrainingResult | None"
    robustness: Mapping[str, Mapping[float, float]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    robust_clean: float = float("nan")
    robust_issues: tuple[str, ...] = ()
    robust_failed: str = ""
    reused: bool = False


def choose(
    goals: Goals, trials: Sequence[Trial], passed: Sequence[tuple[Trial, str]] = ()
) -> Trial:
    """The winner: of one objective the best, of several the preferred point of the front.

    Of equals the lower validation loss wins, then fewer parameters, then the earlier trial.

    Args:
        goals: objectives and how to choose.
        trials: finished ones.
        passed: earlier winners that failed afterwards, and how; they win no more.

    Raises:
        SearchError: every trial failed, none keeps the constraints, or too many winners failed; the
            sentence says why.
    """
    done = [t for t in trials if t.state == "done"]
    if not done:
        first = trials[0] if trials else None
        why = f"the first with {first.error}: {first.message}" if first else "none was asked for"
        raise SearchError(f"None of {len(trials)} trials succeeded, {why}")
    feasible = [t for t in done if not t.value["violation"]]
    if not feasible:
        raise SearchError(
            f"None of {len(done)} trials keeps the constraints, so there is no winner; the first "
            f"breaks {done[0].value['violation']}. Loosen it, or ask for more trials."
        )
    gone = {trial.number for trial, _ in passed}
    feasible = [t for t in feasible if t.number not in gone]
    if passed and (len(passed) >= _WINNERS or not feasible):
        first, why = passed[0]
        raise SearchError(
            f"There is no winner: the best {len(passed)} of {len(done)} trials failed afterwards, "
            f"the first, {first.payload['text']}: {why.rstrip('.')}. Every trial is kept: mend the "
            f"network, or change --final-epochs or --lr, and run the same command again."
        )

    def merit(trial: Trial) -> tuple[float, float, int]:
        costs, values = trial.payload.get("costs", {}), trial.value["values"]
        return values.get("loss", np.inf), costs.get("params", np.inf), trial.number

    ordered = sorted(feasible, key=merit)
    gains = goals.gains([t.value["values"] for t in ordered])
    if len(goals.objectives) == 1:
        return ordered[int(np.nanargmax(gains[:, 0]))]
    return ordered[preferred(gains, [o.name for o in goals.objectives], goals.prefer)]


@dataclass(frozen=True)
class _Failed:
    """Why a step failed.

    Args:
        error: class of the error.
        message: its sentence.
        limit: the time limit, where there was one.
    """

    error: str
    message: str
    limit: float | None

    @property
    def words(self) -> str:
        """Class and sentence."""
        return f"{self.error}: {self.message}"


class Ending:
    """The closing steps of a search, in the processes that its trials ran in.

    What failed is stored: it is not run again, but where a larger time limit gives it another
    chance.

    Args:
        session: the open run.
        config: the settings.
        book: costs, space and skeleton.
        executor: runs a ``Job``.
    """

    def __init__(
        self, session: Session, config: SearchConfig, book: CostBook, executor: Executor
    ) -> None:
        """Read what failed before."""
        self._session, self._config, self._book = session, config, book
        self._executor = executor
        self._recipe = full_recipe(config)
        self._checkpoints = session.folder.path / "checkpoints"
        self._checkpoints.mkdir(exist_ok=True)
        self._failed: dict[str, list[Json]] = session.value(FAILED) or {}

    def retrain(self, best: Trial) -> Final | str:
        """Train the winner in full, or say why that failed."""
        final = self._untrained(best)
        stored = self._session.value(f"final {final.key}")
        if stored is not None:
            result = unpack(
                {
                    **{name: stored[name] for name in ("curves", "val_accuracy", "test_accuracy")},
                    "seconds": stored["seconds"],
                    "epochs": len(stored["curves"]["train_loss"]),
                },
                _result_class(),
            )
            self._session.tell("final", self._recipe.epochs, self._recipe.epochs)
            return replace(final, result=result, reused=True)
        value = self._step("retrain", final, seconds=best.seconds or 0.0)
        if isinstance(value, _Failed):
            return value.words
        result = unpack(value, _result_class())
        self._session.tell("final", self._recipe.epochs, self._recipe.epochs)
        self._session.put(
            f"final {final.key}",
            {
                "val_accuracy": result.val_accuracy,
                "test_accuracy": result.test_accuracy,
                "seconds": result.seconds,
                "curves": asdict(result.curves),
            },
        )
        return replace(final, result=result)

    def attack(self, final: Final) -> Final:
        """Attack the winner on images of the test part, unless that was done before."""
        config = self._config
        if not config.attacks:
            return final
        eps = [float(e) for e in config.eps]
        key = "attack " + fingerprint(
            [
                list(final.arch.genes),
                repr(final.recipe),
                list(config.attacks),
                eps,
                config.attack_images,
            ]
        )
        stored = self._session.value(key)
        self._session.tell("attack", 0, 1)
        if stored is None:
            stored = self._step("attack", final, name=key)
            if isinstance(stored, _Failed):
                self._session.tell("attack", 1, 1)
                return replace(final, robust_failed=stored.words)
            self._session.put(key, stored)
        self._session.tell("attack", 1, 1)
        return replace(
            final,
            robust_clean=stored["clean"],
            robust_issues=tuple(stored.get("issues", ())),
            robustness={a: dict(row) for a, row in stored["accuracy"].items()},
        )

    def export(self, final: Final, folder: Path) -> tuple[tuple[str, ...], tuple[Json, Json]] | str:
        """Write the exported folder.

        Returns:
            Its problems, and the outputs that it should give elsewhere; or why nothing was written.
        """
        problems: list[str] = []
        value: Json | _Failed = _Failed("", "", None)
        for onnx in (True, False) if self._config.onnx else (False,):
            name = f"export {final.key}" + ("" if onnx else " without onnx")
            shutil.rmtree(folder, ignore_errors=True)
            value = self._step("export", final, name=name, folder=str(folder), onnx=onnx)
            if not isinstance(value, _Failed):
                return (*problems, *value["problems"]), tuple(value["expected"])
            if onnx:
                problems.append(
                    f"There is no model.onnx: exporting to ONNX failed with {value.words}"
                )
        assert isinstance(value, _Failed)
        return value.words

    def _untrained(self, best: Trial) -> Final:
        arch = Arch(self._book.space.name, tuple(best.payload["genes"]))
        seed = stream_seed(self._config.seed, "final", *arch.genes)
        key = fingerprint([list(arch.genes), repr(self._recipe), seed])
        return Final(key, arch, best.number, self._recipe, seed, None)

    def _step(
        self, step: str, final: Final, *, name: str = "", seconds: float = 0.0, **more: Json
    ) -> Json | _Failed:
        """What a step returns, or why it failed, now or in an earlier call."""
        name = name or f"{step} {final.key}"
        if (failed := self._earlier(name)) is not None:
            return failed
        watch_, key = self._session.interrupted, f"{step} {final.arch}"
        if why := watch_.given_up(key):
            return self._fail(name, "WorkerLostError", why)
        watch_.expect(step, seconds)
        payload: dict[str, Json] = {
            "close": step,
            "genes": list(final.arch.genes),
            "checkpoint": str(self._checkpoints / f"final-{final.key}.pt"),
            **more,
        }
        watch_.begin([key])

        def told(part: float, words: str) -> None:
            watch_.end([key])  # each epoch counts on its own
            watch_.begin([key])
            epochs = self._recipe.epochs
            if step == "retrain":
                self._session.tell("final", round(min(part, 1.0) * epochs), epochs, words)

        claim = Claim(0, payload, times=self._times())
        if step == "retrain":
            self._session.tell("final", 0, self._recipe.epochs)
        listening = watch(self._session.folder.path, told)
        with listening, closing(self._executor.map([claim])) as results:
            (result,) = results
        watch_.end([key])
        if result.ok:
            return result.value
        self._session.folder.check(result.message)
        kind = getattr(errors, result.error, None)
        if step == "export" and isinstance(kind, type) and issubclass(kind, errors.ForetellError):
            raise errors.ExportError(result.message)
        return self._fail(name, result.error, result.message)

    def _times(self) -> float:
        """The closing steps have the time of as many trials as their training has more epochs."""
        from foretell.training import get_recipe

        short = self._config.epochs or get_recipe("short").epochs
        return max(1.0, self._recipe.epochs / short)

    def _earlier(self, name: str) -> _Failed | None:
        if (row := self._failed.get(name)) is None:
            return None
        failed, limit = _Failed(*row), self._config.timeout
        timed_out = failed.error == "TimeoutError" and failed.limit is not None
        more = limit is None or (failed.limit is not None and limit > failed.limit)
        return None if timed_out and more else failed

    def _fail(self, name: str, error: str, message: str) -> _Failed:
        failed = _Failed(error, message, self._config.timeout)
        self._failed[name] = [failed.error, failed.message, failed.limit]
        self._session.put(FAILED, self._failed)
        self._session.log.write(f"{name}: failed with {failed.words}")
        return failed


def _result_class() -> "type[TrainingResult]":
    from foretell.training import TrainingResult

    return TrainingResult
