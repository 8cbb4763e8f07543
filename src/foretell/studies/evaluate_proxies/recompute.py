"""Own proxies for the architectures of a table, computed on given images; resumable."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.errors import UsageError
from foretell.spaces import Space
from foretell.studies.evaluation.facts import OWN
from foretell.studies.evaluation.targets import Column
from foretell.studies.run.journal import Records

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["Recompute", "own_columns"]


@dataclass(frozen=True)
class Recompute:
    """How to compute proxies afresh.

    Args:
        data: a data source such as "cifar10:PATH", or a task in memory.
        preset: skeleton of the space; by default the one for images of that size.
        batch_size: images in each of two batches.
        folder: where finished networks are kept, so that a stopped run goes on; None for nowhere.
    """

    data: "str | Task"
    preset: str | None = None
    batch_size: int = 64
    folder: Path | None = None


def own_columns(
    space: Space,
    archs: Sequence[Arch],
    wish: Recompute,
    names: Sequence[str],
    seed: int,
    on_done: Callable[[int, int], None] | None,
) -> tuple[list[Column], str, list[str]]:
    """The columns, what they were computed on, and what failed.

    Args:
        space: of the architectures.
        archs: the architectures.
        wish: what to compute, on what.
        names: of the proxies.
        seed: of weights, batches and noise.
        on_done: told how many networks are done, of how many.

    Raises:
        UsageError: the folder holds scores of other settings.
        ForetellError: a name or the data are at fault.
    """
    from foretell.data import Task, load_task
    from foretell.proxies import make_batches, score

    task = wish.data if isinstance(wish.data, Task) else load_task(wish.data, seed=seed)
    skeleton = space.skeleton(task.input_shape, task.classes, wish.preset)
    batches = make_batches(task, batch_size=wish.batch_size, count=2, seed=seed)
    identity = {
        "space": space.name,
        "data": task.fingerprint,
        "skeleton": {**asdict(skeleton), "input_shape": list(skeleton.input_shape)},
        "batch": wish.batch_size,
        "seed": seed,
        "proxies": list(names),
    }
    kept = _open(wish.folder, identity)
    done: dict[str, list[float | None]] = dict(kept.done) if kept is not None else {}
    failed = 0
    reason = ""
    for i, arch in enumerate(archs):
        if str(arch) not in done:
            got = score([arch], names, batches, skeleton=skeleton, seed=seed)
            for why in got.failures.values():
                failed, reason = failed + 1, reason or f"{space.format(arch)}: {why}"
            row = [None if np.isnan(v) else float(v) for v in got.values[0]]
            done[str(arch)] = [*row, float(got.seconds[0])]
            if kept is not None and not got.failures:
                kept.add(str(arch), done[str(arch)])
        if on_done is not None:
            on_done(i + 1, len(archs))
    table = np.array([done[str(a)] for a in archs], dtype=np.float64).reshape(len(archs), -1)
    seconds = float(np.median(table[:, -1])) if len(table) else float("nan")
    columns = [Column(f"{n} (own)", OWN, {"": table[:, j]}, proxy=n) for j, n in enumerate(names)]
    data = (
        f"{task.name} {'x'.join(map(str, task.input_shape))}, 2 batches of {wish.batch_size}, "
        f"{skeleton.channels} channels, {skeleton.cells} cells, seed {seed}"
    )
    notes = [f"Own proxies took {seconds:.2g} s for a network, all {len(names)} in shared passes."]
    if failed:
        notes.append(f"{failed} of {len(archs)} networks could not be scored, first {reason}")
    return columns, data, notes


def _open(folder: Path | None, identity: dict[str, object]) -> Records | None:
    if folder is None:
        return None
    path = folder / "own_scores.jsonl"
    try:
        return Records(path, identity)
    except UsageError as error:
        raise UsageError(
            f"{str(path)!r} holds scores of other settings, or is damaged: give the settings of "
            f"before to go on, or another folder."
        ) from error
