"""The networks among which a score is judged: the embedded table's, or a pool that is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.benchmarks import Table, open_benchmark
from foretell.data import Task
from foretell.data.digits import read_digits
from foretell.errors import NetworkError
from foretell.registry import resolve, short_name
from foretell.rng import stream
from foretell.search import draw_pool
from foretell.spaces import Space, get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.run.progress import Tracker
from foretell.studies.score.run import Item, ScoreRun, score_items
from foretell.types import Array, IntArray

__all__ = [
    "ACCURACY",
    "LEAST",
    "TABLE",
    "Reference",
    "differences",
    "embedded",
    "family_of",
    "from_pool",
    "from_run",
    "from_table",
    "no_family",
]

TABLE = "digits-nb201"
"""The embedded table of trained networks."""
ACCURACY = "digits/test_accuracy"
"""What its networks reached."""
LEAST = 5
"""Networks among which a percentile says something."""


@dataclass(frozen=True)
class Reference:
    """Networks with their scores.

    Args:
        words: what they are, such as "50 networks drawn from my_space.py:space".
        values: proxy -> (n,) scores, NaN where there is none.
        archs: (n,) the architectures; None for networks that are none.
        accuracy: (n,) mean test accuracy of the trained ones; None where none was trained.
        reasons: proxy -> why it has no values here.
    """

    words: str
    values: Mapping[str, Array]
    archs: tuple[Arch | None, ...]
    accuracy: Array | None = None
    reasons: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def embedded() -> Table:
    """The embedded table."""
    table = open_benchmark(TABLE)
    assert isinstance(table, Table)
    return table


def differences(run: ScoreRun, item: Item) -> list[str]:
    """How a network or its data differ from the table's, as parts of a sentence; none if equal."""
    table = BuildConfig()
    c, h, w = run.task.input_shape
    found = []
    if not isinstance(item, Arch) or item.space != embedded().space:
        found.append(f"the network is no architecture of {embedded().space}")
    elif (run.skeleton.channels, run.skeleton.cells) != (table.channels, table.stage_cells):
        found.append(
            f"the skeleton has {run.skeleton.channels} channels and {run.skeleton.cells} cells a "
            f"stage (there {table.channels} and {table.stage_cells}: --preset {TABLE})"
        )
    if run.task.input_shape != table.skeleton.input_shape:
        found.append(f"the images are {c}x{h}x{w} (there 1x8x8)")
    elif not _same_images(run.task):
        found.append("the data are not the embedded digits")
    return found


def _same_images(task: Task) -> bool:
    """Whether all parts together hold the embedded digits, in any order and split."""
    images, labels = read_digits()
    parts = (task.train, task.val, task.test)
    if sum(len(p) for p in parts) != len(labels) or task.classes != int(labels.max()) + 1:
        return False

    def rows(x: NDArray[Any], y: IntArray) -> IntArray:
        x = x / 255 if x.dtype == np.uint8 else x
        table: IntArray = np.column_stack([np.round(x.reshape(len(x), -1) * 16), y]).astype(
            np.int64
        )
        return table[np.lexsort(table.T)]

    there = rows(
        np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])
    )
    return bool(np.array_equal(there, rows(images, labels)))


def from_table(names: Sequence[str]) -> Reference:
    """The alive networks of the embedded table, with the scores that it holds.

    Args:
        names: of the proxies.
    """
    table = embedded()
    archs = table.archs()
    alive = get_space(table.space).alive(archs)
    keys = {name: name if name in table.metrics else f"digits/{name}" for name in names}
    values = {
        name: np.asarray(table.query(None, key, missing="nan"))[alive]
        for name, key in keys.items()
        if key in table.metrics
    }
    return Reference(
        words=f"{int(alive.sum()):,} trained networks of {TABLE}",
        values=values,
        archs=tuple(a for a, ok in zip(archs, alive, strict=True) if ok),
        accuracy=np.asarray(table.query(None, ACCURACY, missing="nan"))[alive],
        reasons={
            name: f"The table {TABLE} has no values of {short_name(name)}."
            for name in names
            if name not in values
        },
    )


def family_of(item: Item) -> Space | None:
    """The space that the file of a user's network declares, if there is exactly one.

    Raises:
        PluginError: the file cannot be imported.
    """
    location = item.rpartition(":")[0] if isinstance(item, str) else ""
    if not location:
        return None
    names = resolve(f"{location}:__dict__")
    assert isinstance(names, dict)
    declared = [name for name, thing in names.items() if isinstance(thing, Space)]
    return get_space(f"{location}:{declared[0]}") if len(declared) == 1 else None


def from_run(run: ScoreRun, index: int, names: Sequence[str], values: Array) -> Reference | None:
    """The other networks of a run that belong to no space, if there are enough of them.

    Args:
        run: the run.
        index: of the network that is judged.
        names: of the columns of ``values``.
        values: (n, p) of the whole run.
    """
    rows = [
        i
        for i, item in enumerate(run.items)
        if i != index and not isinstance(item, Arch)
        if run.scores.alive[i] and i not in run.scores.failures
    ]
    if len(rows) < LEAST:
        return None
    return Reference(
        words=f"the {len(rows)} other networks that were given",
        values={name: values[rows, j] for j, name in enumerate(names)},
        archs=(None,) * len(rows),
    )


def no_family(label: str) -> str:
    """Why a network of no space has no percentile, and what to do."""
    return (
        f"{label} belongs to no search space, so there is nothing to draw others from: declare "
        f"one beside it (foretell.spaces.CustomSpace), give --space my_space.py:space, or score it "
        f"with {LEAST} or more networks of your own."
    )


def from_pool(
    run: ScoreRun, space: Space, names: Sequence[str], size: int, tell: Tracker
) -> Reference:
    """Networks drawn from a space, scored as the run's own were.

    Args:
        run: says on which images, in which batches, from which seed.
        space: to draw from.
        names: of the proxies.
        size: how many; fewer in a space that has no more.
        tell: told how many are scored.

    Raises:
        NetworkError: too few of them can be scored.
        ForetellError: nothing can be drawn.
    """
    archs = draw_pool(space, size, stream(run.seed, "reference"), space.alive)
    skeleton = space.skeleton(
        run.task.input_shape, run.task.classes, run.preset if space == run.space else None
    )
    scores = score_items(
        archs, names, task=run.task, skeleton=skeleton, batch_size=run.batch_size, seed=run.seed,
        workers=run.workers, timeout=run.timeout, tell=tell, stage="reference",
    )  # fmt: skip
    ok = np.array([scores.alive[i] and i not in scores.failures for i in range(len(archs))], bool)
    if int(ok.sum()) < LEAST:
        why = next(iter(scores.failures.values()), "the others are dead")
        raise NetworkError(
            f"Only {int(ok.sum())} of {len(archs)} networks drawn from {space.name} can be scored: "
            f"{why}"
        )
    return Reference(
        words=f"{int(ok.sum()):,} networks drawn from {space.name}",
        values={name: scores.column(name)[ok] for name in names},
        archs=tuple(a for a, fine in zip(archs, ok, strict=True) if fine),
    )
