"""Building an embedded benchmark: trained here, by this library's own code."""

import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec.structs import replace as with_

from foretell.arch import Arch
from foretell.benchmarks.table import write_table
from foretell.errors import WorkerError
from foretell.files import user_path
from foretell.store import State, Store
from foretell.studies._base import NO_RESOURCES, MakeExecutor, Resources
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.draw import cell_runs, draw_cells
from foretell.studies.build_benchmark.result import BenchmarkBuild
from foretell.studies.build_benchmark.run_cell import payload_of
from foretell.studies.build_benchmark.table import table_data
from foretell.studies.run.damaged import refuses_damage
from foretell.studies.run.inside import watch
from foretell.studies.run.paths import absolute
from foretell.studies.run.progress import OnProgress, silent
from foretell.studies.run.rounds import Rounds
from foretell.studies.run.session import Session, open_session, reading, stored_settings
from foretell.studies.run.workers import executor_for
from foretell.types import Json

__all__ = ["CONFIG", "BenchmarkBuild", "BuildConfig", "read", "run"]

CONFIG = BuildConfig
"""The settings of this kind of study."""
_FUNCTION = "foretell.studies.build_benchmark.run_cell:run_cell"
_QUIET_SECONDS = 20.0
"""Progress within runs is told after so long without the end of one."""
_FILE, _CELLS = "file", "cells"


def run(
    config: BuildConfig,
    out: Path | str,
    *,
    resources: Resources = NO_RESOURCES,
    executor: MakeExecutor | None = None,
    on_progress: OnProgress = silent,
) -> BenchmarkBuild:
    """Train, attack and score the cells of an embedded benchmark, and write its table.

    Every finished run is in the store before the next begins, so that a build that is stopped, in
    whatever way, goes on where it was. All values but the seconds are the same for any number of
    workers and any number of interruptions.

    Args:
        config: how many cells, and where the table is written.
        out: the run folder.
        resources: none are needed.
        executor: what trains the cells; by default as many processes as ``config.workers`` says.
        on_progress: told after each run how many are finished, and of how many.

    Raises:
        UsageError: a number is out of range.
        RunFolderError: the folder cannot be made or written, is in use, or holds another build.
        WorkerError: a run ended without a result; those before it are kept.
    """
    config = with_(config, file=absolute(config.file))
    with open_session(config, out, on_progress) as session:
        config.check()
        archs = draw_cells(config.cells, config.seed)
        session.claim(_versions())
        session.put(_CELLS, [list(arch.genes) for arch in archs])
        _train(session, config, archs, executor)
        found = _stored(session.store, config, session.folder.path)
        write_table(table_data(archs, found.records, config), user_path(config.file))
        session.put(_FILE, config.file)
        session.write_tables(found.tables())
        return replace(found, file=config.file)


@refuses_damage
def read(out: Path | str) -> BenchmarkBuild:
    """The build in a folder, with the runs that were finished so far.

    Raises:
        RunFolderError: the folder holds none.
    """
    with reading(out, CONFIG.KIND) as store:
        config = CONFIG.from_json(stored_settings(out))
        return _stored(store, config, user_path(out).resolve())


def _train(
    session: Session, config: BuildConfig, archs: list[Arch], make: MakeExecutor | None
) -> None:
    """Make the runs that are not there.

    Raises:
        WorkerError: one ended without a result.
    """
    runs = cell_runs(archs, config)
    there = {t.key for t in session.store.trials(session.kind, State.done)}
    count = len(there & runs.keys())
    settings = config.identity()
    payloads = [(key, payload_of(run, settings)) for key, run in runs.items()]
    work = len(runs) - count
    workers = config.workers if config.workers > 1 else 0
    opened = make(_FUNCTION) if make and work else executor_for(_FUNCTION, workers, work)
    before, last = count, time.monotonic()

    def told(done: float, words: str) -> None:
        """Say how far the runs are that are going on, where none has ended for some seconds."""
        nonlocal last
        if time.monotonic() - last < _QUIET_SECONDS:
            return
        last = time.monotonic()
        whole = min(before + done, len(runs) - 1.0)
        at = max(count, int(whole))
        session.tell("cells", at, len(runs), words, part=max(0.0, whole - at))

    with opened as executor, watch(session.folder.path, told):
        for trial, result in Rounds(session.store, session.kind, executor).each(payloads):
            if not result.ok:
                raise WorkerError(
                    f"The run {trial.key} ended with {result.error}: {result.message} Mend that, "
                    f"then run again: what is finished is kept."
                )
            count += trial.key in runs
            last = time.monotonic()
            session.tell("cells", count, len(runs))


def _stored(store: Store, config: BuildConfig, folder: Path) -> BenchmarkBuild:
    cells = store.value(CONFIG.KIND, _CELLS) or ()
    runs = cell_runs([Arch("nb201", tuple(genes)) for genes in cells], config)
    done = {t.key: t.value for t in store.trials(CONFIG.KIND, State.done) if t.key in runs}
    file = store.value(CONFIG.KIND, _FILE) if runs and len(done) == len(runs) else None
    return BenchmarkBuild(config, runs, done, file or "", config.command(folder))


def _versions() -> Mapping[str, Json]:
    """What the numbers follow from beside the settings."""
    import torch

    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
