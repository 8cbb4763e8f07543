"""A user's own evaluation of architectures, optimised by any searcher."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from foretell import __version__
from foretell.arch import Arch
from foretell.errors import ConstraintError, ForetellError, UsageError
from foretell.quantities import Stage
from foretell.rng import stream, stream_seed
from foretell.search import Feasible, Problem, Searcher, any_arch, draw_pool, get_searcher
from foretell.spaces import Space
from foretell.store import Trial
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources, fingerprint
from foretell.studies.optimize.config import OptimizeConfig
from foretell.studies.optimize.read import read
from foretell.studies.optimize.trial import Evaluation, function_of, goals_of, space_of
from foretell.studies.run.costs import CostBook
from foretell.studies.run.progress import OnProgress, silent
from foretell.studies.run.session import Session, open_session
from foretell.studies.search.goals import Goals
from foretell.studies.search.loop import Extra, Loop
from foretell.studies.search.pool import feasibility_of
from foretell.studies.search.read import graph_json, store_about
from foretell.studies.search.result import SearchResult
from foretell.studies.search.trial import open_executor
from foretell.studies.search.winner import choose
from foretell.types import Json

__all__ = [
    "CONFIG",
    "OptimizeConfig",
    "finish",
    "identity",
    "named",
    "prepare",
    "read",
    "run",
]

CONFIG = OptimizeConfig
"""The settings of this kind of study."""
_STARTUP = 5
"""Finished trials that a step must have before others are measured by it."""


def run(
    config: OptimizeConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> SearchResult:
    """Run an optimisation in a folder, or go on with the one that is there.

    Args:
        config: what to do.
        out: the run folder; made if it is not there.
        resources: the function and the space, where they are in memory.
        executor: what runs the trials; by default as the settings say.
        on_progress: told how far it is.

    Raises:
        RunFolderError: the folder cannot be written, is in use, or holds another study.
        NoFeasibleArchError: nothing meets the constraints that costs can tell.
        SearchError: every trial failed, or none keeps the constraints; the first is named.
        ForetellError: a name or the store is at fault.
    """
    config = named(config, resources)
    function_of(config, resources)
    with open_session(config, out, on_progress) as session:
        space, goals, searcher, book = prepare(config, resources)
        reference = space.parse(config.reference) if config.reference else None
        job = Evaluation(config, resources)
        with (
            open_executor(
                job, resources, executor, workers=config.workers, timeout=config.timeout
            ) as opened,
            session.watching(opened),
        ):
            session.claim(identity(space))
            store_about(session, None, space, {"foretell": __version__})
            loop = Loop(
                session, goals, searcher, opened,
                text_of=space.format, book=book, reference=reference,
                extra=extra_of(config, goals),
            )  # fmt: skip
            trials, _ = loop.run(config.trials, config.round)
            session.lap("train")
        session.put("stages", session.laps)
        try:
            finish(session, loop.goals, trials, space)
        finally:  # who has no winner wants to see why
            result = replace(read(session.folder.path), state="finished")
            session.write_tables(result.tables())
    return result


def named(config: OptimizeConfig, resources: Resources) -> OptimizeConfig:
    """The settings with the names of what is in memory."""
    fields: dict[str, Json] = {}
    if resources.space is not None:
        fields["space"] = space_of(config, resources).name
    if resources.evaluate is not None:
        fields["evaluate"] = f"memory:{_name(resources.evaluate)}"
    if resources.version:
        fields["version"] = resources.version
    return OptimizeConfig.from_json({**config.to_json(), **fields})


def identity(space: Space) -> dict[str, Json]:
    """What tells a space from another of its name: its choices, and how some of it is written."""
    rng = np.random.default_rng(0)
    texts = [space.format(space.sample(rng)) for _ in range(64)]
    return {"space fingerprint": fingerprint([list(space.cardinalities), texts])}


def prepare(
    config: OptimizeConfig, resources: Resources
) -> tuple[Space, Goals, Searcher, CostBook | None]:
    """Space, goals and a fresh searcher, found to be right before anything is written.

    Raises:
        ForetellError: a setting is at fault.
    """
    space = space_of(config, resources)
    goals = goals_of(config, space)
    make = get_searcher(config.searcher)
    if make.needs_scores:
        raise UsageError(
            f"The searcher {config.searcher!r} weighs the scores of proxies, which an own "
            f"evaluation has not: take evolution, local or random, or foretell.find."
        )
    skeleton = space.skeleton(config.input_shape, config.classes)
    costs = bool(space.network) or space.costs([], skeleton) is not None
    book = CostBook(space, skeleton) if costs else None
    for constraint in goals.constraints:
        if constraint.relative and goals.known[constraint.name].stage is not Stage.GRAPH:
            raise ConstraintError(
                f"{constraint} is a share of what the evaluation returns for a reference, which is "
                f"not evaluated: bound {constraint.name} by a number."
            )
    feasible: Feasible = any_arch
    if book is not None and goals.early:
        reference = space.parse(config.reference) if config.reference else None
        feasible = feasibility_of(goals, book, reference)
    pool: tuple[Arch, ...] = ()
    if make.needs_pool:
        pool = draw_pool(space, config.pool, stream(config.seed, "pool"), feasible)
    problem = Problem(space, pool, feasible=feasible)
    return space, goals, make(problem, stream(config.seed, "searcher")), book


def finish(session: Session, goals: Goals, trials: Sequence[Trial], space: Space) -> None:
    """Choose the winner and keep what a reader must know of it.

    Raises:
        SearchError: every trial failed, or none keeps the constraints.
    """
    best = choose(goals, trials)
    arch = space.parse(best.payload["text"])
    try:
        graph = graph_json(space.graph(arch))
    except ForetellError:  # a drawing is not worth a run
        graph = None
    session.put(
        "winner",
        {
            "number": best.number,
            "text": best.payload["text"],
            "graph": graph,
            "trials": session.config.to_json()["trials"],
        },
    )


def extra_of(config: OptimizeConfig, goals: Goals) -> Extra:
    """What the payload of an own evaluation holds beside the architecture."""

    def extra(arch: Arch, number: int, rows: Sequence[Trial]) -> Mapping[str, Json]:
        payload: dict[str, Json] = {
            "number": number,
            "seed": stream_seed(config.seed, "trial", *arch.genes),
        }
        if config.prune and len(goals.objectives) == 1:
            payload["medians"] = _medians(rows, goals)
        return payload

    return extra


def _medians(rows: Sequence[Trial], goals: Goals) -> list[list[float]]:
    """(step, median) of the best reports by each step, of five or more finished trials."""
    pick: Callable[..., float] = max if goals.objectives[0].direction == "max" else min
    by_step: dict[int, list[float]] = {}
    for trial in rows:
        if trial.state != "done":
            continue
        best: float | None = None
        for step, value in trial.value["reports"]:
            best = value if best is None else pick(best, value)
            by_step.setdefault(int(step), []).append(best)
    return [
        [step, statistics.median(values)]
        for step, values in sorted(by_step.items())
        if len(values) >= _STARTUP
    ]


def _name(function: Callable[..., object]) -> str:
    kind = type(function)
    return getattr(function, "__qualname__", "") or f"{kind.__module__}.{kind.__qualname__}"
