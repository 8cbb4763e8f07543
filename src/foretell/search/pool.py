"""Drawing distinct feasible architectures, bounded in time."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import NoFeasibleArchError, UsageError
from foretell.spaces import Space

__all__ = ["Excluded", "Feasible", "any_arch", "draw_pool"]

Feasible: TypeAlias = Callable[[Sequence[Arch]], NDArray[np.bool_]]
"""(n,) architectures -> which of them may be used."""
Excluded: TypeAlias = Callable[[Sequence[Arch]], Mapping[str, int]]
"""Architectures -> what excluded how many of them."""

_ENUMERABLE = 200_000
"""Spaces up to this size are enumerated where sampling runs dry."""
_BATCH = 256
_TRIES = 20_000


def any_arch(archs: Sequence[Arch]) -> NDArray[np.bool_]:
    """Every architecture is feasible."""
    return np.ones(len(archs), dtype=bool)


def draw_pool(
    space: Space,
    size: int,
    rng: Generator,
    feasible: Feasible = any_arch,
    *,
    dedup: Callable[[Arch], Hashable] | None = None,
    excluded: Excluded | None = None,
    seen: Sequence[Arch] = (),
    tries: int = _TRIES,
) -> tuple[Arch, ...]:
    """Up to ``size`` distinct feasible architectures, uniformly drawn.

    A space that can be enumerated (up to 200,000 architectures) is searched to its end, so a short
    answer there means that there are no more. A larger one is sampled until ``tries`` draws in a
    row have brought nothing new.

    Args:
        space: where to draw from.
        size: how many, >= 1.
        rng: source of the draws.
        feasible: which architectures may be used.
        dedup: the key of an architecture; of equal keys only the first drawn is kept.
        excluded: what excluded how many, for the error's sentence; ``Feasibility.excluded``.
        seen: architectures not to draw again.
        tries: bound on draws without a new architecture, in a space that is not enumerated.

    Returns:
        Distinct architectures, in the order of drawing; fewer than ``size`` when there are no more.

    Raises:
        NoFeasibleArchError: none of those that were drawn is feasible.
        UsageError: a count is too small.
    """
    if size < 1 or tries < 1:
        raise UsageError(f"Expected a size and tries of at least 1, but got {size} and {tries}.")
    known = set(seen)
    keys = {dedup(a) for a in seen} if dedup else set()
    found: list[Arch] = []
    drawn: list[Arch] = []
    some_feasible = False
    for batch in _batches(space, size, size + len(known), rng, tries, found):
        new = [a for a in dict.fromkeys(batch) if a not in known]
        known.update(new)
        drawn += new
        mask = feasible(new) if new else np.zeros(0, dtype=bool)
        some_feasible = some_feasible or bool(mask.any())
        for arch in (a for a, ok in zip(new, mask, strict=True) if ok):
            if dedup is not None and (key := dedup(arch)) in keys:
                continue
            elif dedup is not None:
                keys.add(key)
            found.append(arch)
            if len(found) == size:
                return tuple(found)
    if not some_feasible and not seen:
        raise NoFeasibleArchError(_sentence(space, drawn, excluded))
    return tuple(found)


def _batches(
    space: Space, first: int, wanted: int, rng: Generator, tries: int, found: list[Arch]
) -> Iterator[list[Arch]]:
    """Batches of draws; after them, where possible, the whole space in random order."""
    size = space.size
    enumerable = size is not None and size <= _ENUMERABLE
    if size is None or not enumerable or wanted < size / 4:
        misses, before, count = 0, 0, min(first, _BATCH)
        while misses < (4 * _BATCH if enumerable else tries):
            yield [space.sample(rng) for _ in range(count)]
            misses = misses + count if len(found) == before else 0
            before, count = len(found), min(2 * count, _BATCH)
    if enumerable:
        every = list(space.enumerate())
        order = rng.permutation(len(every))
        for start in range(0, len(every), 4096):
            yield [every[i] for i in order[start : start + 4096]]


def _sentence(space: Space, drawn: Sequence[Arch], excluded: Excluded | None) -> str:
    whole = len(drawn) == space.size
    text = f"None of {'all ' if whole else ''}{len(drawn):,} architectures of {space.name!r}"
    text += " is feasible" if whole else " that were drawn is feasible"
    counts = {k: v for k, v in (excluded(drawn) if excluded else {}).items() if v}
    if not counts:
        return f"{text}: loosen the constraints."
    most = max(counts, key=lambda name: counts[name])
    return f"{text}: {most} excluded most of them ({counts[most]:,}); loosen it."
