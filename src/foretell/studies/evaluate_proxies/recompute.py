"""Own proxies for the architectures of a table, computed on given images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from foretell.studies.evaluation.facts import OWN
from foretell.studies.evaluation.scoring import Scored
from foretell.studies.evaluation.targets import Column

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
    """

    data: "str | Task"
    preset: str | None = None
    batch_size: int = 64


def own_columns(
    names: Sequence[str], texts: Sequence[str], scored: Scored
) -> tuple[list[Column], list[str]]:
    """The columns of own proxies, and how long they took and what failed.

    Args:
        names: of the proxies.
        texts: of the architectures.
        scored: what came of scoring them, so far.
    """
    columns = [
        Column(f"{name} (own)", OWN, {"": scored.values[:, j]}, proxy=name)
        for j, name in enumerate(names)
    ]
    known = scored.seconds[np.isfinite(scored.seconds)]
    notes = []
    if waiting := len(texts) - len(known) - len(scored.failures):
        notes.append(f"{waiting:,} of {len(texts):,} networks have no own proxies yet.")
    if len(known):
        notes.append(
            f"Own proxies took {np.median(known):.2g} s for a network, all {len(names)} in shared "
            f"passes."
        )
    if scored.failures:
        place, why = next(iter(scored.failures.items()))
        notes.append(
            f"{len(scored.failures)} of {len(texts)} networks could not be scored, first "
            f"{texts[place]}: {why}"
        )
    return columns, notes
