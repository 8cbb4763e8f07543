"""The numbers behind each part of the report; ``plots`` draws them.

Every function takes a run and returns a frozen table. Nothing here knows colours, HTML or plotly,
and whatever cannot be computed is NaN or empty.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foretell.metrics import kendall, non_dominated, spearman
from foretell.report.html.format import DASH, inline, many, quantity, signed
from foretell.report.search.data import (
    BASELINES,
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    RunData,
    TrialRow,
    Winner,
    WonRow,
)
from foretell.types import Array

__all__ = [
    "ACCURACY",
    "CorrelationInfo",
    "CurveInfo",
    "FailureRow",
    "FunnelRow",
    "HeroInfo",
    "ParetoInfo",
    "PredictionInfo",
    "ProgressInfo",
    "RobustnessRow",
    "correlation_info",
    "curve_info",
    "failure_info",
    "funnel_info",
    "hero_info",
    "interval",
    "limit_text",
    "main_objective",
    "outcome_of",
    "over_text",
    "pareto_info",
    "prediction_info",
    "progress_info",
    "robustness_info",
    "star_number",
    "value_of",
    "verb_of",
    "violation_of",
    "why_no_winner",
    "won_sentence",
    "won_text",
]

NAN = float("nan")
Cost = Literal["params", "flops", "memory"]
ACCURACY = ObjectiveRow("accuracy", "fraction", "max", True, "Validation accuracy")
"""What a search is after where nothing else is said."""


def interval(accuracy: float, images: int) -> tuple[float, float]:
    """The 95 % interval (Wilson's) of an accuracy that was measured on some images.

    Args:
        accuracy: in [0, 1].
        images: how many were classified.

    Returns:
        Lower and upper bound, both NaN if there is nothing to bound.

    >>> low, high = interval(0.98, 360)
    >>> round(low, 4), round(high, 4)
    (0.9597, 0.9902)
    """
    if images <= 0 or not math.isfinite(accuracy):
        return NAN, NAN
    z = 1.959963984540054
    shrink = 1 + z * z / images
    middle = (accuracy + z * z / (2 * images)) / shrink
    spread = accuracy * (1 - accuracy) / images + z * z / (4 * images * images)
    half = z * math.sqrt(max(spread, 0.0)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def _tau(x: Array, y: Array) -> tuple[float, int]:
    """Kendall's tau-b where both are finite, and on how many pairs it rests."""
    found = kendall(np.where(np.isfinite(x), x, NAN), np.where(np.isfinite(y), y, NAN))
    return found.value, found.n


def _column(trials: tuple[TrialRow, ...], name: str) -> Array:
    return np.array([getattr(t, name) for t in trials], dtype=np.float64).reshape(len(trials))


def main_objective(run: RunData) -> ObjectiveRow:
    """The objective that curves and tables show: the accuracy if it is one, else the first."""
    for objective in run.objectives:
        if objective.name == "accuracy":
            return replace(objective, label=ACCURACY.label)
    return run.objectives[0] if run.objectives else ACCURACY


def verb_of(run: RunData) -> str:
    """What a trial does with a network."""
    return "trained" if run.task is not None else "evaluated"


def value_of(trial: TrialRow, name: str) -> float:
    """What was measured in a trial; NaN if nothing was.

    Args:
        trial: the row.
        name: of the quantity.
    """
    if name in trial.values:
        return float(trial.values[name])
    return trial.val_accuracy if name == "accuracy" else NAN


def limit_text(run: RunData, limit: ConstraintRow) -> str:
    """A limit in the unit of its quantity, such as "latency@torch<=4 ms"; as typed if unknown."""
    unit = _unit(run, limit.name)
    bounds = [(limit.min, ">="), (limit.max, "<=")]
    if unit is None or all(value is None for value, _ in bounds):
        return limit.text
    return ", ".join(
        f"{limit.name}{sign}{quantity(value, unit)}" for value, sign in bounds if value is not None
    )


def violation_of(run: RunData, trial: TrialRow) -> str:
    """How a trial breaks a limit, in the unit of its quantity; empty if it does not."""
    if outcome_of(trial) != "infeasible":
        return ""
    for limit in run.constraints:
        value, unit = value_of(trial, limit.name), _unit(run, limit.name)
        for bound, sign in ((limit.max, 1.0), (limit.min, -1.0)):
            if unit is not None and bound is not None and sign * value > sign * bound:
                shown = f"{quantity(value, unit)} {'>' if sign > 0 else '<'}"
                return f"{limit.name} {shown} {quantity(bound, unit)}"
    return trial.violation


def _unit(run: RunData, name: str) -> str | None:
    """The unit of a quantity; None if the run does not say it."""
    known = {"params": "count", "flops": "count", "memory": "bytes"}
    known |= {o.name: o.unit for o in run.objectives}
    return known.get(name)


def outcome_of(trial: TrialRow) -> Literal["done", "infeasible", "pruned", "failed"]:
    """How a trial ended; only the last is a failure."""
    if trial.state == "pruned":
        return "pruned"
    if trial.state == "infeasible" or (trial.state == "done" and not trial.feasible):
        return "infeasible"
    return "done" if trial.state == "done" else "failed"


def _values(trials: tuple[TrialRow, ...], objective: ObjectiveRow) -> Array:
    """Values of the trials that ended well and keep every limit, NaN for the others."""
    return np.array(
        [value_of(t, objective.name) if outcome_of(t) == "done" else NAN for t in trials],
        dtype=np.float64,
    ).reshape(len(trials))


def _done(run: RunData) -> NDArray[np.bool_]:
    """Which trials ended well, with a value and within every limit."""
    return np.isfinite(_values(run.trials, main_objective(run)))


def _sign(objective: ObjectiveRow) -> float:
    return 1.0 if objective.direction == "max" else -1.0


# ---------------------------------------------------------------------------------------- summary


@dataclass(frozen=True)
class HeroInfo:
    """The run in a few numbers.

    Args:
        test_accuracy: of the winner, in [0, 1].
        low: lower bound of its 95 % interval.
        high: upper bound.
        trained: networks that were trained to the end.
        failed: trials that were not.
        budget: trials allowed; None if open.
        drawn: architectures drawn.
        scored: architectures scored.
        seconds: of all stages of this call.
        reused: trials taken over from earlier calls.
        infeasible: trials that broke a limit.
        pruned: trials that were ended early.
    """

    test_accuracy: float
    low: float
    high: float
    trained: int
    failed: int
    budget: int | None
    drawn: int
    scored: int
    seconds: float
    reused: int
    infeasible: int = 0
    pruned: int = 0


def hero_info(run: RunData) -> HeroInfo:
    """What the first screen of the report says."""
    test = run.winner.test_accuracy if run.winner else NAN
    low, high = interval(test, run.task.test if run.task else 0)
    done = int(_done(run).sum())
    ends = [outcome_of(t) for t in run.trials]
    others = {name: ends.count(name) for name in ("infeasible", "pruned")}
    pool = run.pool
    seconds = [s for s in run.stages.values() if math.isfinite(s)]
    reused = run.resumed.trials if run.resumed else sum(t.resumed for t in run.trials)
    return HeroInfo(
        test_accuracy=test,
        low=low,
        high=high,
        trained=done,
        failed=len(run.trials) - done - sum(others.values()),
        budget=run.budget,
        drawn=len(pool.archs) if pool.drawn is None else pool.drawn,
        scored=len(pool.archs),
        seconds=math.fsum(seconds) if seconds else NAN,
        reused=reused,
        **others,
    )


def why_no_winner(run: RunData) -> str:
    """Why there is none, as the end of a sentence."""
    info = hero_info(run)
    if not run.trials:
        return f"nothing was {verb_of(run)}"
    if info.infeasible and not info.trained:
        return f"none of {many(len(run.trials), 'trial')} kept every limit"
    return f"no network was {verb_of(run)} to the end"


@dataclass(frozen=True)
class FunnelRow:
    """One step on the way from all networks to the winner.

    Args:
        label: what is left.
        count: how many.
        lost: what fell away before this step, in words; empty if nothing did.
    """

    label: str
    count: int
    lost: str = ""


def funnel_info(run: RunData) -> tuple[FunnelRow, ...]:
    """From the space to the winner: how many networks are left after each step."""
    pool, hero = run.pool, hero_info(run)
    rows = []
    if run.space_size:
        rows.append(FunnelRow("in the space", run.space_size))
    if hero.drawn:
        rows.append(FunnelRow("drawn", hero.drawn))
    parts = [
        (pool.infeasible, "outside the limits"),
        (pool.dead, "dead"),
        (pool.failed, "failed"),
        (pool.duplicates, "copies"),
    ]
    rest = hero.drawn - hero.scored - sum(n for n, _ in parts)
    if rest > 0:  # of the last batch, or not counted by its reason
        parts.append((rest, "spare" if pool.duplicates else "copies or spare"))
    lost = [f"{n:,} {why}" for n, why in parts if n]
    if hero.scored:
        rows.append(FunnelRow("scored", hero.scored, ", ".join(lost)))
    ended = [
        (hero.failed, "failed"),
        (hero.infeasible, "outside the limits"),
        (hero.pruned, "ended early"),
    ]
    rows.append(
        FunnelRow(verb_of(run), hero.trained, ", ".join(f"{n:,} {why}" for n, why in ended if n))
    )
    if run.winner:
        rows.append(FunnelRow("winner", 1))
    return tuple(rows)


def won_text(won: WonRow, unit: str) -> str:
    """A gain with its sign, and its interval where there is one.

    >>> won_text(WonRow("random", 3, 0.031, 0.012, 0.05), "fraction")
    '+3.1 points [1.2, 5.0]'
    >>> won_text(WonRow("biggest", 1, -0.0001), "fraction")
    '0.0 points'
    >>> won_text(WonRow("biggest", 1, -0.0004), "s")
    '−400 µs'
    """
    if not math.isfinite(won.mean):
        return DASH
    sign = "−" if won.mean < 0 else "+"
    if unit != "fraction":
        text = sign + quantity(abs(won.mean), unit)
        if math.isfinite(won.low):
            text += f" [{_bound(won.low, unit)}, {_bound(won.high, unit)}]"
        return text
    points = f"{100 * abs(won.mean):.1f}"
    text = f"{sign if float(points) else ''}{points} points"
    if math.isfinite(won.low):
        text += f" [{signed(100 * won.low, 1)}, {signed(100 * won.high, 1)}]"
    return text


def _bound(value: float, unit: str) -> str:
    return "−" * (value < 0) + quantity(abs(value), unit)


def over_text(won: WonRow) -> str:
    """What a gain is over, as the end of a sentence."""
    if won.over == "biggest":
        return "over the biggest that fits" + ", which it is itself" * won.same
    networks = many(won.n, "random network") if won.n else "random networks"
    return f"over {networks} that {'fits' if won.n == 1 else 'fit'}"


def won_sentence(run: RunData) -> str:
    """What the search won, in one line; empty where no baseline was asked for."""
    if run.baselines is None:
        return ""
    unit = main_objective(run).unit

    def part(won: WonRow) -> str:
        none = "nothing" if won.same else "nothing that could be measured"
        text = won_text(won, unit) if math.isfinite(won.mean) else none
        return f"{text} {over_text(won)}"

    return ", ".join(map(part, run.baselines.won))


# --------------------------------------------------------------------------------------- progress


@dataclass(frozen=True)
class ProgressInfo:
    """The search over its trials, in the order in which they ran; all of shape (n,).

    Args:
        trials: the rows.
        number: of the trial.
        seconds: work so far.
        accuracy: value of the objective, the validation accuracy unless the search is after
            something else; NaN if the trial failed or broke a limit.
        best: the best so far; NaN before the first success.
        winner: the place of the winner's trial, or of the best one if no winner was chosen; None
            if there is none.
        objective: whose values these are.
        broken: how each trial breaks a limit; empty if it does not.
        verb: what was done with a network: "trained", or "evaluated" by the user's own function.
    """

    trials: tuple[TrialRow, ...]
    number: NDArray[np.int64]
    seconds: Array
    accuracy: Array
    best: Array
    winner: int | None
    objective: ObjectiveRow = ACCURACY
    verb: str = "trained"
    broken: tuple[str, ...] = ()


def progress_info(run: RunData) -> ProgressInfo:
    """Best value so far, by trials and by seconds."""
    objective = main_objective(run)
    trials = tuple(sorted(run.trials, key=lambda t: t.number))
    accuracy = _values(trials, objective)
    better = np.fmax if objective.direction == "max" else np.fmin
    best = better.accumulate(accuracy) if len(trials) else accuracy
    finished, seconds = _column(trials, "finished"), _column(trials, "seconds")
    if not np.isfinite(finished).all():
        finished = np.cumsum(np.where(np.isfinite(seconds), seconds, 0.0))
    return ProgressInfo(
        trials=trials,
        number=np.array([t.number for t in trials], dtype=np.int64),
        seconds=finished,
        accuracy=accuracy,
        best=best,
        winner=_place(trials, _sign(objective) * accuracy, run.winner),
        objective=objective,
        verb=verb_of(run),
        broken=tuple(violation_of(run, t) for t in trials),
    )


def star_number(run: RunData) -> int | None:
    """The trial that the charts mark with a star."""
    info = progress_info(run)
    return None if info.winner is None else info.trials[info.winner].number


def _place(trials: tuple[TrialRow, ...], accuracy: Array, winner: Winner | None) -> int | None:
    """Where the winner is among trials: by number, else by text; without one, the best value."""
    if winner is not None:
        for i, trial in enumerate(trials):
            if trial.number == winner.number or (
                winner.number is None and trial.arch == winner.arch
            ):
                return i
        return None
    if not np.isfinite(accuracy).any():
        return None
    return int(np.nanargmax(accuracy))


# ------------------------------------------------------------------------------------- prediction


@dataclass(frozen=True)
class PredictionInfo:
    """Trials with both a prediction and a trained accuracy; arrays of shape (n,).

    Args:
        trials: the rows.
        predicted: what the searcher expected before the trial.
        accuracy: what training gave.
        tau: Kendall's tau-b; NaN below two rows or if one side is constant.
        rho: Spearman's.
        without: successful trials that had no prediction.
        scale: whether the predictions look like accuracies, so that a diagonal means something.
        noise: |tau| that a random order of n rows exceeds in 5 % of cases.
        objective: whose values these are.
    """

    trials: tuple[TrialRow, ...]
    predicted: Array
    accuracy: Array
    tau: float
    rho: float
    without: int
    scale: bool
    noise: float
    objective: ObjectiveRow = ACCURACY

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.trials)


def chance_level(n: int) -> float:
    """|tau| that a random order of n values exceeds in about 5 % of cases (normal approximation).

    The standard deviation of tau without ties is sqrt(2 (2n + 5) / (9 n (n - 1))).

    >>> round(chance_level(38), 3)
    0.222
    """
    if n < 2:
        return NAN
    return min(1.0, 1.959963984540054 * math.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1))))


def prediction_info(run: RunData) -> PredictionInfo:
    """Predicted against trained accuracy."""
    objective, done = main_objective(run), _done(run)
    predicted, accuracy = _column(run.trials, "predicted"), _values(run.trials, objective)
    keep = done & np.isfinite(predicted)
    x, y = predicted[keep], accuracy[keep]
    shown = objective.unit == "fraction" and len(run.objectives) < 2
    return PredictionInfo(
        trials=tuple(t for t, k in zip(run.trials, keep, strict=True) if k),
        predicted=x,
        accuracy=y,
        tau=_tau(x, _sign(objective) * y)[0],
        rho=spearman(x, _sign(objective) * y).value,
        without=int((done & ~keep).sum()),
        scale=bool(
            shown and len(x) and x.min() >= 0 and x.max() <= 1.05 and np.ptp(x) < 4 * np.ptp(y)
        ),
        noise=chance_level(len(x)),
        objective=objective,
    )


# ----------------------------------------------------------------------------------------- pareto


@dataclass(frozen=True)
class ParetoInfo:
    """Trained networks by cost and accuracy; arrays of shape (n,).

    Args:
        cost: name of the cost.
        trials: the rows, those with a finite cost and accuracy.
        costs: their costs.
        accuracy: validation accuracies.
        front: which of them no other beats.
        winner: place of the winner; None if it is not among them.
        limit: the constraint's upper limit on this cost; None if there is none.
        objective: what stands against the cost.
    """

    cost: Cost
    trials: tuple[TrialRow, ...]
    costs: Array
    accuracy: Array
    front: NDArray[np.bool_]
    winner: int | None
    limit: float | None
    objective: ObjectiveRow = ACCURACY


def pareto_info(run: RunData, cost: Cost = "params") -> ParetoInfo:
    """Accuracy against a cost, with the networks that no other beats in both."""
    objective = main_objective(run)
    costs, accuracy = _column(run.trials, cost), _values(run.trials, objective)
    keep = np.isfinite(costs) & np.isfinite(accuracy)
    trials = tuple(t for t, k in zip(run.trials, keep, strict=True) if k)
    limits = [c.max for c in run.constraints if c.name == cost and c.max is not None]
    return ParetoInfo(
        cost=cost,
        trials=trials,
        costs=costs[keep],
        accuracy=accuracy[keep],
        front=non_dominated(
            np.stack([accuracy[keep], costs[keep]], axis=1), (objective.direction, "min")
        ),
        winner=_place(trials, accuracy[keep], run.winner) if run.winner else None,
        limit=min(limits) if limits else None,
        objective=objective,
    )


# ------------------------------------------------------------------------------------ correlation


@dataclass(frozen=True)
class CorrelationInfo:
    """Kendall's tau-b of every proxy; rows are sorted by their tau with trained accuracy.

    Args:
        names: proxies, (p,).
        baseline: which of them are the free baselines, (p,).
        matrix: tau among proxies over the pool, (p, p).
        counts: networks that each entry of ``matrix`` rests on, (p, p).
        accuracy: tau with trained accuracy, or what else the search is after, (p,).
        accuracy_n: trained networks that each rests on, (p,).
        missing: networks of the pool without a finite score, (p,).
        pool: networks in the pool.
        trained: networks trained to the end.
        population: what the pool is.
        seed: the run's seed.
        noise: |tau| with accuracy that a random order exceeds in 5 % of cases.
        absent: baselines that the run has not scored.
        objective: what the search is after.
    """

    names: tuple[str, ...]
    baseline: NDArray[np.bool_]
    matrix: Array
    counts: NDArray[np.int64]
    accuracy: Array
    accuracy_n: NDArray[np.int64]
    missing: NDArray[np.int64]
    pool: int
    trained: int
    population: str
    seed: int
    noise: float
    absent: tuple[str, ...]
    objective: ObjectiveRow = ACCURACY


def correlation_info(run: RunData) -> CorrelationInfo:
    """How proxies agree with one another over the pool, and with trained accuracy."""
    pool = run.pool
    columns = {k: np.asarray(v, dtype=np.float64) for k, v in pool.scores.items()}
    trained = _trained_scores(run, columns)
    objective = main_objective(run)
    accuracy = _sign(objective) * _values(run.trials, objective)
    found = {name: _tau(values, accuracy) for name, values in trained.items()}

    def rank(name: str) -> tuple[bool, float]:
        tau = found[name][0]
        return (math.isnan(tau), -tau if math.isfinite(tau) else 0.0)

    names = tuple(sorted(columns, key=rank))
    size = len(names)
    matrix, counts = np.full((size, size), NAN), np.zeros((size, size), dtype=np.int64)
    for i, first in enumerate(names):
        for j in range(i, size):
            tau, n = _tau(columns[first], columns[names[j]])
            matrix[i, j] = matrix[j, i] = tau
            counts[i, j] = counts[j, i] = n
    most = max((n for _, n in found.values()), default=0)
    return CorrelationInfo(
        names=names,
        baseline=np.array([n in BASELINES for n in names], dtype=bool),
        matrix=matrix,
        counts=counts,
        accuracy=np.array([found[n][0] for n in names], dtype=np.float64),
        accuracy_n=np.array([found[n][1] for n in names], dtype=np.int64),
        missing=np.array([(~np.isfinite(columns[n])).sum() for n in names], dtype=np.int64),
        pool=len(pool.archs),
        trained=int(_done(run).sum()),
        population=pool.population,
        seed=run.seed,
        noise=chance_level(most),
        absent=tuple(b for b in BASELINES if b not in columns),
        objective=objective,
    )


def _trained_scores(run: RunData, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The pool's scores in the order of the trials; NaN for trials from outside the pool."""
    place = {arch: i for i, arch in enumerate(run.pool.archs)}
    rows = np.array([place.get(t.arch, -1) for t in run.trials], dtype=np.int64)
    inside = rows >= 0
    out = {}
    for name, values in columns.items():
        picked = np.full(len(rows), NAN)
        picked[inside] = values[rows[inside]]
        out[name] = picked
    return out


# ------------------------------------------------------------------------ curves and robustness


@dataclass(frozen=True)
class CurveInfo:
    """Learning curves.

    Args:
        winner: of the final training; None if there is none.
        trials: (row, curve) of all trials that have one.
        epochs: the longest number of epochs.
    """

    winner: CurveRow | None
    trials: tuple[tuple[TrialRow, CurveRow], ...]
    epochs: int


def curve_info(run: RunData) -> CurveInfo:
    """The winner's learning curve and those of all trials."""
    winner = run.winner.curves if run.winner else None
    if winner is not None and not len(winner.val_accuracy):
        winner = None
    trials = tuple((t, t.curves) for t in run.trials if t.curves and len(t.curves.val_accuracy))
    longest = max((len(c.val_accuracy) for _, c in trials), default=0)
    return CurveInfo(winner, trials, max(longest, len(winner.val_accuracy) if winner else 0))


@dataclass(frozen=True)
class RobustnessRow:
    """Accuracy under one attack.

    Args:
        attack: its name.
        eps: in 1/255, ascending from 0 (no attack), if the clean accuracy is known.
        accuracy: in [0, 1], aligned to ``eps``.
    """

    attack: str
    eps: Array
    accuracy: Array


def robustness_info(run: RunData) -> tuple[RobustnessRow, ...]:
    """Accuracy against the size of the attack, one row an attack."""
    if run.winner is None:
        return ()
    rows = []
    for attack, table in run.winner.robustness.items():
        pairs = {float(e): float(a) for e, a in table.items()}
        if math.isfinite(run.winner.robust_clean):
            pairs.setdefault(0.0, run.winner.robust_clean)
        eps = sorted(pairs)
        accuracy = np.array([pairs[e] for e in eps], dtype=np.float64)
        if len(eps):
            rows.append(RobustnessRow(attack, np.array(eps, dtype=np.float64), accuracy))
    return tuple(rows)


# --------------------------------------------------------------------------------------- failures


@dataclass(frozen=True)
class FailureRow:
    """Failures of one class in one stage.

    Args:
        stage: "training", "evaluation", "scoring" or "building".
        state: such as "failed" or "timed out".
        error: class of the error.
        count: how many.
        message: of the first.
        arch: of the first.
    """

    stage: str
    state: str
    error: str
    count: int
    message: str
    arch: str


def failure_info(run: RunData) -> tuple[FailureRow, ...]:
    """Failures counted by class, the most frequent first."""
    rows: dict[tuple[str, str, str], tuple[int, str, str]] = {}

    def note(key: tuple[str, str, str], message: str, arch: str) -> None:
        count, first, example = rows.get(key, (0, message, arch))
        rows[key] = (count + 1, first, example)

    objective = main_objective(run)
    stage = "training" if run.task is not None else "evaluation"
    for trial in sorted(run.trials, key=lambda t: t.number):
        end = outcome_of(trial)
        if end == "failed":
            state = trial.state.replace("_", " ")
            note((stage, state, trial.error or "no error class"), trial.message, trial.arch)
        elif end == "done" and not math.isfinite(value_of(trial, objective.name)):
            what = inline(objective.label)
            message = f"{stage.capitalize()} ended, but its {what} is not a number."
            note((stage, "done", trial.error or f"no {objective.name}"), message, trial.arch)
    for index in sorted(run.pool.failures):
        error, _, message = run.pool.failures[index].partition(":")
        arch = run.pool.archs[index] if 0 <= index < len(run.pool.archs) else ""
        note(("scoring", "failed", error.strip() or "no error class"), message.strip(), arch)
    for arch, why in sorted(run.unbuilt.items()):
        error, _, message = why.partition(":")
        note(("building", "failed", error.strip()), message.strip(), arch)
    table = [FailureRow(*key, *value) for key, value in rows.items()]
    return tuple(sorted(table, key=lambda r: (-r.count, r.stage, r.error)))
