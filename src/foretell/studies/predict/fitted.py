"""A fitted predictor with what it takes to ask it about further architectures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from foretell.arch import Arch
from foretell.encodings import Inputs, Known, represent
from foretell.predictors import Conformal, Intervals, Prediction, Predictor, held_out
from foretell.spaces import CostTable
from foretell.types import Array

__all__ = ["Fitted", "fit"]

_FOLDS = 10


@dataclass(frozen=True)
class Fitted:
    """What was learned, and from what.

    Args:
        known: of the measured architectures, then of the pool.
        text: the representations, with "+" between.
        inputs: of all of them, in this order.
        y: (measured,) values.
        predictor: fitted on the measured ones.
        conformal: the intervals around it; None without.
        level: share of values that the intervals should hold; 0 for none.
        seed: of folds.
        held_out: predictions for the measured ones by models that had not seen them.
        describe: what is known of further architectures; proxies are computed here.
        bounds: between which all values lie.
    """

    known: Known
    text: str
    inputs: Inputs
    y: Array
    predictor: Predictor
    conformal: Conformal | None
    level: float
    seed: int
    held_out: Prediction
    describe: Callable[[Sequence[Arch]], Known]
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def measured(self) -> Inputs:
        """Inputs of the measured architectures."""
        return self.inputs.take(np.arange(len(self.y)))

    def predict(self, inputs: Inputs) -> Intervals:
        """Predictions, before bounds; the ends are NaN without intervals."""
        if self.conformal is not None:
            return self.conformal.predict(inputs)
        mean = self.predictor.predict(inputs).mean
        none = np.full(len(mean), np.nan)
        return Intervals(mean, none, none, 0.0)

    def clip(self, values: Array) -> Array:
        """The values, brought inside the bounds."""
        return np.asarray(np.clip(values, *self.bounds))

    def extended(self, archs: Sequence[Arch]) -> "Fitted":
        """The same with further architectures at the end of the inputs.

        If their presence changes what the predictor saw, as it does where scores are normalised
        over all architectures at hand, the predictor is fitted again, with the choices it made.

        Args:
            archs: none of them known so far.
        """
        if not archs:
            return self
        known = _joined(self.known, self.describe(archs))
        inputs = represent(self.text, known)
        before = np.arange(len(self.inputs))
        if inputs.names == self.inputs.names and np.array_equal(
            inputs.take(before).matrix(), self.inputs.matrix()
        ):
            inputs = Inputs(inputs.tables, inputs.identity, self.inputs.scales)
            return replace(self, known=known, inputs=inputs)
        again = fit(
            self.predictor.unfitted,
            inputs.take(before[: len(self.y)]),
            self.y,
            self.level,
            self.seed,
        )
        return replace(
            self,
            known=known,
            inputs=inputs,
            predictor=again[0],
            conformal=again[1],
            held_out=again[2],
        )


def fit(
    make: Callable[[], Predictor], inputs: Inputs, y: Array, level: float, seed: int
) -> tuple[Predictor, Conformal | None, Prediction]:
    """A predictor, intervals around it if there is a level, and held-out predictions."""
    if level:
        conformal = Conformal(make, level=level, seed=seed).fit(inputs, y)
        return conformal.predictor_, conformal, conformal.held_out_
    model = make().fit(inputs, y)
    out = model.held_out()
    if out is None:
        out = held_out(make, inputs, y, _FOLDS, np.random.default_rng(seed))
    return model, None, out


def _joined(first: Known, second: Known) -> Known:
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
