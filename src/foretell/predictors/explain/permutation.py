"""Permutation importance of families of columns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError
from foretell.metrics import Correlation, kendall
from foretell.predictors._base import Predictor
from foretell.predictors.shared.folds import folds
from foretell.types import Array, IntArray

__all__ = ["Importance", "permutation_importance"]


@dataclass(frozen=True)
class Importance:
    """Permutation importance of each family.

    Args:
        families: names.
        drops: (repeats, families) Kendall's tau minus that with the family's columns permuted.
        kendall: tau of held-out predictions and measured values, without permutation.
    """

    families: tuple[str, ...]
    drops: Array
    kendall: Correlation

    @property
    def mean(self) -> Array:
        """Mean drop, (families,)."""
        return np.asarray(self.drops.mean(axis=0))

    @property
    def std(self) -> Array:
        """Standard deviation of the drop over repeats, (families,)."""
        return np.asarray(self.drops.std(axis=0))

    def only(self, names: Sequence[str]) -> "Importance":
        """The importance of some families."""
        indices = [self.families.index(name) for name in names]
        return Importance(tuple(names), self.drops[:, indices], self.kendall)

    def order(self) -> IntArray:
        """Indices of the families, the largest drop first."""
        return np.argsort(-self.mean, kind="stable")


def permutation_importance(
    make: Callable[[], Predictor],
    encodings: Encodings,
    y: Array,
    groups: Mapping[str, IntArray],
    rng: Generator,
    *,
    count: int = 5,
    repeats: int = 5,
) -> Importance:
    """Drop of Kendall's tau on held-out architectures when a family of columns is permuted.

    Each labelled architecture is predicted by a model that was fitted without its fold, once with
    its own columns and then with those of a family taken from another labelled architecture; all
    columns of a family come from the same one. A family that is redundant given the others has a
    small drop, however much the model uses it.

    Reference: Breiman, Random Forests, Machine Learning 2001, section 10. Differs: families instead
    of columns, folds instead of out-of-bag rows, Kendall's tau instead of the error.

    Args:
        make: factory of the predictor.
        encodings: of the labelled architectures.
        y: (n,) their values.
        groups: name of a family -> indices of its columns in ``encodings.matrix()``.
        rng: of folds and permutations.
        count: number of folds.
        repeats: permutations of each family.

    Raises:
        PredictorError: there are fewer than two labelled architectures, or no repeat.
    """
    n = len(y)
    if n < 2 or repeats < 1:
        raise PredictorError(
            f"Permutation importance needs two measured architectures and one repeat or more, but "
            f"got {n} and {repeats}."
        )
    others = np.stack([[rng.permutation(n) for _ in groups] for _ in range(repeats)])
    plain, changed = np.empty(n), np.empty((repeats, len(groups), n))
    for fit, out in folds(n, count, rng):
        model = make().fit(encodings.take(fit), y[fit])
        plain[out] = model.predict(encodings.take(out)).mean
        for g, columns in enumerate(groups.values()):
            donors = others[:, g, out].ravel()
            mixed = _mix(encodings.take(np.tile(out, repeats)), encodings.take(donors), columns)
            changed[:, g, out] = model.predict(mixed).mean.reshape(repeats, len(out))
    whole = kendall(plain, y)
    taus = np.array([[float(kendall(z, y)) for z in row] for row in changed])
    taus = np.where(np.isnan(taus), 0.0, taus)  # constant predictions have no rank correlation
    base = whole.value if np.isfinite(whole.value) else 0.0
    return Importance(tuple(groups), base - taus.reshape(repeats, len(groups)), whole)


def _mix(encodings: Encodings, donors: Encodings, columns: IntArray) -> Encodings:
    """The same rows with some columns taken from others."""
    mixed, start = {}, 0
    for name, table in encodings.tables.items():
        own = columns[(columns >= start) & (columns < start + len(table.names))] - start
        values = table.values.copy()
        values[:, own] = donors.tables[name].values[:, own]
        mixed[name] = EncodingTable(table.names, values)
        start += len(table.names)
    return Encodings(mixed, encodings.identity, encodings.scales)
