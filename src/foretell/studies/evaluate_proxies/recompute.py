"""Own proxies for the architectures of a table, computed on given images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.spaces import Space
from foretell.studies.evaluation.facts import OWN
from foretell.studies.evaluation.scoring import Scored, Scorer, make_scorer
from foretell.studies.evaluation.targets import Column

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["Own", "Recompute", "prepare_own"]


@dataclass(frozen=True)
class Recompute:
    """How to compute proxies afresh.

    Args:
        data: a data source such as "cifar10:PATH", or a task in memory.
        preset: skeleton of the space; by default the one for images of that size.
        batch_size: images in each of two batches.
    """

    data: "str | Task"
    preset: str | None = None
    batch_size: int = 64


@dataclass(frozen=True)
class Own:
    """Everything that own proxies are computed with.

    Args:
        scorer: computes them for one architecture.
        fingerprint: of the images.
        data: what they are computed on, in words.
    """

    scorer: Scorer
    fingerprint: str
    data: str

    def columns(
        self, space: Space, archs: Sequence[Arch], scored: Scored
    ) -> tuple[list[Column], list[str]]:
        """The columns, and how long they took and what failed.

        Args:
            space: of the architectures.
            archs: the architectures.
            scored: what came of scoring them.
        """
        names = self.scorer.names
        columns = [
            Column(f"{name} (own)", OWN, {"": scored.values[:, j]}, proxy=name)
            for j, name in enumerate(names)
        ]
        known = scored.seconds[np.isfinite(scored.seconds)]
        seconds = float(np.median(known)) if len(known) else float("nan")
        notes = [
            f"Own proxies took {seconds:.2g} s for a network, all {len(names)} in shared passes."
        ]
        if scored.failures:
            place, why = next(iter(scored.failures.items()))
            notes.append(
                f"{len(scored.failures)} of {len(archs)} networks could not be scored, first "
                f"{space.format(archs[place])}: {why}"
            )
        return columns, notes


def prepare_own(
    space: Space, task: "Task", names: Sequence[str], wish: Recompute, seed: int
) -> Own:
    """What to compute own proxies with.

    Args:
        space: of the architectures.
        task: the images.
        names: of the proxies.
        wish: skeleton and size of the batches.
        seed: of weights, batches and noise.

    Raises:
        ForetellError: a name or the data are at fault.
    """
    skeleton = space.skeleton(task.input_shape, task.classes, wish.preset)
    scorer = make_scorer(space.name, names, task, skeleton, batch_size=wish.batch_size, seed=seed)
    data = (
        f"{task.name} {'x'.join(map(str, task.input_shape))}, 2 batches of {wish.batch_size}, "
        f"{skeleton.channels} channels, {skeleton.cells} cells, seed {seed}"
    )
    return Own(scorer, task.fingerprint, data)
