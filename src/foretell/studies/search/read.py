"""A search as its run folder alone tells it: running, stopped or finished; no torch, no lock."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from foretell.data import Task
from foretell.errors import ForetellError
from foretell.graph import Graph, Node
from foretell.registry import short_name
from foretell.search import Constraint
from foretell.spaces import Space
from foretell.store import Trial
from foretell.studies.run.costs import FAILED
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.session import Session, is_running, reading
from foretell.studies.search.baselines import KEY, STUDY, baselines_of
from foretell.studies.search.cautions import cautions
from foretell.studies.search.config import SearchConfig
from foretell.studies.search.goals import Goals
from foretell.studies.search.result import (
    ConstraintRow,
    CurveRow,
    ObjectiveRow,
    PoolTable,
    ResumeRow,
    SearchResult,
    TaskRow,
    TrialRow,
    Winner,
)
from foretell.studies.search.winner import PASSED, Final
from foretell.types import Json

__all__ = ["NOTES", "objectives_of", "read", "rows_of", "store_about", "store_winner"]

NOTES = "notes"
"""Name of what a reader must be warned of, in the store."""
_BASELINES = ("params", "live_params", "sum_log_params")


def store_about(
    session: Session, task: Task | None, space: Space, versions: Mapping[str, str]
) -> None:
    """Keep what a reader must know of data, space and machine."""
    facts: dict[str, Json] = {
        "space size": space.size,
        "machine": platform.machine(),
        "versions": dict(versions),
    }
    if task is not None:
        facts["task"] = {
            "name": task.name,
            "classes": task.classes,
            "input_shape": list(task.input_shape),
            "train": len(task.train),
            "val": len(task.val),
            "test": len(task.test),
            "class_names": list(task.class_names),
            "notes": list(task.notes),
            "most_frequent": float(np.bincount(task.test.labels).max() / len(task.test)),
        }
    session.put("about", facts)


def store_winner(
    session: Session,
    final: Final,
    space: Space,
    test_images: int,
    files: Sequence[str],
    left_out: Sequence[str],
    problems: Sequence[str],
) -> None:
    """Keep what a reader must know of the winner."""
    try:
        graph = graph_json(space.graph(final.arch))
    except ForetellError:
        graph = None
    session.put(
        "winner",
        {
            "number": final.trial,
            "trials": session.config.to_json()["trials"],
            "text": space.format(final.arch),
            "graph": graph,
            "final": f"final {final.key}",
            "robustness": {
                name: [[eps, value] for eps, value in row.items()]
                for name, row in final.robustness.items()
            },
            "robust_clean": None if np.isnan(final.robust_clean) else final.robust_clean,
            "robust_issues": list(final.robust_issues),
            "robust_failed": final.robust_failed,
            "test_images": test_images,
            "files": list(files),
            "left_out": list(left_out),
            "problems": list(problems),
        },
    )


@refuses_damage
def read(out: Path | str) -> SearchResult:
    """What the search in a folder has found so far.

    Args:
        out: the run folder.

    Raises:
        RunFolderError: the folder holds no search.
    """
    kind = SearchConfig.KIND
    with reading(out, kind) as store:
        values = store.values(kind)
        config = SearchConfig.from_json(values["settings"])
        scores = store.scores(kind, "proxies")
        trials = store.trials(kind)
        chosen = _chosen(values, config)
        baselines = store.trials(STUDY) if chosen else ()
    goals = Goals.of(config)
    about = values.get("about", {})
    versions = dict(about.get("versions", {}))
    started = versions.pop("started", "")
    task = _task(about.get("task"), config.data)
    by_key = {key: scores.values[i] for i, key in enumerate(scores.keys)}
    names = [short_name(name) for name in scores.names]
    resumed = values.get("resumed", {})
    rows = rows_of(
        trials[: config.trials],
        goals,
        reused=resumed.get("trials", 0),
        scores={key: dict(zip(names, row.tolist(), strict=True)) for key, row in by_key.items()},
    )
    pool = values.get("pool")
    result = SearchResult(
        title=f"{task.name if task else 'search'} on {config.space}",
        space=config.space,
        task=task,
        command=config.command(out),
        seed=config.seed,
        searcher=config.searcher,
        settings=config.to_json() | _skeleton(values),
        versions=versions,
        device=f"{config.device}, {about.get('machine', '')}",
        stages=values.get("stages", {}),
        pool=_pool(pool, by_key, names, values) if pool else PoolTable(),
        unbuilt={str(text): str(why) for text, why in (values.get(FAILED) or {}).items()},
        trials=rows,
        winner=_winner(values, config, rows),
        constraints=_constraints(goals, pool),
        budget=config.trials,
        space_size=about.get("space size"),
        resumed=_resumed(resumed, rows),
        started=started,
        proxy_batch=f"2 batches of up to {config.score_batch} training images",
        objectives=objectives_of(goals),
        preferred=goals.prefer if len(goals.objectives) > 1 else "",
        baselines=baselines_of(chosen, baselines, goals, config.baselines) if chosen else None,
        state=_state(values),
        folder=str(out),
        notes=(
            *_task_notes(about),
            *values.get(NOTES, ()),
            *_passed_notes(values),
            *_attack_notes(values.get("winner"), trials),
            *_export_notes(values.get("winner")),
        ),
    )
    return replace(result, notes=(*result.notes, *cautions(result)))


def _chosen(values: Mapping[str, Json], config: SearchConfig) -> Json:
    """The baselines of the winner that is stored; None where there are none, or none are asked."""
    chosen = values.get(KEY) if config.baselines else None
    number = (values.get("winner") or {}).get("number")
    return chosen if chosen is not None and chosen["number"] == number else None


def _task_notes(about: Mapping[str, Json]) -> tuple[str, ...]:
    """What a reader must know of the data."""
    return tuple((about.get("task") or {}).get("notes", ()))


def _passed_notes(values: Mapping[str, Json]) -> tuple[str, ...]:
    """Which better trials did not win, because they failed afterwards."""
    notes = tuple(
        f"Trial {number}, {text}, was better and did not win: {why.rstrip('.')}."
        for number, text, why in values.get(PASSED) or ()
    )
    failed = (values.get("winner") or {}).get("robust_failed", "")
    return (*notes, *((f"The attack on the winner failed with {failed}",) if failed else ()))


def _attack_notes(winner: Mapping[str, Json] | None, trials: Sequence[Trial]) -> tuple[str, ...]:
    """Where attacks could not see what they attacked: the winner, and trials by numbers."""
    notes = [f"Attack on the winner: {s}" for s in (winner or {}).get("robust_issues", ())]
    blind: dict[str, set[int]] = {}
    for trial in trials:
        if trial.state != "done":
            continue
        for name, details in trial.value["details"].items():
            if any(key.startswith("issue ") for key in details):
                blind.setdefault(name, set()).add(trial.number)
    for name, numbers in blind.items():
        shown = ", ".join(map(str, sorted(numbers)[:10])) + (", ..." if len(numbers) > 10 else "")
        notes.append(
            f"{name} of {len(numbers)} trial(s) ({shown}) may be far too high: gradients vanish or "
            f"are NaN, the loss does not rise, the network is random, or noise is stronger than "
            f"the attack."
        )
    return tuple(notes)


def _export_notes(winner: Mapping[str, Json] | None) -> tuple[str, ...]:
    """What of the exported folder does not work elsewhere, or is less than what was asked for."""
    return tuple((winner or {}).get("problems", ()))


def _skeleton(values: Mapping[str, Json]) -> dict[str, Json]:
    """The skeleton and why it was chosen, among the settings."""
    chosen = values.get("skeleton")
    return {"skeleton": chosen["why"]} if chosen else {}


def objectives_of(goals: Goals) -> tuple[ObjectiveRow, ...]:
    """What the search was after, as the result tells it."""
    rows = []
    for objective in goals.objectives:
        quantity = goals.known[objective.name]
        label = objective.name.replace("_", " ")
        rows.append(
            ObjectiveRow(
                objective.name, quantity.unit, objective.direction, quantity.reproducible,
                label[:1].upper() + label[1:],
            )
        )  # fmt: skip
    return tuple(rows)


def rows_of(
    trials: Sequence[Trial],
    goals: Goals,
    *,
    reused: int = 0,
    scores: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> tuple[TrialRow, ...]:
    """Finished trials as rows, with their place on the front."""
    from foretell.metrics import non_dominated

    done = [t for t in trials if t.state.final]
    gains = goals.gains(
        [
            t.value["values"] if t.state == "done" and not t.value["violation"] else None
            for t in done
        ]
    )
    front = non_dominated(gains, ["max"] * gains.shape[1]) if done else np.zeros(0, bool)
    return tuple(
        _trial(t, bool(front[i]), t.number < reused, scores.get(t.key, {}))
        for i, t in enumerate(done)
    )


def _trial(trial: Trial, on_front: bool, resumed: bool, scores: Mapping[str, float]) -> TrialRow:
    done = trial.state == "done"
    value: Mapping[str, Any] = trial.value if done else {"values": {}, "violation": ""}
    costs = trial.payload.get("costs", {})
    values = value["values"] if done else trial.payload.get("measured", {})
    predicted = trial.payload.get("predicted")
    return TrialRow(
        number=trial.number,
        arch=trial.payload["text"],
        state="infeasible" if value["violation"] else str(trial.state),
        error=trial.error,
        message=trial.message,
        val_accuracy=values.get("accuracy", np.nan),
        predicted=np.nan if predicted is None else predicted,
        params=float(costs.get("params", np.nan)),
        flops=float(costs.get("flops", np.nan)),
        memory=float(costs.get("memory", np.nan)),
        seconds=np.nan if trial.seconds is None else trial.seconds,
        curves=_curves(value.get("curves")),
        resumed=resumed,
        values=dict(values),
        feasible=done and not value["violation"],
        violation=value["violation"],
        on_front=on_front,
        scores=scores,
    )


def _curves(data: Mapping[str, Json] | None) -> CurveRow | None:
    if data is None:
        return None
    return CurveRow(data["train_loss"], data["val_loss"], data["val_accuracy"])


def _task(data: Mapping[str, Json] | None, source: str) -> TaskRow | None:
    if data is None:
        return None
    return TaskRow(
        data["name"],
        data["classes"],
        (data["input_shape"][0], data["input_shape"][1], data["input_shape"][2]),
        data["train"],
        data["val"],
        data["test"],
        tuple(data["class_names"]),
        source,
        data.get("most_frequent", np.nan),
    )


def _pool(
    pool: Mapping[str, Json],
    by_key: Mapping[str, Any],
    names: Sequence[str],
    values: Mapping[str, Json],
) -> PoolTable:
    costs = {name: np.array(column, dtype=float) for name, column in pool["costs"].items()}
    space = values["settings"]["space"]
    keys = [f"{space}:{'.'.join(map(str, genes))}" for genes in pool["genes"]]
    scored = [by_key.get(key) for key in keys]
    table = np.array(
        [row if row is not None else np.full(len(names), np.nan) for row in scored]
    ).reshape(len(keys), len(names))
    excluded = pool["excluded"]
    predicted = values.get("predicted") or [None] * len(keys)
    failures = values.get("pool failures") or {}
    return PoolTable(
        archs=tuple(pool["texts"]),
        params=costs["live_params"],  # what limits are about
        flops=costs["flops"],
        memory=costs["memory"],
        predicted=np.array([np.nan if v is None else v for v in predicted], dtype=float),
        scores={
            **{name: table[:, i] for i, name in enumerate(names)},
            **{name: costs[name] for name in _BASELINES},
        },
        alive=costs["alive"].astype(bool),
        drawn=pool["drawn"],
        infeasible=max((v for k, v in excluded.items() if k not in ("alive", "failed")), default=0),
        dead=excluded.get("alive", 0),
        failed=excluded.get("failed", 0),
        failures={i: failures[key] for i, key in enumerate(keys) if key in failures},
        population="sampled uniformly, alive, within the constraints, isomorphic copies dropped",
    )


def _winner(
    values: Mapping[str, Json], config: SearchConfig, rows: Sequence[TrialRow]
) -> Winner | None:
    data = values.get("winner")
    if data is None:
        return None
    final = values.get(data["final"]) or {}
    row = next((r for r in rows if r.number == data["number"]), None)
    clean = data["robust_clean"]
    return Winner(
        arch=data["text"],
        val_accuracy=final.get("val_accuracy", np.nan),
        test_accuracy=final.get("test_accuracy", np.nan),
        graph=graph_of(data["graph"]),
        number=data["number"],
        params=row.params if row else np.nan,
        flops=row.flops if row else np.nan,
        memory=row.memory if row else np.nan,
        seconds=final.get("seconds", np.nan),
        curves=_curves(final.get("curves")),
        robustness={name: dict(pairs) for name, pairs in data["robustness"].items()},
        robust_clean=np.nan if clean is None else clean,
        robust_images=min(config.attack_images, data["test_images"]),
        robust_skipped=_unattacked(data, config),
        files=("report.html", "trials.csv", *data["files"]),
        not_exported=tuple(data["left_out"]),
    )


def _unattacked(winner: Mapping[str, Json], config: SearchConfig) -> str:
    """Why there is no accuracy under attack; empty if there is one."""
    if not config.attacks:
        return "No attack was asked for."
    failed = winner.get("robust_failed", "")
    return f"The attack failed with {failed}" if failed else ""


def _constraints(goals: Goals, pool: Mapping[str, Json] | None) -> tuple[ConstraintRow, ...]:
    excluded = pool["excluded"] if pool else {}

    def row(c: Constraint) -> ConstraintRow:
        return ConstraintRow(str(c), c.name, c.max, c.min, excluded.get(str(c)))

    return tuple(row(c) for c in goals.constraints)


def _resumed(resumed: Mapping[str, Json], rows: Sequence[TrialRow]) -> ResumeRow | None:
    trials, scores = resumed.get("trials", 0), resumed.get("scores", 0)
    if not trials and not scores:
        return None
    taken = [r for r in rows if r.resumed]
    return ResumeRow(len(taken), scores, sum(r.seconds for r in taken if r.seconds == r.seconds))


def _state(values: Mapping[str, Json]) -> str:
    """Whether a process holds the study, else whether it came to its end."""
    if is_running(values):
        return "running"
    of = values.get("winner", {}).get("trials")
    return "finished" if of == values["settings"]["trials"] else "stopped"


def graph_json(graph: Graph) -> Json:
    """A graph as JSON: operations with those attributes that JSON can hold, and edges."""
    nodes = [[n.op, {k: v for k, v in n.attrs.items() if _is_json(v)}] for n in graph.nodes]
    return {"nodes": nodes, "edges": [list(e) for e in graph.edges]}


def graph_of(data: Json) -> Graph | None:
    """The graph that ``graph_json`` wrote."""
    if data is None:
        return None
    nodes = tuple(Node(op, attrs) for op, attrs in data["nodes"])
    return Graph(nodes, tuple((s, t) for s, t in data["edges"]))


def _is_json(value: object) -> bool:
    return isinstance(value, bool | int | float | str) or value is None
