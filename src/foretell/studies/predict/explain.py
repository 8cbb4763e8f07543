"""Why a ranking is as it is: families of columns, and the edits that would change the best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foretell.arch import Arch
from foretell.encodings import EncodingContext
from foretell.errors import MissingExtraError, UsageError
from foretell.predictors import Intervals
from foretell.predictors.explain import (
    Contributions,
    Importance,
    contributions,
    families,
    permutation_importance,
    tables,
)
from foretell.rng import stream
from foretell.spaces import Space
from foretell.studies.predict.fitted import Fitted
from foretell.studies.predict.rank import Ranking
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.types import Array

__all__ = ["Edit", "Explained", "Explanation", "explain_ranking"]

_FOLDS = 5


@dataclass(frozen=True)
class Edit:
    """A neighbor of an architecture.

    Args:
        words: what is changed.
        arch: what it gives.
        mean: its predicted value.
        low: lower end of the interval around it; NaN without intervals.
        high: upper end.
        change: its predicted value minus that of the architecture it is a neighbor of.
        same: whether both compute the same function, so that a change is the predictor's error.
        measured: its measured value; NaN if it was not measured.
    """

    words: str
    arch: Arch
    mean: float
    low: float
    high: float
    change: float
    same: bool
    measured: float


@dataclass(frozen=True)
class Explained:
    """One architecture and why it is predicted so.

    Args:
        arch: which.
        mean: its predicted value.
        low: lower end of its interval; NaN without intervals.
        high: upper end.
        families: (families,) what each adds to the prediction, in the order of the explanation's
            contributions; NaN without.
        rest: what of the prediction the base and the families leave open.
        edits: all neighbors, the best first.
    """

    arch: Arch
    mean: float
    low: float
    high: float
    families: Array
    rest: float
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Explanation:
    """What can be said about a ranking beside its numbers.

    Args:
        space: of the architectures.
        explained: those that were asked for.
        contributions: of each family to the prediction of every architecture of the ranking, in its
            order; None where they could not be computed.
        importance: the drop of Kendall's tau on held-out architectures, by family; None where too
            few were measured.
        tables: the same by whole encoding.
        refitted: whether the edits' presence changed the encodings of all, as with scores, so
            that the predictor was fitted again; the numbers here are those of the second fit.
        left_out: what could not be said, and why.
    """

    space: Space
    explained: tuple[Explained, ...]
    contributions: Contributions | None
    importance: Importance | None
    tables: Importance | None
    refitted: bool
    left_out: tuple[str, ...]

    def by_family(self) -> dict[str, Sequence[object]]:
        """A table with a row for each family: mean absolute contribution, drop of tau, its std."""
        shares, drops = self.contributions, self.importance
        known = drops or shares
        names = known.families if known is not None else ()
        none = [math.nan] * len(names)
        return {
            "family": names,
            "contribution": none if shares is None else shares.size.tolist(),
            "drop_of_tau": none if drops is None else drops.mean.tolist(),
            "std": none if drops is None else drops.std.tolist(),
        }

    def reasons(self) -> dict[str, Sequence[object]]:
        """A table with a row for each explained architecture and family: what it adds."""
        names = () if self.contributions is None else self.contributions.families
        return {
            "arch": [self.space.format(e.arch) for e in self.explained for _ in names],
            "family": [name for _ in self.explained for name in names],
            "adds": [float(v) for e in self.explained for v in e.families],
        }

    def edits(self) -> dict[str, Sequence[object]]:
        """A table with a row for each neighbor of each explained architecture."""
        rows = [(e.arch, edit) for e in self.explained for edit in e.edits]
        return {
            "of": [self.space.format(arch) for arch, _ in rows],
            "edit": [edit.words for _, edit in rows],
            "arch": [self.space.format(edit.arch) for _, edit in rows],
            "change": [edit.change for _, edit in rows],
            "predicted": [edit.mean for _, edit in rows],
            "low": [edit.low for _, edit in rows],
            "high": [edit.high for _, edit in rows],
            "same_function": [edit.same for _, edit in rows],
            "measured": [edit.measured for _, edit in rows],
        }


def explain_ranking(
    ranking: Ranking,
    archs: int | Sequence[Arch] = 1,
    *,
    repeats: int = 5,
    on_progress: OnProgress = silent,
) -> Explanation:
    """Explain predictions.

    Neighbors of each architecture are shown to the same predictor; proxies among its encodings are
    computed for them, too.

    Args:
        ranking: from ``predict_values``.
        archs: which ones to explain, or how many of the best; any of the space will do.
        repeats: permutations of each family.
        on_progress: told how far it is.

    Raises:
        UsageError: none is asked for, one stands twice, or the ranking was read from a folder and
            has no predictor.
        ArchError: one is not of the space.
    """
    tell = Tracker(on_progress)
    before = ranking.fitted
    if not isinstance(before, Fitted):
        raise UsageError(
            "This ranking was read from a folder, without the predictor: ask foretell predict for "
            "the explanations."
        )
    chosen = ranking.archs[:archs] if isinstance(archs, int) else tuple(archs)
    if not chosen or len(set(chosen)) != len(chosen):
        raise UsageError("Expected one architecture to explain or more, each once.")
    space = before.context.space
    near = {a: space.neighbors(space.check(a)) for a in chosen}
    asked = dict.fromkeys([*chosen, *(b for found in near.values() for b in found)])
    there = set(before.context.archs)
    fitted = before.extended([a for a in asked if a not in there])
    tell("explain", 1, 3)
    groups = families(fitted.encodings, space.gene_name)
    left_out: list[str] = []
    shares = None
    try:
        shares = contributions(fitted.predictor, fitted.encodings, groups, seed=fitted.seed)
    except MissingExtraError as error:
        left_out.append(f"Contributions of families: {error}")
    tell("explain", 2, 3)
    place = {a: i for i, a in enumerate(fitted.context.archs)}
    found = fitted.predict(fitted.encodings)
    values = dict(zip(ranking.learned.archs, ranking.learned.values.tolist(), strict=True))
    sign = -1 if ranking.config.higher_is_better else 1
    explained = tuple(
        _explained(a, near[a], fitted, found, shares, place, values, sign) for a in chosen
    )
    importance = whole = None
    smallest = len(fitted.y) - math.ceil(len(fitted.y) / _FOLDS)
    if smallest < fitted.predictor.min_train_size:
        left_out.append(
            f"Permutation importance: {len(fitted.y)} measured architectures are too few to hold "
            f"some out."
        )
    else:
        rng = stream(fitted.seed, "permutations")
        kinds = tables(fitted.encodings)
        drops = permutation_importance(
            fitted.predictor.unfitted, fitted.measured, fitted.y, {**groups, **kinds}, rng,
            count=_FOLDS, repeats=repeats,
        )  # fmt: skip
        importance, whole = drops.only(tuple(groups)), drops.only(tuple(kinds))
    tell("explain", 3, 3)
    rows = np.array([place[a] for a in ranking.archs])
    return Explanation(
        space=space,
        explained=explained,
        contributions=None if shares is None else shares.take(rows),
        importance=importance,
        tables=whole,
        refitted=fitted.predictor is not before.predictor,
        left_out=tuple(left_out),
    )


def _explained(
    arch: Arch,
    near: Sequence[Arch],
    fitted: Fitted,
    found: Intervals,
    shares: Contributions | None,
    place: dict[Arch, int],
    values: dict[Arch, float],
    sign: int,
) -> Explained:
    space = fitted.context.space
    mean, low, high = (fitted.clip(v) for v in (found.mean, found.low, found.high))
    i = place[arch]
    function = _function(fitted.context, i)
    edits = [
        Edit(
            words=space.edit(arch, other),
            arch=other,
            mean=float(mean[k]),
            low=float(low[k]),
            high=float(high[k]),
            change=float(mean[k] - mean[i]),
            same=_function(fitted.context, k) == function,
            measured=values.get(other, math.nan),
        )
        for other, k in ((b, place[b]) for b in near)
    ]
    return Explained(
        arch=arch,
        mean=float(mean[i]),
        low=float(low[i]),
        high=float(high[i]),
        families=np.empty(0) if shares is None else shares.values[i],
        rest=math.nan if shares is None else float(shares.rest[i]),
        edits=tuple(sorted(edits, key=lambda e: sign * e.change)),
    )


def _function(context: EncodingContext, row: int) -> tuple[object, ...]:
    """What is equal for architectures that compute the same: graph, live parameters, operations."""
    arch = context.archs[row]
    if not context.space.graph_describes_network:
        return (arch,)
    costs = context.costs
    sizes = () if costs is None else (int(costs.live_params[row]), int(costs.flops[row]))
    return context.space.graph(arch).hash(), *sizes
