"""Learning from what was measured, and ranking what was not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.encodings import EncodingContext, encode
from foretell.errors import NetworkError, PredictorError, ProxyError, UsageError
from foretell.graph import Graph
from foretell.metrics import Correlation, kendall
from foretell.predictors import Auto, Candidate, Conformal, Predictor, seeded
from foretell.rng import stream
from foretell.search import draw_pool
from foretell.spaces import CostTable, Skeleton, Space
from foretell.studies.evaluation.scoring import Scored, Scorer, make_scorer, score_all
from foretell.studies.predict.config import PredictConfig
from foretell.studies.predict.fitted import Fitted, Shown, fit
from foretell.studies.run.progress import OnProgress, Tracker, silent
from foretell.types import Array

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["HeldOut", "Ranking", "Request", "ScoreAll", "make_request", "predict_values"]

ScoreAll = Callable[[Scorer, Sequence[Arch], Tracker], Scored]
"""Computes the proxies of architectures."""


@dataclass(frozen=True)
class HeldOut:
    """The measured architectures, each predicted by models that had not seen it.

    Args:
        archs: (n,) that were measured.
        values: (n,) what was measured.
        mean: (n,) predicted values.
        low: (n,) lower ends of intervals as wide as the errors of the others ask for; NaN without.
        high: (n,) upper ends.
        std: (n,) how uncertain the predictor says it is; None where it does not.
    """

    archs: tuple[Arch, ...]
    values: Array
    mean: Array
    low: Array
    high: Array
    std: Array | None


@dataclass(frozen=True)
class Ranking:
    """Predictions, the best first.

    Args:
        archs: (n,) that were not measured.
        mean: (n,) predicted values.
        low: (n,) lower ends of the intervals; NaN without intervals.
        high: (n,) upper ends.
        level: share of values that should lie between; 0 without intervals.
        measured: how many architectures were learned from.
        encodings: their names, with "+" between.
        predictor: the predictor's name.
        why: what ``auto`` chose and how well each candidate did; empty for other predictors.
        held_out: Kendall's tau of predictions and values of measured architectures, each by a model
            that had not seen it.
        baseline: the same for the number of parameters, which needs no model; NaN if unknown.
        learned: the measured architectures and their held-out predictions.
        candidates: what ``auto`` tried; empty for other predictors.
        config: what was asked for.
        fitted: what is known of the architectures; with the predictor, so that further ones can be
            shown to it, unless the ranking was read from a folder.
    """

    archs: tuple[Arch, ...]
    mean: Array
    low: Array
    high: Array
    level: float
    measured: int
    encodings: str
    predictor: str
    why: str
    held_out: Correlation
    baseline: Correlation
    learned: HeldOut
    candidates: tuple[Candidate, ...]
    config: PredictConfig
    fitted: Shown = field(repr=False)


@dataclass(frozen=True)
class Request:
    """A prediction that can be made: everything was checked.

    Args:
        space: of the architectures.
        archs: the measured ones.
        y: (n,) their values.
        drawn: those to rank.
        config: how.
        skeleton: what surrounds the genes.
        make: a new predictor.
        bounds: between which all values lie.
        scorer: computes the proxies of one architecture; None without proxies.
    """

    space: Space
    archs: tuple[Arch, ...]
    y: Array
    drawn: tuple[Arch, ...]
    config: PredictConfig
    skeleton: Skeleton
    make: Callable[[], Predictor]
    bounds: tuple[float, float]
    scorer: Scorer | None

    def check(self) -> None:
        """Refuse at once what fitting would refuse after everything was scored.

        Raises:
            PredictorError: there are too few values, or one is not finite.
            UnknownNameError: no such encoding.
            UsageError: an encoding needs what is not there, or stands twice.
        """
        least = self.make().min_train_size
        if self.config.level:
            least = max(least, Conformal.min_train_size(self.config.level))
        if len(self.y) < least:
            raise PredictorError(
                f"{self.config.predictor} with {self.config.level:.0%} intervals needs {least} "
                f"measured architectures or more, but got {len(self.y)}."
            )
        if not np.isfinite(self.y).all():
            raise PredictorError(
                f"{int((~np.isfinite(self.y)).sum())} of {len(self.y)} measured values are not "
                f"finite: leave those architectures out."
            )
        if self.config.encodings:
            few = self.archs[:2]
            context = self._without_scores(few, Tracker())
            scores = {name: np.zeros(len(few)) for name in self.config.proxies}
            encode(self.config.encodings, replace(context, scores=scores))

    def rank(self, tell: Tracker, score: ScoreAll = score_all) -> Ranking:
        """Fit, and predict.

        Args:
            tell: told how many networks are traced and scored.
            score: computes proxies.
        """
        config, archs, y = self.config, self.archs, self.y
        describe = partial(self._context, tell=tell, score=score)
        context = describe([*archs, *self.drawn])
        text = config.encodings or _default_encodings(context)
        encodings = encode(text, context)
        train = np.arange(len(archs))
        model, conformal, out = fit(self.make, encodings.take(train), y, config.level, config.seed)
        fitted = Fitted(
            context=context,
            text=text,
            encodings=encodings,
            y=y,
            predictor=model,
            conformal=conformal,
            level=config.level,
            seed=config.seed,
            held_out=out,
            describe=describe,
            bounds=self.bounds,
        )
        found = fitted.predict(encodings.take(np.arange(len(archs), len(encodings))))
        order = np.argsort(-found.mean if config.higher_is_better else found.mean, kind="stable")
        ends = None if conformal is None else conformal.held_out()
        none = np.full(len(archs), np.nan)
        size = np.zeros(len(encodings)) if context.costs is None else context.costs.params
        return Ranking(
            archs=tuple(self.drawn[i] for i in order.tolist()),
            mean=fitted.clip(found.mean[order]),
            low=fitted.clip(found.low[order]),
            high=fitted.clip(found.high[order]),
            level=config.level,
            measured=len(archs),
            encodings=text,
            predictor=config.predictor,
            why=model.why() if isinstance(model, Auto) else "",
            held_out=kendall(out.mean, y),
            baseline=kendall(size[train].astype(np.float64), y),
            learned=HeldOut(
                archs=archs,
                values=y,
                mean=fitted.clip(out.mean),
                low=fitted.clip(none if ends is None else ends.low),
                high=fitted.clip(none if ends is None else ends.high),
                std=out.std,
            ),
            candidates=model.candidates_ if isinstance(model, Auto) else (),
            config=config,
            fitted=fitted,
        )

    def _context(self, archs: Sequence[Arch], tell: Tracker, score: ScoreAll) -> EncodingContext:
        """What is known of architectures."""
        context = self._without_scores(archs, tell)
        if self.scorer is None:
            return context
        done = score(self.scorer, archs, tell)
        if archs and len(done.failures) == len(archs):
            raise ProxyError(f"None of {len(archs)} networks can be scored: {done.failures[0]}")
        values = dict(zip(self.scorer.names, done.values.T, strict=True))
        return replace(context, scores=values)

    def _without_scores(self, archs: Sequence[Arch], tell: Tracker) -> EncodingContext:
        return EncodingContext(
            self.space,
            archs,
            _costs(self.space, archs, self.skeleton),
            graphs=_graphs(self.space, archs, self.skeleton, self.config, tell),
        )


def make_request(
    space: Space,
    archs: Sequence[Arch],
    values: Sequence[float] | Array,
    pool: Sequence[Arch] | int,
    config: PredictConfig,
    *,
    skeleton: Skeleton | None = None,
    task: "Task | None" = None,
) -> Request:
    """Check what is asked for.

    Args:
        space: of the architectures.
        archs: the measured ones.
        values: (n,) theirs.
        pool: those to rank, or how many to draw; measured ones are left out.
        config: how.
        skeleton: what surrounds the genes; by default that for the task's images, or the published.
        task: images for proxies.

    Raises:
        ForetellError: see ``predict_values``.
    """
    y = np.asarray(values, dtype=np.float64)
    if y.shape != (len(archs),):
        raise PredictorError(f"Expected {len(archs)} values, but got shape {y.shape}.")
    if len(set(archs)) != len(archs):
        raise PredictorError(
            f"{len(archs) - len(set(archs))} architectures have two values: keep one, or the mean."
        )
    bounds = _bounds(config, y)
    if config.proxies and task is None:
        raise UsageError("Proxies need images: give data as well.")
    make = seeded(config.predictor, config.seed)
    if isinstance(pool, int):
        drawn = draw_pool(space, pool, stream(config.seed, "pool"), seen=archs)
    else:
        measured = set(archs)
        drawn = tuple(a for a in dict.fromkeys(pool) if a not in measured)
    if not drawn:
        raise UsageError("There is nothing to rank: every architecture of the pool was measured.")
    if skeleton is None:
        skeleton = (
            space.skeleton() if task is None else space.skeleton(task.input_shape, task.classes)
        )
    scorer = None
    if config.proxies and task is not None:
        scorer = make_scorer(space.name, config.proxies, task, skeleton, seed=config.seed)
    return Request(space, tuple(archs), y, drawn, config, skeleton, make, bounds, scorer)


def predict_values(
    space: Space,
    archs: Sequence[Arch],
    values: Sequence[float] | Array,
    pool: Sequence[Arch] | int,
    config: PredictConfig | None = None,
    *,
    skeleton: Skeleton | None = None,
    task: "Task | None" = None,
    on_progress: OnProgress = silent,
) -> Ranking:
    """Fit on measured architectures, and rank others by what they would give.

    Args:
        space: of the architectures.
        archs: the measured ones.
        values: (n,) theirs.
        pool: those to rank, or how many to draw; measured ones are left out.
        config: how.
        skeleton: what surrounds the genes; by default that for the task's images, or the published.
        task: images for proxies.
        on_progress: told how many networks are traced and scored.

    Returns:
        The ranking, with intervals.

    Raises:
        PredictorError: there are too few values, one is not finite, or the same architecture has
            two.
        UsageError: proxies without a task, a pool of nothing new, or a value out of bounds.
        UnknownNameError: no such predictor, encoding or proxy.
        ProxyError: no network can be scored.
    """
    config = config or PredictConfig()
    request = make_request(space, archs, values, pool, config, skeleton=skeleton, task=task)
    return request.rank(Tracker(on_progress))


def _bounds(config: PredictConfig, y: Array) -> tuple[float, float]:
    """The bounds that were asked for, if the values keep them."""
    if config.bounds is None:
        return -np.inf, np.inf
    low, high = config.bounds
    if not low < high:
        raise UsageError(f"Expected bounds with the lower one first, but got {low:g} and {high:g}.")
    outside = (y < low) | (y > high)
    if outside.any():
        raise UsageError(
            f"{int(outside.sum())} of {len(y)} measured values lie outside the bounds {low:g} to "
            f"{high:g}, first: {y[outside][0]:g}. Give the unit's own bounds, or none."
        )
    return low, high


def _default_encodings(context: EncodingContext) -> str:
    names = ["graf"]
    if context.costs is not None:
        names.append("costs")
    if context.scores:
        names.append("scores")
    if context.space.cardinalities:
        names.append("onehot")
    return "+".join(names)


def _costs(space: Space, archs: Sequence[Arch], skeleton: Skeleton) -> CostTable | None:
    """By closed form, else of the networks; None where there are none."""
    closed = space.costs(archs, skeleton)
    if closed is not None or not space.network:
        return closed
    from foretell.cost import costs

    return costs(archs, skeleton)


def _graphs(
    space: Space,
    archs: Sequence[Arch],
    skeleton: Skeleton,
    config: PredictConfig,
    tell: Tracker,
) -> list[Graph] | None:
    """Of the networks, where ``graf`` is an input and the space's own graphs say too little."""
    asked = not config.encodings or "graf" in [name.strip() for name in config.encodings.split("+")]
    if space.graph_describes_network or not space.network or not asked:
        return None
    from foretell.tracing.archs import graphs

    try:
        return graphs(archs, skeleton, on_done=lambda done: tell("trace", done, len(archs)))
    except NetworkError as error:
        raise NetworkError(
            f"{error} Or leave graf out of the encodings (--encoding costs+onehot)."
        ) from error
