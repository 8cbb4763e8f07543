"""What a search has found, as plain values that a run folder alone can give.

Every number that may be missing is NaN, every part that may be missing is None or empty, and the
report says so in words. Nothing here computes anything; see ``foretell.report.search.tables``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.graph import Graph
from foretell.types import Array, Direction

__all__ = [
    "BASELINES",
    "BaselineRow",
    "BaselineTable",
    "ConstraintRow",
    "CurveRow",
    "ObjectiveRow",
    "PoolTable",
    "ResumeRow",
    "SearchResult",
    "TaskRow",
    "TrialRow",
    "Winner",
    "WonRow",
]

NAN = float("nan")
_COLUMNS = (
    "number", "arch", "state", "feasible", "violation", "on_front", "epochs", "trial_seconds",
    "predicted", "error", "message",
)  # fmt: skip
"""Columns of a trial that a value of the same name must not take."""
BASELINES = ("params", "live_params", "sum_log_params")
"""The three free baselines that every correlation is shown beside."""


def _empty() -> Array:
    return np.empty(0, dtype=np.float64)


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class TaskRow:
    """What the networks learned.

    Args:
        name: such as "digits".
        classes: number of classes.
        input_shape: channels, height, width.
        train: number of training images.
        val: number of validation images.
        test: number of test images.
        class_names: one for each class; may be empty.
        source: where the data come from, one line; may be empty.
        most_frequent: share of the test images that are of the most frequent class; NaN if unknown.
    """

    name: str
    classes: int
    input_shape: tuple[int, int, int]
    train: int
    val: int
    test: int
    class_names: tuple[str, ...] = ()
    source: str = ""
    most_frequent: float = NAN


@dataclass(frozen=True)
class CurveRow:
    """One training run, one value an epoch; ``training.Curves`` has the same fields.

    Args:
        train_loss: nats.
        val_loss: nats.
        val_accuracy: in [0, 1].
    """

    train_loss: Sequence[float] = ()
    val_loss: Sequence[float] = ()
    val_accuracy: Sequence[float] = ()


@dataclass(frozen=True)
class PoolTable:
    """The networks that were scored; every array has one entry for each of ``archs``.

    Args:
        archs: texts, as the space formats them.
        params: trainable parameters that reach the output.
        flops: multiply-adds of one image.
        memory: peak activation bytes of one image.
        predicted: the searcher's predicted value at the end of the run, NaN where it has none. A
            searcher may predict ranks or sums, so this need not be an accuracy.
        scores: proxy -> values, NaN where the proxy failed or the network is dead. The three
            baselines of ``BASELINES`` belong in here, too.
        alive: whether input reaches output; None if all are alive.
        drawn: how many architectures were drawn in all; None if the same as ``len(archs)``.
        infeasible: how many of those broke a constraint and were dropped.
        dead: how many of those have no path from input to output.
        failed: how many of those could not be built or counted.
        duplicates: how many were left out as copies of others; 0 if not counted.
        failures: index into ``archs`` -> why its scoring failed, as "ErrorClass: message".
        population: what the pool is, in words, such as "sampled uniformly, feasible, alive".
    """

    archs: tuple[str, ...] = ()
    params: Array = field(default_factory=_empty)
    flops: Array = field(default_factory=_empty)
    memory: Array = field(default_factory=_empty)
    predicted: Array = field(default_factory=_empty)
    scores: Mapping[str, Array] = field(default_factory=_nothing)
    alive: NDArray[np.bool_] | None = None
    drawn: int | None = None
    infeasible: int = 0
    dead: int = 0
    failed: int = 0
    duplicates: int = 0
    failures: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    population: str = "sampled uniformly"


@dataclass(frozen=True)
class TrialRow:
    """One network that was trained, or that failed to.

    Args:
        number: position in the run, from 0.
        arch: text, the same as in the pool if it is there.
        state: "done", "failed", "timed_out", "out_of_memory", "not_finite" or "stale".
        error: class of the error; empty if done.
        message: its sentence; empty if done.
        val_accuracy: in [0, 1]; NaN if it failed.
        predicted: what the searcher expected before the trial; NaN if nothing.
        params: trainable parameters.
        flops: multiply-adds of one image.
        memory: peak activation bytes of one image.
        seconds: what the trial took.
        finished: seconds of work from the start of the run (summed over all resumed parts) to the
            end of this trial; NaN to add up ``seconds`` instead.
        curves: values for each epoch; None if there are none.
        resumed: whether it was taken over from an earlier call.
        values: quantity -> measured value, objectives and bounded quantities among them.
        feasible: whether it keeps every constraint, as far as that is known.
        violation: how it breaks a constraint, such as "pgd@8 51% < 60%"; empty if it does not.
        on_front: whether no feasible trial beats it in every objective.
        scores: proxy -> score; empty if it was not scored.
    """

    number: int
    arch: str
    state: str = "done"
    error: str = ""
    message: str = ""
    val_accuracy: float = NAN
    predicted: float = NAN
    params: float = NAN
    flops: float = NAN
    memory: float = NAN
    seconds: float = NAN
    finished: float = NAN
    curves: CurveRow | None = None
    resumed: bool = False
    values: Mapping[str, float] = field(default_factory=_nothing)
    feasible: bool = True
    violation: str = ""
    on_front: bool = False
    scores: Mapping[str, float] = field(default_factory=_nothing)


@dataclass(frozen=True)
class Winner:
    """The network that the run recommends, trained once more in full.

    Args:
        arch: text.
        val_accuracy: of the final training, in [0, 1].
        test_accuracy: of the final training, in [0, 1].
        graph: the searched part; None if the space has none to draw.
        number: the trial that found it; None if unknown.
        params: trainable parameters.
        flops: multiply-adds of one image.
        memory: peak activation bytes of one image.
        seconds: of the final training.
        curves: of the final training; None if there are none.
        robustness: attack -> eps in 1/255 -> accuracy in [0, 1]; empty if skipped.
        robust_clean: accuracy on the same images without an attack.
        robust_images: how many images were attacked.
        robust_skipped: why there is no attack, in words; empty for a default sentence.
        files: what was exported, relative to the report.
        not_exported: what was left out and why, such as "model.onnx needs the extra onnx".
        graph_title: heading of the drawing.
    """

    arch: str
    val_accuracy: float = NAN
    test_accuracy: float = NAN
    graph: Graph | None = None
    number: int | None = None
    params: float = NAN
    flops: float = NAN
    memory: float = NAN
    seconds: float = NAN
    curves: CurveRow | None = None
    robustness: Mapping[str, Mapping[float, float]] = field(default_factory=_nothing)
    robust_clean: float = NAN
    robust_images: int = 0
    robust_skipped: str = ""
    files: tuple[str, ...] = ()
    not_exported: tuple[str, ...] = ()
    graph_title: str = "The winner's cell"


@dataclass(frozen=True)
class BaselineRow:
    """One network that was trained to say what the search won.

    Args:
        role: "winner" (trained anew), "random" or "biggest".
        arch: text.
        value: of the first objective; NaN if it failed or broke a limit.
        params: trainable parameters.
        flops: multiply-adds of one image.
        state: as of a trial.
        message: how it failed or broke a limit; empty if it did not.
    """

    role: str
    arch: str
    value: float = NAN
    params: float = NAN
    flops: float = NAN
    state: str = "done"
    message: str = ""


@dataclass(frozen=True)
class WonRow:
    """What the winner gained over some networks, in the unit of the first objective.

    Args:
        over: "random" or "biggest".
        n: how many networks it was compared with.
        mean: mean difference, above 0 where the winner is better; NaN where there is none.
        low: lower end of the 95 % interval; NaN where there is none.
        high: upper end.
        text: what the interval holds and what not, or why there is no number, in sentences.
        same: whether the winner itself is what it would be compared with.
    """

    over: str
    n: int
    mean: float = NAN
    low: float = NAN
    high: float = NAN
    text: str = ""
    same: bool = False


@dataclass(frozen=True)
class BaselineTable:
    """The networks that a search's winner is compared with, and what was won over them.

    Args:
        rows: the winner, trained anew; random networks; the biggest, unless that is the winner.
        won: over random networks and over the biggest.
    """

    rows: tuple[BaselineRow, ...]
    won: tuple[WonRow, ...]


@dataclass(frozen=True)
class ConstraintRow:
    """A limit that every network had to keep.

    Args:
        text: as typed, such as "params<=300k".
        name: of the quantity, such as "params".
        max: upper limit; None if there is none.
        min: lower limit; None if there is none.
        dropped: how many drawn networks broke it; None if not counted.
    """

    text: str
    name: str = ""
    max: float | None = None
    min: float | None = None
    dropped: int | None = None


@dataclass(frozen=True)
class ObjectiveRow:
    """One quantity that the search was after.

    Args:
        name: of the quantity, such as "latency@onnxruntime".
        unit: "fraction", "s", "bytes", "count", or any other text.
        direction: "max" or "min".
        reproducible: whether the same seed gives the same value.
        label: as axes and columns are headed.
    """

    name: str
    unit: str = ""
    direction: Direction = "max"
    reproducible: bool = True
    label: str = ""


@dataclass(frozen=True)
class ResumeRow:
    """What this call took over from earlier ones.

    Args:
        trials: finished trials that were reused.
        scores: scored networks that were reused.
        seconds: work that this saved.
    """

    trials: int = 0
    scores: int = 0
    seconds: float = NAN


@dataclass(frozen=True)
class SearchResult:
    """Everything that a search has found so far.

    Args:
        title: heading, such as "digits on nb201".
        space: name of the search space.
        task: the data; None where a user evaluates architectures.
        command: the exact command that repeats the run.
        seed: the run's seed.
        searcher: name of the searcher.
        settings: what was chosen, name -> value; shown as a table.
        versions: package -> version.
        device: in words, such as "cpu, 2 threads".
        stages: stage -> seconds, in the order in which they ran.
        pool: what was drawn and scored.
        unbuilt: text of an architecture -> why its costs could not be counted, as "ErrorClass:
            message"; none of them was scored or trained.
        trials: what was trained.
        winner: None if nothing was trained successfully.
        constraints: limits.
        budget: how many trials were allowed; None if open.
        space_size: number of architectures of the space; None if unknown.
        resumed: None if the run started afresh.
        started: when, in ISO 8601; may be empty.
        proxy_batch: what the proxies saw, such as "2 batches of 64 images".
        notes: warnings that a reader must know, in full sentences.
        objectives: what the search was after; none stands for the accuracy.
        preferred: how the winner was chosen from the front; empty with one objective.
        state: "running", "stopped" or "finished".
        baselines: what was won over random networks and the biggest; None if not asked for.
        folder: the run folder; empty if there is none.
        outcome: what is in memory after a run, such as the trained network; None after ``read``.
    """

    title: str
    space: str
    task: TaskRow | None
    command: str
    seed: int
    searcher: str = ""
    settings: Mapping[str, object] = field(default_factory=_nothing)
    versions: Mapping[str, str] = field(default_factory=_nothing)
    device: str = ""
    stages: Mapping[str, float] = field(default_factory=_nothing)
    pool: PoolTable = field(default_factory=PoolTable)
    unbuilt: Mapping[str, str] = field(default_factory=_nothing)
    trials: tuple[TrialRow, ...] = ()
    winner: Winner | None = None
    constraints: tuple[ConstraintRow, ...] = ()
    budget: int | None = None
    space_size: int | None = None
    resumed: ResumeRow | None = None
    started: str = ""
    proxy_batch: str = ""
    notes: tuple[str, ...] = ()
    objectives: tuple[ObjectiveRow, ...] = ()
    preferred: str = ""
    state: str = "finished"
    baselines: BaselineTable | None = None
    folder: str = ""
    outcome: Any = field(default=None, repr=False, compare=False)

    @property
    def files(self) -> tuple[str, ...]:
        """What was exported, relative to the run folder."""
        return self.winner.files if self.winner is not None else ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not exported, and why."""
        return self.winner.not_exported if self.winner is not None else ()

    def tables(self) -> dict[str, Mapping[str, Sequence[object]]]:
        """``trials`` with values, costs and scores; ``baselines``; what was ``won`` over them."""
        rows = self.trials
        values = dict.fromkeys(name for row in rows for name in row.values)
        fixed: dict[str, Sequence[object]] = {
            "number": [r.number for r in rows],
            "arch": [r.arch for r in rows],
            "state": [r.state for r in rows],
            "feasible": [r.feasible for r in rows],
            "violation": [r.violation for r in rows],
            "on_front": [r.on_front for r in rows],
            **{_column(name): [r.values.get(name, NAN) for r in rows] for name in values},
            "epochs": [len(r.curves.val_loss) if r.curves else "" for r in rows],
            "trial_seconds": [round(r.seconds, 3) for r in rows],
            "params": [_whole(r.values.get("params", r.params)) for r in rows],
            "flops": [_whole(r.values.get("flops", r.flops)) for r in rows],
            "memory": [_whole(r.values.get("memory", r.memory)) for r in rows],
            "predicted": [r.predicted for r in rows],
            "error": [r.error for r in rows],
            "message": [r.message for r in rows],
        }
        named = dict.fromkeys(name for row in rows for name in row.scores if name not in fixed)
        scores = {name: [r.scores.get(name, NAN) for r in rows] for name in named}
        return {"trials": {**fixed, **scores}, **self._baselines()}

    def _baselines(self) -> dict[str, Mapping[str, Sequence[object]]]:
        if self.baselines is None:
            return {}
        rows, won = self.baselines.rows, self.baselines.won
        objective = self.objectives[0].name if self.objectives else "accuracy"
        return {
            "baselines": {
                "role": [r.role for r in rows],
                "arch": [r.arch for r in rows],
                "state": [r.state for r in rows],
                "objective": [objective for _ in rows],
                "value": [r.value for r in rows],
                "params": [_whole(r.params) for r in rows],
                "flops": [_whole(r.flops) for r in rows],
                "message": [r.message for r in rows],
            },
            "won": {
                "over": [w.over for w in won],
                "objective": [objective for _ in won],
                "n": [w.n for w in won],
                "mean": [w.mean for w in won],
                "low": [w.low for w in won],
                "high": [w.high for w in won],
                "holds": [w.text for w in won],
            },
        }


def _column(name: str) -> str:
    """The heading of a value."""
    return f"{name}_value" if name in _COLUMNS else name


def _whole(value: float) -> float | int:
    """A count without a decimal point; NaN stays."""
    return int(value) if value == value and value.is_integer() else value
