"""A fitted predictor with what it takes to ask it about further architectures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from foretell.arch import Arch
from foretell.encodings import EncodingContext, Encodings, encode
from foretell.predictors import Conformal, Intervals, Prediction, Predictor, held_out
from foretell.spaces import CostTable
from foretell.types import Array

__all__ = ["Fitted", "Shown", "fit"]

_FOLDS = 10


@dataclass(frozen=True)
class Shown:
    """What is known of the architectures of a ranking.

    Args:
        context: of the measured architectures, then of the pool.
        held_out: predictions for the measured ones by models that had not seen them.
    """

    context: EncodingContext
    held_out: Prediction


@dataclass(frozen=True)
class Fitted(Shown):
    """What was learned, and from what.

    Args:
        context: of the measured architectures, then of the pool.
        held_out: predictions for the measured ones by models that had not seen them.
        text: names of the encodings, with "+" between.
        encodings: of all of them, in this order.
        y: (measured,) values.
        predictor: fitted on the measured ones.
        conformal: the intervals around it; None without.
        level: share of values that the intervals should hold; 0 for none.
        seed: of folds.
        describe: what is known of further architectures; proxies are computed here.
        bounds: between which all values lie.
    """

    text: str
    encodings: Encodings
    y: Array
    predictor: Predictor
    conformal: Conformal | None
    level: float
    seed: int
    describe: Callable[[Sequence[Arch]], EncodingContext]
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def measured(self) -> Encodings:
        """Encodings of the measured architectures."""
        return self.encodings.take(np.arange(len(self.y)))

    def predict(self, encodings: Encodings) -> Intervals:
        """Predictions, before bounds; the ends are NaN without intervals."""
        if self.conformal is not None:
            return self.conformal.predict(encodings)
        mean = self.predictor.predict(encodings).mean
        none = np.full(len(mean), np.nan)
        return Intervals(mean, none, none, 0.0)

    def clip(self, values: Array) -> Array:
        """The values, brought inside the bounds."""
        return np.asarray(np.clip(values, *self.bounds))

    def extended(self, archs: Sequence[Arch]) -> "Fitted":
        """The same with further architectures at the end of the encodings.

        If their presence changes what the predictor saw, as it does where scores are normalised
        over all architectures at hand, the predictor is fitted again, with the choices it made.

        Args:
            archs: none of them known so far.
        """
        if not archs:
            return self
        context = _joined(self.context, self.describe(archs))
        encodings = encode(self.text, context)
        before = np.arange(len(self.encodings))
        if encodings.names == self.encodings.names and np.array_equal(
            encodings.take(before).matrix(), self.encodings.matrix()
        ):
            encodings = Encodings(encodings.tables, encodings.identity, self.encodings.scales)
            return replace(self, context=context, encodings=encodings)
        again = fit(
            self.predictor.unfitted,
            encodings.take(before[: len(self.y)]),
            self.y,
            self.level,
            self.seed,
        )
        return replace(
            self,
            context=context,
            encodings=encodings,
            predictor=again[0],
            conformal=again[1],
            held_out=again[2],
        )


def fit(
    make: Callable[[], Predictor], encodings: Encodings, y: Array, level: float, seed: int
) -> tuple[Predictor, Conformal | None, Prediction]:
    """A predictor, intervals around it if there is a level, and held-out predictions."""
    if level:
        conformal = Conformal(make, level=level, seed=seed).fit(encodings, y)
        return conformal.predictor_, conformal, conformal.held_out_
    model = make().fit(encodings, y)
    out = model.held_out()
    if out is None:
        out = held_out(make, encodings, y, _FOLDS, np.random.default_rng(seed))
    return model, None, out


def _joined(first: EncodingContext, second: EncodingContext) -> EncodingContext:
    costs = None
    if first.costs is not None and second.costs is not None:
        parts = (
            np.concatenate([getattr(first.costs, f.name), getattr(second.costs, f.name)])
            for f in fields(CostTable)
        )
        costs = CostTable(*parts)
    scores = {k: np.concatenate([v, second.scores[k]]) for k, v in first.scores.items()}
    graphs = None
    if first.graphs is not None and second.graphs is not None:
        graphs = [*first.graphs, *second.graphs]
    archs = [*first.archs, *second.archs]
    return replace(first, archs=archs, costs=costs, scores=scores, graphs=graphs)
