"""A finished search as the tables of a report."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from foretell import __version__
from foretell.errors import ForetellError
from foretell.registry import short_name
from foretell.report.search.data import (
    ConstraintRow,
    CurveRow,
    PoolTable,
    ResumeRow,
    RunData,
    TaskRow,
    TrialRow,
    Winner,
)
from foretell.search import Constraint
from foretell.store import Trial
from foretell.studies import SearchOutcome
from foretell.types import Json

__all__ = ["run_data"]


def run_data(
    outcome: SearchOutcome,
    *,
    command: str,
    files: tuple[str, ...] = (),
    not_exported: tuple[str, ...] = (),
) -> RunData:
    """Every number of a search that a report shows.

    Args:
        outcome: what the search found out.
        command: the command that repeats it.
        files: what was exported, relative to the run folder.
        not_exported: what was left out, and why.
    """
    config = outcome.config
    return RunData(
        title=f"{outcome.task.name} on {config.space}",
        space=config.space,
        task=TaskRow(
            outcome.task.name,
            outcome.task.classes,
            outcome.task.input_shape,
            len(outcome.task.train),
            len(outcome.task.val),
            len(outcome.task.test),
            outcome.task.class_names,
            config.data,
        ),
        command=command,
        seed=config.seed,
        searcher=config.searcher,
        settings=config.to_json(),
        versions=_versions(),
        device=f"{config.device}, {platform.machine()}",
        stages=outcome.stages,
        pool=_pool(outcome),
        trials=tuple(_trial(outcome, t) for t in outcome.trials),
        winner=_winner(outcome, files, not_exported),
        constraints=_constraints(outcome),
        budget=config.trials,
        space_size=outcome.space.size,
        resumed=_resumed(outcome),
        started=datetime.fromtimestamp(outcome.trials[0].created, UTC).isoformat("T", "seconds"),
        proxy_batch=f"2 batches of up to {config.score_batch} training images",
    )


def _pool(outcome: SearchOutcome) -> PoolTable:
    pool = outcome.pool
    costs = outcome.book(pool.archs)
    return PoolTable(
        archs=tuple(outcome.space.format(a) for a in pool.archs),
        params=costs.params.astype(float),
        flops=costs.flops.astype(float),
        memory=costs.memory.astype(float),
        predicted=outcome.predicted,
        scores={
            **{short_name(name): values for name, values in pool.scores.items()},
            "params": costs.params.astype(float),
            "live_params": costs.live_params.astype(float),
            "sum_log_params": costs.sum_log_params,
        },
        alive=costs.alive,
        drawn=pool.drawn,
        infeasible=max((v for k, v in pool.excluded.items() if k != "alive"), default=0),
        dead=pool.excluded.get("alive", 0),
        failures=pool.failures,
        population="sampled uniformly, alive, within the constraints, isomorphic copies dropped",
    )


def _trial(outcome: SearchOutcome, trial: Trial) -> TrialRow:
    arch = outcome.arch_of(trial)
    costs = outcome.book([arch])
    done = trial.state == "done"
    predicted = trial.payload["predicted"]
    return TrialRow(
        number=trial.number,
        arch=outcome.space.format(arch),
        state=str(trial.state),
        error=trial.error,
        message=trial.message,
        val_accuracy=trial.value["val_accuracy"] if done else np.nan,
        predicted=np.nan if predicted is None else predicted,
        params=float(costs.params[0]),
        flops=float(costs.flops[0]),
        memory=float(costs.memory[0]),
        seconds=np.nan if trial.seconds is None else trial.seconds,
        curves=_curves(trial.value["curves"]) if done else None,
        resumed=trial.number < outcome.reused_trials,
    )


def _curves(data: Mapping[str, Json]) -> CurveRow:
    return CurveRow(data["train_loss"], data["val_loss"], data["val_accuracy"])


def _winner(
    outcome: SearchOutcome, files: tuple[str, ...], not_exported: tuple[str, ...]
) -> Winner:
    final = outcome.final
    costs = outcome.book([final.arch])
    curves = final.result.curves
    try:
        graph = outcome.space.graph(final.arch)
    except ForetellError:
        graph = None
    return Winner(
        arch=outcome.space.format(final.arch),
        val_accuracy=final.result.val_accuracy,
        test_accuracy=final.result.test_accuracy,
        graph=graph,
        number=final.trial,
        params=float(costs.params[0]),
        flops=float(costs.flops[0]),
        memory=float(costs.memory[0]),
        seconds=final.result.seconds,
        curves=CurveRow(curves.train_loss, curves.val_loss, curves.val_accuracy),
        robustness=final.robustness,
        robust_clean=final.robust_clean,
        robust_images=min(outcome.config.attack_images, len(outcome.task.test)),
        robust_skipped="" if outcome.config.attacks else "No attack was asked for.",
        files=files,
        not_exported=not_exported,
    )


def _constraints(outcome: SearchOutcome) -> tuple[ConstraintRow, ...]:
    parsed = [(text, Constraint.parse(text)) for text in outcome.config.constraints]
    return tuple(
        ConstraintRow(text, c.name, c.max, c.min, outcome.pool.excluded.get(str(c)))
        for text, c in parsed
    )


def _resumed(outcome: SearchOutcome) -> ResumeRow | None:
    trials = outcome.trials[: outcome.reused_trials]
    if not trials and not outcome.pool.reused:
        return None
    saved = sum(t.seconds or 0.0 for t in trials)
    return ResumeRow(len(trials), outcome.pool.reused, saved)


def _versions() -> dict[str, str]:
    found = {"foretell": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy", "plotly"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
