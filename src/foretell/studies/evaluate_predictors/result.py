"""What an evaluation of predictors finds: one array of figures, and how methods compare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foretell.metrics import ranks
from foretell.studies.evaluation.facts import TargetInfo
from foretell.types import Array, IntArray

__all__ = ["FitFailure", "Method", "PredictorEvaluation", "Spread"]


@dataclass(frozen=True)
class Method:
    """A predictor and what it sees.

    Args:
        predictor: its name; of a baseline if there are no encodings.
        encodings: names with "+" between.
    """

    predictor: str
    encodings: str = ""

    @property
    def baseline(self) -> bool:
        """Whether it learns no model."""
        return not self.encodings

    @property
    def name(self) -> str:
        """As it is printed; all methods of an evaluation have different ones."""
        return f"{self.predictor}, {self.encodings}" if self.encodings else self.predictor


@dataclass(frozen=True)
class FitFailure:
    """A fit that gave no figures.

    Args:
        target: key of what should have been predicted.
        method: place of the method.
        size: architectures to learn from.
        seed: of the split.
        state: such as "failed" or "timed_out".
        error: class of the error.
        message: its sentence.
    """

    target: str
    method: int
    size: int
    seed: int
    state: str
    error: str
    message: str


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Args:
        mean: over the seeds that gave one; NaN without any.
        std: sample standard deviation; NaN with fewer than two.
        low: lower end of the t interval of the mean; NaN with fewer than two.
        high: upper end.
        seeds: how many gave one.
    """

    mean: float
    std: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, values: Array, confidence: float) -> "Spread":
        """The spread of (seeds,) values, NaN where there is none."""
        known = values[~np.isnan(values)]
        k = len(known)
        if not k:
            return cls(np.nan, np.nan, np.nan, np.nan, 0)
        mean = float(known.mean())
        if k == 1:
            return cls(mean, np.nan, np.nan, np.nan, 1)
        from scipy.special import stdtrit

        std = float(known.std(ddof=1))
        half = float(stdtrit(k - 1, (1 + confidence) / 2)) * std / np.sqrt(k)
        return cls(mean, std, mean - half, mean + half, k)


@dataclass(frozen=True)
class PredictorEvaluation:
    """How well predictors order the networks of a table that they have not seen.

    Args:
        benchmark: name of the table.
        space: of its architectures.
        n: architectures that were drawn from.
        total: architectures in the table.
        population: which ones, in words.
        order: metric that they were sorted by; empty for the table's order.
        split: "own" or "sklearn".
        test: architectures to predict; None for all others.
        level: of the conformal intervals; 0 for none.
        confidence: of the t intervals over seeds.
        targets: what was predicted.
        methods: predictors with their encodings, baselines last.
        sizes: of the train sets, rising.
        seeds: of the splits.
        metrics: names of the figures.
        values: (metrics, targets, methods, sizes, seeds); NaN where a figure is undefined or the
            fit failed.
        tests: (targets, sizes) architectures that were predicted.
        proxies: names of the proxies that make up the scores.
        encoding_seconds: names of encodings -> CPU seconds for 1,000 networks, proxies not counted.
        failures: fits without figures.
        reused: fits that an earlier call had made.
        fits: all of them.
        notes: what could not be done, and why.
        command: what repeats it; empty if nothing was written.
    """

    benchmark: str
    space: str
    n: int
    total: int
    population: str
    order: str
    split: str
    test: int | None
    level: float
    confidence: float
    targets: tuple[TargetInfo, ...]
    methods: tuple[Method, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    values: Array
    tests: IntArray
    proxies: tuple[str, ...]
    encoding_seconds: Mapping[str, float]
    failures: tuple[FitFailure, ...]
    reused: int
    fits: int
    notes: tuple[str, ...] = ()
    command: str = ""

    def tables(self) -> dict[str, Mapping[str, Sequence[object]]]:
        """The figures by cell and by fit, and the fits without figures."""
        return {"results": self.cells(), "fits": self.each(), "failures": self._failed_fits()}

    def of(self, metric: str) -> Array:
        """The figures of one metric, (targets, methods, sizes, seeds)."""
        return np.asarray(self.values[self.metrics.index(metric)])

    def spread(self, metric: str, target: int, method: int, size: int) -> Spread:
        """A figure over the seeds; the arguments are places."""
        return Spread.of(self.of(metric)[target, method, size], self.confidence)

    def best(self, target: int, size: int) -> int:
        """Place of the method of highest mean Kendall; only one without failures, if there is any.

        The first method where none has a figure.
        """
        tau = self.of("kendall")[target, :, size]
        known = ~np.isnan(tau)
        count = known.sum(axis=1)
        mean = np.where(known, tau, 0.0).sum(axis=1) / np.maximum(count, 1)
        return int(np.argmax(np.where((count == count.max()) & (count > 0), mean, -np.inf)))

    def behind(self, target: int, method: int, size: int) -> tuple[Spread, float]:
        """How far a method is behind the best one on the same splits.

        Returns:
            Kendall of the best one less that of this one over the seeds, and the share of seeds
            in which this one is ahead, a draw counting half; NaN where none has both.
        """
        tau = self.of("kendall")[target, :, size]
        less = tau[self.best(target, size)] - tau[method]
        known = less[~np.isnan(less)]
        won = float(((known < 0) + 0.5 * (known == 0)).mean()) if len(known) else np.nan
        return Spread.of(less, self.confidence), won

    def ranks(self) -> Array:
        """Rank of each method by Kendall, 1 is best, (targets, methods, sizes): mean over seeds.

        Methods that are level share the mean of their ranks; what has no figure comes last.
        """
        tau = np.moveaxis(self.of("kendall"), 1, -1)
        low = np.where(np.isnan(tau), -np.inf, tau)
        place = 1 + ranks(-low)
        return np.asarray(np.moveaxis(place.mean(axis=2), -1, 1))

    def failed(self, target: int, method: int, size: int) -> int:
        """How many fits of a cell of the grid failed; the arguments are places."""
        key = (self.targets[target].key, method, self.sizes[size])
        return sum((f.target, f.method, f.size) == key for f in self.failures)

    def cells(self) -> dict[str, Sequence[object]]:
        """One row for each target, size and method, the best first, as named columns."""
        rows = [
            (t, m, s)
            for t in range(len(self.targets))
            for s in range(len(self.sizes))
            for m in self.by_mean(t, s)
        ]
        rank = self.ranks()
        columns: dict[str, Sequence[object]] = {
            "target": [self.targets[t].key for t, _, _ in rows],
            "train_size": [self.sizes[s] for _, _, s in rows],
            "test_size": [int(self.tests[t, s]) for t, _, s in rows],
            "predictor": [self.methods[m].predictor for _, m, _ in rows],
            "encodings": [self.methods[m].encodings for _, m, _ in rows],
            "seeds": [self.spread("kendall", *row).seeds for row in rows],
            "failed": [self.failed(*row) for row in rows],
            "mean_rank": [float(rank[row]) for row in rows],
        }
        for metric in self.metrics:
            spreads = [self.spread(metric, *row) for row in rows]
            columns[metric] = [v.mean for v in spreads]
            columns[f"{metric}_std"] = [v.std for v in spreads]
            if metric == "kendall":
                columns["kendall_low"] = [v.low for v in spreads]
                columns["kendall_high"] = [v.high for v in spreads]
                behind = [self.behind(*row) for row in rows]
                columns["behind_best"] = [v.mean for v, _ in behind]
                columns["behind_best_low"] = [v.low for v, _ in behind]
                columns["behind_best_high"] = [v.high for v, _ in behind]
                columns["seeds_won_from_best"] = [won for _, won in behind]
        return columns

    def by_mean(self, target: int, size: int) -> list[int]:
        """Places of the methods, the highest mean Kendall first, those without a figure last."""
        means = [self.spread("kendall", target, m, size).mean for m in range(len(self.methods))]
        return [int(m) for m in np.argsort(-np.array(means), kind="stable")]

    def each(self) -> dict[str, Sequence[object]]:
        """One row for each fit that gave figures, as named columns."""
        rows = [
            (t, m, s, k)
            for t, m, s, k in np.ndindex(self.values.shape[1:])
            if not np.isnan(self.values[:, t, m, s, k]).all()
        ]
        columns: dict[str, Sequence[object]] = {
            "target": [self.targets[t].key for t, _, _, _ in rows],
            "predictor": [self.methods[m].predictor for _, m, _, _ in rows],
            "encodings": [self.methods[m].encodings for _, m, _, _ in rows],
            "train_size": [self.sizes[s] for _, _, s, _ in rows],
            "seed": [self.seeds[k] for _, _, _, k in rows],
        }
        return columns | {
            metric: [float(self.values[(i, *row)]) for row in rows]
            for i, metric in enumerate(self.metrics)
        }

    def _failed_fits(self) -> dict[str, Sequence[object]]:
        """One row for each fit without figures."""
        methods = [self.methods[f.method] for f in self.failures]
        return {
            "target": [f.target for f in self.failures],
            "predictor": [m.predictor for m in methods],
            "encodings": [m.encodings for m in methods],
            "train_size": [f.size for f in self.failures],
            "seed": [f.seed for f in self.failures],
            "state": [f.state for f in self.failures],
            "error": [f.error for f in self.failures],
            "message": [f.message for f in self.failures],
        }
