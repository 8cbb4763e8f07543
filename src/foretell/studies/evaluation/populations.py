"""The populations of an evaluation: which architectures of the table each one holds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import UsageError
from foretell.metrics import populations, top_k, unreachable
from foretell.spaces import CostTable, Space
from foretell.types import Array

__all__ = ["Populations", "make_populations"]

_TOP = re.compile(r"top (\d+)")


@dataclass(frozen=True)
class Populations:
    """Named sets of architectures; those of the best depend on the target.

    Args:
        masks: name -> (n,) members.
        top: name -> how many of the best.
    """

    masks: Mapping[str, NDArray[np.bool_]]
    top: Mapping[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which they are reported."""
        return (*self.masks, *self.top)

    def mask(self, name: str, truth: Array) -> NDArray[np.bool_]:
        """The members, for a target of values (n,), higher is better."""
        return self.masks[name] if name in self.masks else top_k(truth, self.top[name])


def make_populations(
    n: int,
    space: Space | None,
    archs: Sequence[Arch],
    costs: CostTable | None,
    wanted: Sequence[str] | None,
) -> Populations:
    """The populations that were asked for.

    Args:
        n: number of architectures.
        space: theirs; without it there are no populations by graph.
        archs: the architectures; empty without a space.
        costs: closed-form costs, which tell apart networks of equal graphs and other widths.
        wanted: names; by default every one there is, and the top 100 of larger tables.

    Raises:
        UsageError: a name stands for no population here.
    """
    graphs = [space.graph(a) for a in archs] if space is not None else []

    def keys() -> list[object]:
        sizes = (
            zip(costs.live_params.tolist(), costs.flops.tolist(), strict=True)
            if costs is not None
            else ((0, 0) for _ in graphs)
        )
        return [(g.hash(), *size) for g, size in zip(graphs, sizes, strict=True)]

    known = ["all"]
    if space is not None:
        known += ["alive", "no unreachable op", "deduplicated"]
    names = [*known, *(["top 100"] if n > 100 else [])] if wanted is None else list(wanted)
    top = {name: int(m[1]) for name in names if (m := _TOP.fullmatch(name)) and int(m[1])}
    if wrong := [name for name in names if name not in known and name not in top]:
        raise UsageError(
            f"There is no population {wrong[0]!r} here: choose from {', '.join(known)} and "
            f"'top 100' (or another number)."
            + ("" if space is not None else " The space of the table is not known.")
        )
    masks = populations(
        n,
        alive=space.alive(archs) if space is not None and "alive" in names else None,
        reachable=np.array([not unreachable(g) for g in graphs], dtype=bool)
        if "no unreachable op" in names
        else None,
        keys=keys() if "deduplicated" in names else None,
    )
    return Populations({name: masks[name] for name in names if name in masks}, top)
