"""An optimisation as its run folder alone tells it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from foretell.studies.optimize.config import ASK_TELL, OptimizeConfig
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.session import is_running, reading
from foretell.studies.search.goals import Goals
from foretell.studies.search.read import graph_of, objectives_of, rows_of
from foretell.studies.search.result import ConstraintRow, ResumeRow, SearchResult, Winner
from foretell.types import Json

__all__ = ["read"]


@refuses_damage
def read(out: Path | str) -> SearchResult:
    """What the optimisation in a folder has found so far.

    Args:
        out: the run folder.

    Raises:
        RunFolderError: the folder holds no optimisation.
    """
    kind = OptimizeConfig.KIND
    with reading(out, kind) as store:
        values, trials = store.values(kind), store.trials(kind)
    config = OptimizeConfig.from_json(values["settings"])
    goals = Goals.of(config, anything=True)
    about = values.get("about", {})
    versions = dict(about.get("versions", {}))
    resumed = values.get("resumed", {}).get("trials", 0)
    if config.evaluate != ASK_TELL:  # there is no budget
        trials = trials[: config.trials]
    rows = rows_of(trials, goals, reused=resumed)
    taken = [r for r in rows if r.resumed]
    data: Mapping[str, Json] = values.get("winner") or {}
    winner = None
    row = next((r for r in rows if r.number == data.get("number")), None)
    if row is not None:
        winner = Winner(
            arch=data["text"],
            val_accuracy=row.val_accuracy,
            graph=graph_of(data["graph"]),
            number=row.number,
            params=row.params,
            flops=row.flops,
            memory=row.memory,
            seconds=row.seconds,
            robust_skipped="The evaluation is a function of the user's own.",
            files=("report.html", "trials.csv"),
        )
    finished = winner is not None and data["trials"] == config.trials
    return SearchResult(
        title=f"{config.evaluate.rpartition(':')[2] or 'evaluate'} on {config.space}",
        space=config.space,
        task=None,
        command=config.command(out),
        seed=config.seed,
        searcher=config.searcher,
        settings=config.to_json(),
        versions=versions,
        device=about.get("machine", ""),
        stages=values.get("stages", {}),
        trials=rows,
        winner=winner,
        constraints=tuple(
            ConstraintRow(str(c), c.name, c.max, c.min, None) for c in goals.constraints
        ),
        budget=None if config.evaluate == ASK_TELL else config.trials,
        space_size=about.get("space size"),
        resumed=ResumeRow(len(taken), 0, float(np.nansum([r.seconds for r in taken])))
        if taken
        else None,
        objectives=objectives_of(goals),
        preferred=goals.prefer if len(goals.objectives) > 1 else "",
        state="running" if is_running(values) else "finished" if finished else "stopped",
        folder=str(out),
    )
