"""What an evaluation of proxies finds: frozen tables, one axis each for populations and targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foretell.studies.evaluation.facts import OWN, ProxyInfo, TargetInfo
from foretell.types import Array, IntArray

__all__ = ["ProxyEvaluation"]


@dataclass(frozen=True)
class ProxyEvaluation:
    """How well proxies order the networks of a table.

    Arrays have the axes (populations, proxies, targets); those that are about no proxy have
    (populations, targets).

    Args:
        benchmark: name of the table.
        space: of its architectures; empty if it is not known here.
        n: architectures looked at.
        total: architectures in the table.
        kind: of the correlation.
        samples: resamples of the bootstrap; 0 for none.
        level: the share between the ends of the intervals.
        seed: of the resamples and of the sample of architectures.
        intervals: one sentence on how the intervals were made.
        skeleton: what the closed-form costs were computed for; empty if there are none.
        data: what own proxies were computed on; empty if there are none.
        targets: the truths.
        proxies: the proxies.
        populations: names, the widest first.
        sizes: members whose truth is known.
        value: coefficients; NaN where undefined or where the proxy has no values for the dataset.
        low: lower ends.
        high: upper ends.
        pairs: pairs of values behind each coefficient.
        between_runs: coefficient between two training runs of the same networks; NaN without two,
            and among the best, which are chosen by those runs.
        between_runs_pairs: networks with two runs.
        favourite: row of the first architecture that the proxy ranks first; -1 for none.
        ties: how many it ranks first.
        found: their mean truth.
        regret: what the population's best is better by, in the target's unit, >= 0.
        rank: 1 + how many of the population are better than ``found``.
        texts: of the architectures, which ``favourite`` points into.
        notes: what could not be done, and why.
        command: what repeats it; empty if nothing was written.
    """

    benchmark: str
    space: str
    n: int
    total: int
    kind: str
    samples: int
    level: float
    seed: int
    intervals: str
    skeleton: str
    data: str
    targets: tuple[TargetInfo, ...]
    proxies: tuple[ProxyInfo, ...]
    populations: tuple[str, ...]
    sizes: IntArray
    value: Array
    low: Array
    high: Array
    pairs: IntArray
    between_runs: Array
    between_runs_pairs: IntArray
    favourite: IntArray
    ties: IntArray
    found: Array
    regret: Array
    rank: IntArray
    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()
    command: str = ""

    def tables(self) -> dict[str, Mapping[str, Sequence[object]]]:
        """Correlations, what choosing by each proxy gives, the truths and the proxies."""
        return {
            "correlations": self.correlations(),
            "choices": self.favourites(),
            "targets": self._truths(),
            "proxies": self._proxies(),
        }

    def order(self, population: int = 0, target: int = 0) -> NDArray[np.int64]:
        """Places of the proxies, the highest coefficient first, undefined ones last."""
        return np.argsort(-self.value[population, :, target], kind="stable")

    def correlations(self) -> dict[str, Sequence[object]]:
        """One row for each population, target and proxy, as named columns."""
        rows = list(np.ndindex(self.value.shape))
        targets = [self.targets[t] for _, _, t in rows]
        return {
            "population": [self.populations[k] for k, _, _ in rows],
            "target": [t.key for t in targets],
            "proxy": [self.proxies[p].name for _, p, _ in rows],
            "source": [self.proxies[p].source for _, p, _ in rows],
            self.kind: self.value.ravel().tolist(),
            "low": self.low.ravel().tolist(),
            "high": self.high.ravel().tolist(),
            "n": self.pairs.ravel().tolist(),
            "population_size": [int(self.sizes[k, t]) for k, _, t in rows],
            "missing": [
                self.proxies[p].missing.get(self.targets[t].dataset, self.n) for _, p, t in rows
            ],
            "runs": ["-".join(map(str, sorted(set(t.runs)))) for t in targets],
            "epochs": [t.epochs for t in targets],
            "bootstrap": [self.samples] * len(rows),
            "seed": [self.seed] * len(rows),
            "data": [self.data if self.proxies[p].source == OWN else "" for _, p, _ in rows],
        }

    def favourites(self) -> dict[str, Sequence[object]]:
        """What choosing by each proxy gives: one row for each population, target and proxy."""
        rows = [i for i in np.ndindex(self.value.shape) if self.favourite[i] >= 0]
        return {
            "population": [self.populations[k] for k, _, _ in rows],
            "target": [self.targets[t].key for _, _, t in rows],
            "proxy": [self.proxies[p].name for _, p, _ in rows],
            "source": [self.proxies[p].source for _, p, _ in rows],
            "arch": [self.texts[int(self.favourite[i])] for i in rows],
            "ties": [int(self.ties[i]) for i in rows],
            "value": [float(self.found[i]) for i in rows],
            "regret": [float(self.regret[i]) for i in rows],
            "rank": [int(self.rank[i]) for i in rows],
            "population_size": [int(self.sizes[k, t]) for k, _, t in rows],
        }

    def _truths(self) -> dict[str, Sequence[object]]:
        """One row for each target and population, with its seed-to-seed coefficient."""
        rows = [
            (t, k, target, population)
            for t, target in enumerate(self.targets)
            for k, population in enumerate(self.populations)
        ]
        return {
            "target": [target.key for _, _, target, _ in rows],
            "population": [population for _, _, _, population in rows],
            "n": [int(self.sizes[k, t]) for t, k, _, _ in rows],
            "epochs": [target.epochs for _, _, target, _ in rows],
            "runs": ["-".join(map(str, sorted(set(target.runs)))) for _, _, target, _ in rows],
            "lower_is_better": [target.turned for _, _, target, _ in rows],
            "optimum": [target.optimum for _, _, target, _ in rows],
            "best": [target.best for _, _, target, _ in rows],
            "between_runs": [float(self.between_runs[k, t]) for t, k, _, _ in rows],
            "between_runs_n": [int(self.between_runs_pairs[k, t]) for t, k, _, _ in rows],
        }

    def _proxies(self) -> dict[str, Sequence[object]]:
        """One row for each proxy and dataset of the targets."""
        datasets = tuple(dict.fromkeys(t.dataset for t in self.targets))
        rows = [(p, d) for p in self.proxies for d in datasets]
        return {
            "proxy": [p.name for p, _ in rows],
            "source": [p.source for p, _ in rows],
            "dataset": [d for _, d in rows],
            "missing": [p.missing.get(d, self.n) for p, d in rows],
            "networks": [self.n] * len(rows),
            "seconds": [p.seconds for p, _ in rows],
        }
