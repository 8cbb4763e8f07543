"""The default predictor: a stack of several models, weighted by cross-validation."""

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
    """A model of the stack and its cross-validated score.

    Args:
        name: such as "gp, descriptions".
        kendall: tau of held-out predictions and measured values.
        weight: in the stack.
        seconds: CPU time of its cross-validation.
    """

    name: str
    kendall: float
    weight: float
    seconds: float


@predictors.add("auto", family="stack", reference="Wolpert, Stacked Generalization, 1992")
class Auto(Predictor):
    """Gaussian processes, trees and a linear model, stacked by cross-validation.

    Each candidate is cross-validated on the labelled architectures, with ten folds up to 200
    architectures and five beyond. Weights follow from greedy forward selection with replacement by
    Kendall's tau of the summed predictions, starting from the best candidate and a Gaussian process
    on all encodings; the latter keeps the choice stable with few labels. Predictions are averaged
    as normal quantiles, so that no model's scale dominates. Candidates are tried in order until the
    time budget is spent.

    Args:
        seconds: CPU time for the cross-validation.
        seed: of folds and models.
        weights: name of a candidate -> its weight; by default chosen by cross-validation.
    """

    min_train_size = 5
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
        quantiles = {name: self.target_.transform(p.mean) for name, p in held.items()}
        self.weights_ = _stack(quantiles, truth)
        self.candidates_ = tuple(
            Candidate(name, _tau(z, y), self.weights_.get(name, 0.0), spent[name])
            for name, z in quantiles.items()
        )
        self.held_out_ = self._together(held, len(y))

    def unfitted(self) -> "Auto":
        """A new one with the weights of this one, so that fitting skips the cross-validation."""
        self._fitted()
        return Auto(self.seconds, self.seed, self.weights_)

    def held_out(self) -> Prediction | None:
        """Cross-validated predictions of the stack for the training architectures.

        Slightly optimistic, since the weights were chosen on them. None where the weights were
        given.

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
        """Weighted mean of predictions as normal quantiles; of their variances where given."""
        mean, square = np.zeros(n), np.zeros(n)
        weight_with_std = 0.0
        for name, weight in self.weights_.items():
            prediction = each[name]
            z = self.target_.transform(prediction.mean)
            mean += weight * z
            if prediction.std is not None:
                high = self.target_.transform(prediction.mean + prediction.std)
                low = self.target_.transform(prediction.mean - prediction.std)
                square += weight * ((high - low) / 2) ** 2
                weight_with_std += weight
        std = None
        if weight_with_std > 0:
            std = self.target_.inverse_std(mean, np.sqrt(square / weight_with_std))
        return Prediction(self.target_.inverse_transform(mean), std)

    def why(self) -> str:
        """A sentence with the chosen weights and the cross-validated score of each candidate.

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
            raise PredictorError("Auto is not fitted yet: call fit first.")


_ROUNDS = 12
_LEAST_GAIN = 0.002
"""Minimum gain in tau for another step of the forward selection."""


class _Continued:
    """Makes Gaussian processes, each warm-started from the hyperparameters of the one before.

    These differ little between folds, so that all fits but the first take few steps.
    """

    def __init__(self) -> None:
        self._last: GaussianProcess | None = None

    def __call__(self) -> Predictor:
        start = None if self._last is None else self._last.theta_
        self._last = GaussianProcess(start=start)
        return self._last


_Makers = dict[str, tuple[frozenset[str], Callable[[], Predictor]]]


def _candidates(encodings: Encodings, seed: int) -> _Makers:
    """Name -> the encodings it sees, and a factory; the most promising first."""
    from foretell.predictors.linear import BayesianLinear

    everything = frozenset(encodings.tables)
    descriptions = everything - encodings.identity
    makers: _Makers = {"gp": (everything, _Continued())}
    if find_spec("sklearn") is not None:
        from foretell.predictors.trees import ExtraTrees

        makers["extra_trees"] = (everything, lambda: ExtraTrees(seed=seed))
    if descriptions and descriptions != everything:
        makers["gp, descriptions"] = (descriptions, _Continued())
    if find_spec("lightgbm") is not None:
        from foretell.predictors.trees import LightGBM

        makers["lightgbm"] = (everything, lambda: LightGBM(normal_target=False, seed=seed))
    makers["bayes_linear"] = (everything, BayesianLinear)
    return makers


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
