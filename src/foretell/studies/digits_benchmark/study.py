"""Building the embedded benchmark ``digits-nb201``: trained here, by this library's own code."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks.table import write_table
from foretell.errors import UsageError, WorkerError
from foretell.execution import Claim, Executor, InlineExecutor, PoolExecutor
from foretell.rng import stream
from foretell.spaces import get_space
from foretell.studies.digits_benchmark.run_cell import Settings
from foretell.studies.digits_benchmark.table import table_data
from foretell.studies.run.journal import Records
from foretell.types import Json

__all__ = ["build_digits", "draw_cells"]

OnDone = Callable[[int, int], None]


def build_digits(
    out: Path,
    *,
    cells: int = 1600,
    workers: int = 1,
    work: Path,
    on_done: OnDone | None = None,
    epochs: int | None = None,
) -> Path:
    """Train, attack and score the cells of ``digits-nb201``, and write the table.

    Every finished run is on disk before the next begins, so that a build that is stopped, in
    whatever way, goes on where it was. All values but the seconds are the same for any number of
    workers and any number of interruptions.

    Args:
        out: the table, ending in ``.foretell``.
        cells: how many to draw; a build with more begins with the same ones.
        workers: processes, each with one thread.
        work: folder of the finished runs.
        on_done: told after each run how many are finished, and of how many.
        epochs: of training; by default those of the shipped table.

    Returns:
        ``out``.

    Raises:
        UsageError: a number is out of range, or ``work`` is of another build.
        WorkerError: a run ended without a result; those before it are kept.
    """
    settings = Settings(cells=cells)
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    if workers < 1:
        raise UsageError(f"Expected workers >= 1, but got {workers}.")
    archs = draw_cells(cells, settings.seed)
    records = Records(work / "runs.jsonl", _identity(settings))
    jobs = list(_jobs(archs, settings))
    todo = [claim for claim in jobs if claim.id not in records.done]
    with _executor(min(workers, max(1, len(todo)))) as executor:
        for result in executor.map(todo, ordered=False):
            if not result.ok:
                raise WorkerError(
                    f"The run {result.id} ended with {result.error}: {result.message} Mend that, "
                    f"then run again: what is finished is kept."
                )
            records.add(str(result.id), result.value)
            if on_done is not None:
                on_done(len(records.done), len(jobs))
    return write_table(table_data(archs, records.done, settings), out)


def draw_cells(count: int, seed: int = 0) -> list[Arch]:
    """Distinct cells of NAS-Bench-201 in the order of the draw; fewer are a beginning of more.

    One cell, drawn at random, stands for each of the 6,466 classes of equal published strings;
    dead ones, and such with operations that nothing reaches, are among them as in the whole space.

    Raises:
        UsageError: there are not so many classes.
    """
    classes = _classes()
    if not 1 <= count <= len(classes):
        raise UsageError(f"Expected 1 to {len(classes)} cells, but got {count}.")
    order = stream(seed, "cells").permutation(len(classes))
    members = stream(seed, "members").random(len(classes))
    return [classes[i][int(members[i] * len(classes[i]))] for i in order[:count].tolist()]


@lru_cache(maxsize=1)
def _classes() -> tuple[tuple[Arch, ...], ...]:
    space = get_space("nb201")
    found: dict[str, list[Arch]] = {}
    for arch in space.enumerate():
        found.setdefault(space.graph(arch).expression(as_published=True), []).append(arch)
    return tuple(tuple(archs) for archs in found.values())


def _jobs(archs: list[Arch], settings: Settings) -> Iterator[Claim]:
    """The runs, in the order of the draw: a build that is stopped has drawn fewer cells."""
    for i, arch in enumerate(archs):
        for run in range(2 if i % settings.second_every == 0 else 1):
            payload = {"genes": list(arch.genes), "run": run, "settings": settings.to_json()}
            yield Claim(f"{arch}/{run}", payload)


def _executor(workers: int) -> Executor:
    function = "foretell.studies.digits_benchmark.run_cell:run_cell"
    return InlineExecutor(function) if workers == 1 else PoolExecutor(function, workers)


def _identity(settings: Settings) -> Json:
    """What the numbers follow from; more cells may be asked for later."""
    import torch

    shown = {k: v for k, v in settings.to_json().items() if k != "cells"}
    versions = {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
    }
    return {"benchmark": "digits-nb201", "settings": shown, "versions": versions}
