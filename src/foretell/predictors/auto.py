"""The default predictor: several models, weighed by how well they do on what they have not seen."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.metrics import kendall, normal_scores
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.gp.exact import GaussianProcess
from foretell.predictors.shared.folds import held_out
from foretell.predictors.shared.targets import NormalTarget
from foretell.types import Array

__all__ = ["Auto", "Candidate"]


@dataclass(frozen=True)
class Candidate:
    """One model that was tried.

    Args:
        name: such as "gp, descriptions".
        kendall: with what was measured, on held-out architectures.
        weight: its share in the prediction.
        seconds: CPU time of its cross-validation.
    """

    name: str
    kendall: float
    weight: float
    seconds: float


@predictors.add("auto", family="stack", reference="Wolpert, Stacked Generalization, 1992")
class Auto(Predictor):
    """Gaussian processes, trees and a linear model, stacked by cross-validation.

    Each candidate predicts the labelled architectures in folds, ten of them up to 200 architectures
    and five beyond. Starting from the best one, whichever candidate raises Kendall's tau of the sum
    most is added, again and again; a Gaussian process on everything takes part from the start,
    which keeps few labels from choosing by chance. Predictions are put together as normal
    quantiles, so that no model's scale outweighs another's. Candidates are tried in order until the
    time is spent.

    Args:
        seconds: CPU time for the cross-validation.
        seed: of folds and models.
        weights: name of a candidate -> its share; by default cross-validation chooses them.
    """

    least = 5
    weights_: dict[str, float]
    candidates_: tuple[Candidate, ...]
    held_out_: Prediction | None

    def __init__(
        self,
        seconds: float = 60.0,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Store the options."""
        self.seconds, self.seed, self.weights = seconds, seed, weights

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.target_ = NormalTarget.of(y)
        makers = _candidates(encodings, self.seed)
        if self.weights is None:
            self._choose(encodings, y, makers)
        else:
            if unknown := sorted(set(self.weights) - set(makers)):
                raise PredictorError(
                    f"There is no candidate {unknown[0]!r} on these encodings: there are "
                    f"{', '.join(makers)}."
                )
            self.weights_, self.candidates_, self.held_out_ = dict(self.weights), (), None
        self.models_ = {
            name: (makers[name][0], makers[name][1]().fit(encodings.only(makers[name][0]), y))
            for name in self.weights_
        }

    def _choose(self, encodings: Encodings, y: Array, makers: "_Makers") -> None:
        """Weights by cross-validation."""
        start = time.process_time()
        truth = normal_scores(y)
        held: dict[str, Prediction] = {}
        spent: dict[str, float] = {}
        count = 10 if len(y) <= 200 else 5
        for name, (tables, make) in makers.items():
            before = time.process_time()
            if held and before - start > self.seconds:
                break
            rng = np.random.default_rng(self.seed)
            held[name] = held_out(make, encodings.only(tables), y, count, rng)
            spent[name] = time.process_time() - before
        quantiles = {name: self.target_.forward(p.mean) for name, p in held.items()}
        self.weights_ = _stack(quantiles, truth)
        self.candidates_ = tuple(
            Candidate(name, _tau(z, y), self.weights_.get(name, 0.0), spent[name])
            for name, z in quantiles.items()
        )
        self.held_out_ = self._together(held, len(y))

    def unfitted(self) -> "Auto":
        """A new one that takes the weights that this one chose, and so fits in no time."""
        self._fitted()
        return Auto(self.seconds, self.seed, self.weights_)

    def held_out(self) -> Prediction | None:
        """The stack's predictions for the fitted architectures, each by models without its fold.

        The weights were chosen on these, so that they are a little too good. None where the
        weights were given.

        Raises:
            PredictorError: nothing was fitted.
        """
        self._fitted()
        return self.held_out_

    def _predict(self, encodings: Encodings) -> Prediction:
        each = {
            name: model.predict(encodings.only(tables))
            for name, (tables, model) in self.models_.items()
        }
        return self._together(each, len(encodings))

    def _together(self, each: Mapping[str, Prediction], n: int) -> Prediction:
        """Weighted mean of predictions as normal quantiles; of variances where there are any."""
        mean, square = np.zeros(n), np.zeros(n)
        known = 0.0
        for name, weight in self.weights_.items():
            found = each[name]
            z = self.target_.forward(found.mean)
            mean += weight * z
            if found.std is not None:
                high = self.target_.forward(found.mean + found.std)
                low = self.target_.forward(found.mean - found.std)
                square += weight * ((high - low) / 2) ** 2
                known += weight
        std = None
        if known > 0:
            std = self.target_.spread(mean, np.sqrt(square / known))
        return Prediction(self.target_.back(mean), std)

    def why(self) -> str:
        """A sentence that says what was chosen, and how well each candidate did.

        Raises:
            PredictorError: nothing was fitted.
        """
        self._fitted()
        if not self.candidates_:
            return ", ".join(f"{w:.0%} {name}" for name, w in self.weights_.items()) + ", as given."
        parts = sorted(self.candidates_, key=lambda c: -c.weight)
        chosen = ", ".join(f"{c.weight:.0%} {c.name}" for c in parts if c.weight)
        tried = ", ".join(f"{c.name} {c.kendall:.3f}" for c in parts)
        return f"{chosen}. Kendall's tau on held-out architectures: {tried}."

    def _fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise PredictorError("Auto has learned nothing yet: call fit first.")


_ROUNDS = 12
_LEAST_GAIN = 0.002
"""A candidate that raises tau by less is not added."""


class _Continued:
    """Makes Gaussian processes, each of which starts from the parameters of the one before.

    What a fold leaves out changes them little, so that all but the first fit take few steps.
    """

    def __init__(self) -> None:
        self._last: GaussianProcess | None = None

    def __call__(self) -> Predictor:
        start = None if self._last is None else self._last.theta_
        self._last = GaussianProcess(start=start)
        return self._last


_Makers = dict[str, tuple[frozenset[str], Callable[[], Predictor]]]


def _candidates(encodings: Encodings, seed: int) -> _Makers:
    """Name -> the tables it sees, and how to make it; the most promising first."""
    from foretell.predictors.linear import BayesianLinear

    everything = frozenset(encodings.tables)
    descriptions = everything - encodings.identity
    found: _Makers = {"gp": (everything, _Continued())}
    if find_spec("sklearn") is not None:
        from foretell.predictors.trees import ExtraTrees

        found["extra_trees"] = (everything, lambda: ExtraTrees(seed=seed))
    if descriptions and descriptions != everything:
        found["gp, descriptions"] = (descriptions, _Continued())
    if find_spec("lightgbm") is not None:
        from foretell.predictors.trees import LightGBM

        found["lightgbm"] = (everything, lambda: LightGBM(normal_target=False, seed=seed))
    found["bayes_linear"] = (everything, BayesianLinear)
    return found


def _tau(z: Array, y: Array) -> float:
    value = float(kendall(z, y))
    return value if np.isfinite(value) else 0.0


def _stack(held: Mapping[str, Array], truth: Array) -> dict[str, float]:
    """Weights that sum to 1, by forward selection with replacement; Caruana et al., ICML 2004."""
    first = next(iter(held))
    best = max(held, key=lambda name: _tau(held[name], truth))
    counts = dict.fromkeys(held, 0)
    counts[first] += 1
    counts[best] += 1
    total = held[first] + held[best]
    tau = _tau(total, truth)
    for _ in range(_ROUNDS):
        gains = {name: _tau(total + z, truth) for name, z in held.items()}
        chosen = max(gains, key=gains.__getitem__)
        if gains[chosen] < tau + _LEAST_GAIN:
            break
        counts[chosen] += 1
        total, tau = total + held[chosen], gains[chosen]
    whole = sum(counts.values())
    return {name: n / whole for name, n in counts.items() if n}
