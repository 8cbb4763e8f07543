"""The numbers of an evaluation: correlations, and what choosing by each proxy gives."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.metrics import correlate, cross
from foretell.rng import stream
from foretell.studies.evaluation.populations import Populations
from foretell.studies.evaluation.targets import Column, Target
from foretell.types import Array, IntArray

__all__ = ["Arrays", "compute"]


@dataclass(frozen=True)
class Arrays:
    """The arrays of a ``ProxyEvaluation``, with its names."""

    sizes: IntArray
    value: Array
    low: Array
    high: Array
    pairs: IntArray
    between_runs: Array
    between_runs_pairs: IntArray
    favourite: IntArray
    ties: IntArray
    found: Array
    regret: Array
    rank: IntArray

    @classmethod
    def empty(cls, k: int, p: int, t: int) -> "Arrays":
        """Undefined values for k populations, p proxies and t targets."""
        shape, flat = (k, p, t), (k, t)
        return cls(
            sizes=np.zeros(flat, dtype=np.int64),
            value=np.full(shape, np.nan),
            low=np.full(shape, np.nan),
            high=np.full(shape, np.nan),
            pairs=np.zeros(shape, dtype=np.int64),
            between_runs=np.full(flat, np.nan),
            between_runs_pairs=np.zeros(flat, dtype=np.int64),
            favourite=np.full(shape, -1, dtype=np.int64),
            ties=np.zeros(shape, dtype=np.int64),
            found=np.full(shape, np.nan),
            regret=np.full(shape, np.nan),
            rank=np.zeros(shape, dtype=np.int64),
        )


def compute(
    truths: Sequence[Target],
    columns: Sequence[Column],
    sets: Populations,
    *,
    kind: str,
    samples: int,
    level: float,
    seed: int,
) -> Arrays:
    """Correlate and choose, population by population.

    Targets of one dataset have the same proxy values; where they have the same members, too, they
    are correlated at once.

    Args:
        truths: t targets of n values.
        columns: p proxies.
        sets: k populations.
        kind: of the correlation.
        samples: resamples of the bootstrap.
        level: of the intervals.
        seed: of the resamples.
    """
    out = Arrays.empty(len(sets.names), len(columns), len(truths))
    for k, name in enumerate(sets.names):
        for members in _groups(truths, one_each=name in sets.top):
            values = np.stack([truths[t].values for t in members])
            mask = sets.mask(name, values[0])
            dataset = truths[members[0]].info.dataset
            rows = [p for p, c in enumerate(columns) if c.of(dataset) is not None]
            scores = np.stack([v for c in columns if (v := c.of(dataset)) is not None])[:, mask]
            rng = stream(seed, "bootstrap", name, dataset)
            found = cross(scores, values[:, mask], kind, samples=samples, level=level, rng=rng)
            place = np.ix_([k], rows, members)
            for mine, theirs in (
                (out.value, found.value),
                (out.low, found.low),
                (out.high, found.high),
                (out.pairs, found.n),
            ):
                mine[place] = theirs[None]
            for t in members:
                _choose(out, (k, t), rows, scores, truths[t].values, mask)
                if name in sets.masks:  # the best by the mean of two runs tell nothing of either
                    _between_runs(out, (k, t), truths[t].runs, mask, kind)
    return out


def _groups(truths: Sequence[Target], *, one_each: bool) -> list[list[int]]:
    """Targets that are computed at once: of one dataset, unless each has members of its own."""
    if one_each:
        return [[t] for t in range(len(truths))]
    groups: dict[str, list[int]] = {}
    for t, truth in enumerate(truths):
        groups.setdefault(truth.info.dataset, []).append(t)
    return list(groups.values())


def _choose(
    out: Arrays,
    place: tuple[int, int],
    rows: Sequence[int],
    scores: Array,
    truth: Array,
    mask: NDArray[np.bool_],
) -> None:
    """What is found by training only the network that each proxy ranks first.

    Where a proxy ranks several first, the mean over them is what a random one of them gives.
    """
    k, t = place
    where = np.flatnonzero(mask)
    y = truth[mask]
    known = ~np.isnan(y)
    out.sizes[k, t] = known.sum()
    if not known.any():
        return
    best = y[known].max()
    for p, score in zip(rows, scores, strict=True):
        both = known & ~np.isnan(score)
        if not both.any():
            continue
        first = np.flatnonzero(both & (score == score[both].max()))
        found = float(y[first].mean())
        out.favourite[k, p, t] = where[first[0]]
        out.ties[k, p, t] = len(first)
        out.found[k, p, t] = found
        out.regret[k, p, t] = max(0.0, best - found)
        out.rank[k, p, t] = 1 + int((y[known] > found).sum())


def _between_runs(
    out: Arrays,
    place: tuple[int, int],
    runs: Array | None,
    mask: NDArray[np.bool_],
    kind: str,
) -> None:
    """How well one training run foretells another of the same networks."""
    if runs is not None:
        (found,) = correlate(runs[mask, 0][None], runs[mask, 1], kind)
        out.between_runs[place], out.between_runs_pairs[place] = found.value, found.n
