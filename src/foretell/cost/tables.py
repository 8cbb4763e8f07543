"""Costs of many architectures: closed form where the space has one, else one by one."""

from collections.abc import MutableMapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.cost.counting import Cost, count, count_meta
from foretell.errors import ForetellError
from foretell.networks import build
from foretell.spaces import CostTable, Skeleton, Space, get_space

__all__ = ["costs"]

_NOTHING = Cost(0, 0, 0, 0, 0.0, False)


def costs(
    archs: Sequence[Arch],
    skeleton: Skeleton,
    *,
    failures: MutableMapping[int, ForetellError] | None = None,
) -> CostTable:
    """Costs of n architectures, of one space or of several.

    Args:
        archs: the architectures.
        skeleton: the fixed part of their networks.
        failures: if given, the index and error of an architecture whose network cannot be built or
            run are stored here, and its row is zeros and not alive.

    Raises:
        ForetellError: a network cannot be built or run, and ``failures`` is not given.
    """
    columns = _columns([_NOTHING] * len(archs))
    groups: dict[str, list[int]] = {}
    for i, arch in enumerate(archs):
        groups.setdefault(arch.space, []).append(i)
    for space, places in groups.items():
        chosen = [archs[i] for i in places]
        part = get_space(space).costs(chosen, skeleton)
        if part is None:
            part = _counted(chosen, places, skeleton, failures)
        for name, column in columns.items():
            column[places] = getattr(part, name)
    return CostTable(**columns)


def _counted(
    archs: Sequence[Arch],
    indices: Sequence[int],
    skeleton: Skeleton,
    failures: MutableMapping[int, ForetellError] | None,
) -> CostTable:
    rows = []
    for index, arch in zip(indices, archs, strict=True):
        try:
            rows.append(_count(get_space(arch.space), arch, skeleton))
        except ForetellError as error:
            if failures is None:
                raise
            failures[index] = error
            rows.append(_NOTHING)
    return CostTable(**_columns(rows))


def _columns(rows: Sequence[Cost]) -> dict[str, NDArray[Any]]:
    """The values of the rows by field of the table."""
    return {
        f.name: np.array([getattr(r, f.name) for r in rows], dtype=type(getattr(_NOTHING, f.name)))
        for f in fields(CostTable)
    }


@lru_cache(maxsize=2**16)
def _count(space: Space, arch: Arch, skeleton: Skeleton) -> Cost:
    """Costs of one network; ``space`` distinguishes equal relative paths in two folders."""
    try:
        with torch.device("meta"):
            module = build(arch, skeleton, seed=0)
        return count_meta(module, skeleton.input_shape)
    except Exception:  # the network may look at values, which the meta device has not
        return count(build(arch, skeleton, seed=0), skeleton.input_shape)
