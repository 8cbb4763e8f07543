"""Which cells a table has, and which runs of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from foretell.arch import Arch
from foretell.errors import UsageError
from foretell.rng import stream
from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig

__all__ = ["CellRun", "cell_runs", "draw_cells"]

_LONG = "long"


@dataclass(frozen=True)
class CellRun:
    """One training of one cell.

    Args:
        arch: the cell.
        seed: 0 for the first one, counted up.
        epochs: of training.
        long: whether it is the long one.
    """

    arch: Arch
    seed: int
    epochs: int
    long: bool = False

    @property
    def key(self) -> str:
        """Names it in the store."""
        return f"{self.arch}/{_LONG if self.long else self.seed}"


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


def cell_runs(archs: Sequence[Arch], config: BuildConfig) -> dict[str, CellRun]:
    """Key of a run -> the run, in the order of the draw: what is stopped has drawn fewer."""
    runs: list[CellRun] = []
    for i, arch in enumerate(archs):
        seeds = 1 if i % config.repeat_every else config.repeats
        runs += [CellRun(arch, seed, config.epochs) for seed in range(seeds)]
        if config.long_every and i % config.long_every == 0:
            runs.append(CellRun(arch, 0, config.long_epochs, long=True))
    return {run.key: run for run in runs}


@lru_cache(maxsize=1)
def _classes() -> tuple[tuple[Arch, ...], ...]:
    space = get_space("nb201")
    members: dict[str, list[Arch]] = {}
    for arch in space.enumerate():
        members.setdefault(space.graph(arch).expression(as_published=True), []).append(arch)
    return tuple(tuple(archs) for archs in members.values())
