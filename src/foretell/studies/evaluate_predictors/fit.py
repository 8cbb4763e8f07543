"""One fit of an evaluation of predictors: split, learn, predict, compare with the truth."""

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import MissingExtraError
from foretell.metrics import (
    coverage,
    kendall,
    mae,
    pearson,
    precision_at_k,
    r2,
    rmse,
    sharpness,
    sparse_kendall,
    spearman,
    top_k_regret,
)
from foretell.predictors import Conformal, seeded
from foretell.rng import stream
from foretell.types import Array, IntArray, Json

__all__ = ["BEST_PROXY", "METRICS", "Fit", "Material", "split_rows"]

METRICS = (
    *("kendall", "spearman", "pearson", "r2", "mae", "rmse"),
    *("sparse_kendall_2", "sparse_kendall_1", "precision_at_10", "regret_at_10"),
    *("coverage", "width", "fit_seconds", "query_seconds"),
)
"""What is found of each fit.

``sparse_kendall_D`` is Kendall's tau of predictions rounded to D decimals as they are read, a
fraction in per cent. ``query_seconds`` are for 1,000 networks; both times are CPU seconds. The
baselines have no unit, so that the errors and what is rounded are NaN.
"""

BEST_PROXY = "best proxy"
"""The baseline that takes the single proxy, or size, that orders the train set best."""

_K = 10

T = TypeVar("T")


@dataclass(frozen=True)
class Fit:
    """One cell of the grid with one seed.

    Args:
        target: key of what is predicted.
        predictor: its name; of a baseline if there are no encodings.
        encodings: names with "+" between; empty for a baseline.
        size: architectures to learn from.
        seed: of the split and the model.
    """

    target: str
    predictor: str
    encodings: str
    size: int
    seed: int

    @property
    def key(self) -> str:
        """A text that names it."""
        return "|".join(str(v) for v in asdict(self).values())


def split_rows(
    n: int, size: int, test: int | None, seed: int, split: str
) -> tuple[IntArray, IntArray]:
    """Places to learn from and places to predict, disjoint.

    Args:
        n: architectures there are.
        size: to learn from.
        test: to predict; None for all others.
        seed: of the draw.
        split: "own" shuffles by a stream of the seed: train sets of one seed contain one another,
            and a test set of a given number is the same for all sizes. "sklearn" is scikit-learn's
            ``train_test_split(train_size=size, test_size=test, random_state=seed)``.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    if split == "sklearn":
        try:
            from sklearn.model_selection import train_test_split
        except ImportError as error:
            raise MissingExtraError("scikit-learn", "trees", "The split 'sklearn'") from error
        fit, ask = train_test_split(
            np.arange(n), train_size=size, test_size=test, random_state=seed
        )
        return np.asarray(fit), np.asarray(ask)
    order = stream(seed, "split").permutation(n)
    return order[:size], order[size:] if test is None else order[n - test :]


@dataclass(frozen=True)
class Material:
    """Everything that fits need, in arrays; called with a fit as JSON, as executors do.

    Args:
        truths: key of a target -> (k,) values, higher is better.
        rows: key of a target -> (k,) rows of the encodings.
        datasets: key of a target -> what it was measured on.
        per_cent: keys of targets that are read in per cent.
        encodings: (names, dataset) -> what predictors see; an empty dataset stands for all.
        sizes: (name of a baseline, dataset) -> values, higher is better; likewise.
        proxies: dataset -> (k, rows) values of proxies and sizes to choose the best one of.
        test: architectures to predict; None for all others.
        split: see ``split_rows``.
        level: share of values that conformal intervals should hold; 0 for none.
    """

    truths: Mapping[str, Array]
    rows: Mapping[str, IntArray]
    datasets: Mapping[str, str]
    per_cent: frozenset[str]
    encodings: Mapping[tuple[str, str], Encodings]
    sizes: Mapping[tuple[str, str], Array]
    proxies: Mapping[str, Array]
    test: int | None
    split: str
    level: float

    def __call__(self, payload: Json) -> dict[str, float | None]:
        """The figures of a fit; None for what is undefined.

        Raises:
            ForetellError: the predictor cannot learn from this.
        """
        found = self.figures(Fit(**payload))
        return {name: v if math.isfinite(v) else None for name, v in found.items()}

    def figures(self, fit: Fit) -> dict[str, float]:
        """The figures of a fit, by the names of ``METRICS``, and how many were predicted."""
        rows, truth = self.rows[fit.target], self.truths[fit.target]
        learn, ask = split_rows(len(rows), fit.size, self.test, fit.seed, self.split)
        y, t = truth[learn], truth[ask]
        found = dict.fromkeys(METRICS, math.nan)
        if fit.encodings:
            encodings = _of(self.encodings, fit.encodings, self.datasets[fit.target])
            p = self._predictor(fit, encodings, rows[learn], y, rows[ask], t, found)
            found |= _errors(p, t, 100.0 if fit.target in self.per_cent else 1.0)
        else:
            p = self._baseline(fit, rows[learn], y, rows[ask], found)
        found["kendall"] = float(kendall(p, t))
        found["spearman"] = float(spearman(p, t))
        found["pearson"] = float(pearson(p, t))
        found["precision_at_10"] = precision_at_k(p, t, _K)
        found["regret_at_10"] = top_k_regret(p, t, _K)
        return {**found, "test": float(len(t))}

    def _predictor(
        self,
        fit: Fit,
        encodings: Encodings,
        learn: IntArray,
        y: Array,
        ask: IntArray,
        t: Array,
        found: dict[str, float],
    ) -> Array:
        """Predictions of a fitted model; its times and intervals go into ``found``."""
        make = seeded(fit.predictor, fit.seed)
        seen, unseen = encodings.take(learn), encodings.take(ask)
        _warm_up(fit.predictor)
        start = time.process_time()
        model = make().fit(seen, y)
        fitted = time.process_time()
        mean = model.predict(unseen).mean
        found["query_seconds"] = 1000 * (time.process_time() - fitted) / len(ask)
        found["fit_seconds"] = fitted - start
        if self.level and math.ceil((len(y) + 1) * self.level) <= len(y):
            conformal = Conformal(make, level=self.level, seed=fit.seed)
            within = conformal.fit(seen, y, fitted=model).predict(unseen)
            found["coverage"] = float(coverage(within.low, within.high, t))
            found["width"] = float(sharpness(within.low, within.high))
        return mean

    def _baseline(
        self, fit: Fit, learn: IntArray, y: Array, ask: IntArray, found: dict[str, float]
    ) -> Array:
        """The values of a size, or of the proxy that orders the train set best."""
        dataset = self.datasets[fit.target]
        start = time.process_time()
        if fit.predictor == BEST_PROXY:
            each = self.proxies[dataset]
            taus = [float(kendall(values[learn], y)) for values in each]
            values = each[int(np.argmax(np.nan_to_num(taus, nan=-2.0)))]
        else:
            values = _of(self.sizes, fit.predictor, dataset)
        found["fit_seconds"] = time.process_time() - start
        found["query_seconds"] = 0.0
        return np.asarray(values[ask])


def _of(values: Mapping[tuple[str, str], T], name: str, dataset: str) -> T:
    return values[name, dataset] if (name, dataset) in values else values[name, ""]


@lru_cache
def _warm_up(name: str) -> None:
    """Load what a predictor loads late, so that the first fit pays for no imports."""
    table = EncodingTable(("a", "b"), np.random.default_rng(0).normal(size=(8, 2)))
    few = Encodings({"few": table})
    with contextlib.suppress(
        Exception
    ):  # one that needs other encodings fails later, with its reason
        seeded(name, 0)().fit(few, np.arange(8.0)).predict(few)


def _errors(p: Array, t: Array, read: float) -> dict[str, float]:
    """How far predictions are off, in the unit of the truth."""
    return {
        "r2": float(r2(p, t)),
        "mae": float(mae(p, t)),
        "rmse": float(rmse(p, t)),
        "sparse_kendall_2": float(sparse_kendall(read * p, read * t, 2)),
        "sparse_kendall_1": float(sparse_kendall(read * p, read * t, 1)),
    }
