"""Learning from what was measured, and ranking what was not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from foretell.arch import Arch
from foretell.errors import PredictorError, UsageError
from foretell.features import Inputs, Known, represent
from foretell.metrics import Correlation, kendall
from foretell.predictors import Auto, Conformal, Predictor, held_out, predictors
from foretell.rng import stream
from foretell.search import draw_pool
from foretell.spaces import CostTable, ProductSpace, Skeleton, Space
from foretell.types import Array

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["PredictConfig", "Ranking", "predict_values"]


@dataclass(frozen=True)
class PredictConfig:
    """How to predict.

    Args:
        predictor: a registered name.
        inputs: representations with "+" between; by default "graf+costs", "onehot" where genes can
            be told apart, and "scores" if there are proxies.
        proxies: names of proxies to compute; these need a task.
        level: share of values that intervals should hold; 0 for none.
        higher_is_better: whether the best has the highest value.
        seed: of folds, models, weights and batches.
    """

    predictor: str = "auto"
    inputs: str = ""
    proxies: tuple[str, ...] = ()
    level: float = 0.9
    higher_is_better: bool = True
    seed: int = 0


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
        inputs: the representations.
        predictor: the predictor's name.
        why: what ``auto`` chose and how well each candidate did; empty for other predictors.
        held_out: Kendall's tau of predictions and values of measured architectures, each by a model
            that had not seen it.
        baseline: the same for the number of parameters, which needs no model.
    """

    archs: tuple[Arch, ...]
    mean: Array
    low: Array
    high: Array
    level: float
    measured: int
    inputs: str
    predictor: str
    why: str
    held_out: Correlation
    baseline: Correlation


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
        UsageError: proxies without a task, or a pool of nothing new.
        UnknownNameError: no such predictor, representation or proxy.
    """
    config = config or PredictConfig()
    y = np.asarray(values, dtype=np.float64)
    if y.shape != (len(archs),):
        raise PredictorError(f"Expected {len(archs)} values, but got shape {y.shape}.")
    if len(set(archs)) != len(archs):
        raise PredictorError(
            f"{len(archs) - len(set(archs))} architectures have two values: keep one, or the mean."
        )
    if config.proxies and task is None:
        raise UsageError("Proxies need images: give data as well.")
    maker = predictors[config.predictor]
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
    known = _known(space, [*archs, *drawn], skeleton, config, task, on_progress)
    text = config.inputs or _default_inputs(space, config)
    inputs = represent(text, known)
    learn, ask = np.arange(len(archs)), np.arange(len(archs), len(inputs))
    make = _seeded(maker, config.seed)
    mean, low, high, why, out = _predict(make, inputs.take(learn), y, inputs.take(ask), config)
    order = np.argsort(-mean if config.higher_is_better else mean, kind="stable")
    assert known.costs is not None
    return Ranking(
        archs=tuple(drawn[i] for i in order.tolist()),
        mean=mean[order],
        low=low[order],
        high=high[order],
        level=config.level,
        measured=len(archs),
        inputs=text,
        predictor=config.predictor,
        why=why,
        held_out=kendall(out, y),
        baseline=kendall(known.costs.params[learn].astype(np.float64), y),
    )


def _default_inputs(space: Space, config: PredictConfig) -> str:
    names = ["graf", "costs"]
    if config.proxies:
        names.append("scores")
    if isinstance(space, ProductSpace):
        names.append("onehot")
    return "+".join(names)


def _known(
    space: Space,
    archs: Sequence[Arch],
    skeleton: Skeleton,
    config: PredictConfig,
    task: "Task | None",
    on_progress: Callable[[str, int, int], None] | None,
) -> Known:
    known = Known(space, archs, _costs(space, archs, skeleton))
    if not config.proxies or task is None:
        return known
    from foretell.proxies import make_batches, score

    def tell(index: int) -> None:
        if on_progress is not None:
            on_progress("score", index + 1, len(archs))

    batches = make_batches(task, seed=config.seed)
    done = score(archs, config.proxies, batches, skeleton=skeleton, seed=config.seed, on_done=tell)
    return replace(known, scores={name: done.column(name) for name in done.names})


def _costs(space: Space, archs: Sequence[Arch], skeleton: Skeleton) -> CostTable:
    closed = space.costs(archs, skeleton)
    if closed is not None:
        return closed
    from foretell.cost import costs

    return costs(archs, skeleton)


def _seeded(maker: type[Predictor], seed: int) -> Callable[[], Predictor]:
    """A new predictor with the study's seed, if it takes one."""
    import inspect

    if "seed" in inspect.signature(maker).parameters:
        return lambda: maker(seed=seed)  # type: ignore[call-arg]
    return maker


def _predict(
    make: Callable[[], Predictor], learn: Inputs, y: Array, ask: Inputs, config: PredictConfig
) -> tuple[Array, Array, Array, str, Array]:
    """Predictions, ends of intervals, what was chosen, and held-out predictions."""
    if config.level:
        conformal = Conformal(make, level=config.level, seed=config.seed).fit(learn, y)
        found = conformal.predict(ask)
        mean, low, high = found.mean, found.low, found.high
        model, out = conformal.predictor_, conformal.held_out_.mean
    else:
        model = make().fit(learn, y)
        mean = model.predict(ask).mean
        low = high = np.full(len(mean), np.nan)
        known = model.held_out()
        if known is None:
            known = held_out(make, learn, y, 10, np.random.default_rng(config.seed))
        out = known.mean
    why = model.why() if isinstance(model, Auto) else ""
    return mean, low, high, why, out
