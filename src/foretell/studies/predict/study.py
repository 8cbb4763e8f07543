"""Learning from what was measured, and ranking what was not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.encodings import EncodingContext, encode
from foretell.errors import NetworkError, PredictorError, UsageError
from foretell.graph import Graph
from foretell.metrics import Correlation, kendall
from foretell.predictors import Auto, Candidate, seeded
from foretell.rng import stream
from foretell.search import draw_pool
from foretell.spaces import CostTable, Skeleton, Space
from foretell.studies.predict.fitted import Fitted, fit
from foretell.types import Array

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["HeldOut", "PredictConfig", "Ranking", "predict_values"]


@dataclass(frozen=True)
class PredictConfig:
    """How to predict.

    Args:
        predictor: a registered name.
        encodings: names with "+" between; by default "graf", "costs" where they can be
            counted, "scores" if there are proxies, and "onehot" where genes can be told apart.
        proxies: names of proxies to compute; these need a task.
        level: share of values that intervals should hold; 0 for none.
        higher_is_better: whether the best has the highest value.
        seed: of folds, models, weights and batches.
        target: what was measured, such as "accuracy"; for reports.
        bounds: between which all values lie, such as (0, 1) for an accuracy or (0, inf) for a
            latency: no prediction and no interval goes beyond; None if nothing is known.
    """

    predictor: str = "auto"
    encodings: str = ""
    proxies: tuple[str, ...] = ()
    level: float = 0.9
    higher_is_better: bool = True
    seed: int = 0
    target: str = ""
    bounds: tuple[float, float] | None = None


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
        fitted: what further architectures can be shown to; see ``explain_ranking``.
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
    fitted: Fitted = field(repr=False)


def predict_values(
    space: Space,
    archs: Sequence[Arch],
    values: Sequence[float] | Array,
    pool: Sequence[Arch] | int,
    config: PredictConfig | None = None,
    *,
    skeleton: Skeleton | None = None,
    task: "Task | None" = None,
    on_progress: Callable[[str, int, int], None] | None = None,
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
        on_progress: told stage, done and total.

    Returns:
        The ranking, with intervals.

    Raises:
        PredictorError: there are too few values, one is not finite, or the same architecture has
            two.
        UsageError: proxies without a task, a pool of nothing new, or a value out of bounds.
        UnknownNameError: no such predictor, encoding or proxy.
    """
    config = config or PredictConfig()
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
    describe = partial(
        _known, space, skeleton=skeleton, config=config, task=task, on_progress=on_progress
    )
    context = describe([*archs, *drawn])
    text = config.encodings or _default_encodings(context)
    encodings = encode(text, context)
    learn = np.arange(len(archs))
    model, conformal, out = fit(make, encodings.take(learn), y, config.level, config.seed)
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
        bounds=bounds,
    )
    found = fitted.predict(encodings.take(np.arange(len(archs), len(encodings))))
    order = np.argsort(-found.mean if config.higher_is_better else found.mean, kind="stable")
    ends = None if conformal is None else conformal.held_out()
    none = np.full(len(archs), np.nan)
    size = np.zeros(len(encodings)) if context.costs is None else context.costs.params
    return Ranking(
        archs=tuple(drawn[i] for i in order.tolist()),
        mean=fitted.clip(found.mean[order]),
        low=fitted.clip(found.low[order]),
        high=fitted.clip(found.high[order]),
        level=config.level,
        measured=len(archs),
        encodings=text,
        predictor=config.predictor,
        why=model.why() if isinstance(model, Auto) else "",
        held_out=kendall(out.mean, y),
        baseline=kendall(size[learn].astype(np.float64), y),
        learned=HeldOut(
            archs=tuple(archs),
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


def _known(
    space: Space,
    archs: Sequence[Arch],
    skeleton: Skeleton,
    config: PredictConfig,
    task: "Task | None",
    on_progress: Callable[[str, int, int], None] | None,
) -> EncodingContext:
    context = EncodingContext(
        space,
        archs,
        _costs(space, archs, skeleton),
        graphs=_graphs(space, archs, skeleton, config, on_progress),
    )
    if not config.proxies or task is None:
        return context
    from foretell.proxies import make_batches, score

    def tell(index: int) -> None:
        if on_progress is not None:
            on_progress("score", index + 1, len(archs))

    batches = make_batches(task, seed=config.seed)
    done = score(archs, config.proxies, batches, skeleton=skeleton, seed=config.seed, on_done=tell)
    return replace(context, scores={name: done.column(name) for name in done.names})


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
    on_progress: Callable[[str, int, int], None] | None,
) -> list[Graph] | None:
    """Of the networks, where ``graf`` is an input and the space's own graphs say too little."""
    asked = not config.encodings or "graf" in [name.strip() for name in config.encodings.split("+")]
    if space.telling_graph or not space.network or not asked:
        return None
    from foretell.tracing.archs import graphs

    def tell(done: int) -> None:
        if on_progress is not None:
            on_progress("trace", done, len(archs))

    try:
        return graphs(archs, skeleton, on_done=tell)
    except NetworkError as error:
        raise NetworkError(
            f"{error} Or leave graf out of the encodings (--encoding costs+onehot)."
        ) from error
