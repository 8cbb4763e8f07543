"""Contributions of families of columns to predictions: TreeSHAP, summed by family."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.metrics import Correlation, Estimate, kendall, r2
from foretell.predictors._base import Predictor
from foretell.predictors.shared.folds import held_out
from foretell.predictors.trees import LightGBM
from foretell.types import Array, IntArray

__all__ = ["Contributions", "Fidelity", "contributions"]

_FOLDS = 5
_FAITHFUL_R2, _FAITHFUL_KENDALL = 0.8, 0.7


@dataclass(frozen=True)
class Fidelity:
    """How well a surrogate of boosted trees reproduces the predictor that it explains.

    Args:
        r2: of the surrogate's and the predictor's predictions, on held-out rows.
        kendall: Kendall's tau of the same.
    """

    r2: Estimate
    kendall: Correlation

    @property
    def low(self) -> bool:
        """Whether the surrogate is too inaccurate for its explanation to be trusted."""
        good = self.r2.value >= _FAITHFUL_R2 and self.kendall.value >= _FAITHFUL_KENDALL
        return not good  # also where they are not defined

    def sentence(self) -> str:
        """A sentence on how far the contributions can be trusted."""
        text = (
            f"Contributions are those of boosted trees that were fitted to the predictor's own "
            f"predictions; on {self.kendall.n:,} rows held out they repeat them with R2 "
            f"{self.r2.value:.3f} and Kendall's tau {self.kendall.value:.3f}."
        )
        if self.low:
            text += " That is little: they may explain the trees more than the predictor."
        return text


@dataclass(frozen=True)
class Contributions:
    """Additive explanations of predictions: a base value and the contribution of each family.

    Args:
        families: names.
        base: mean prediction of the trees over their training rows.
        values: (n, families) in the unit of the predictions.
        predicted: (n,) predictions of the explained predictor.
        fidelity: of the surrogate that was explained in its place; None where the predictor gives
            contributions itself, so that rows sum to its predictions.
    """

    families: tuple[str, ...]
    base: float
    values: Array
    predicted: Array
    fidelity: Fidelity | None = None

    @property
    def rest(self) -> Array:
        """Part of each prediction that is not explained, (n,)."""
        return np.asarray(self.predicted - self.base - self.values.sum(axis=1))

    @property
    def size(self) -> Array:
        """Mean absolute contribution of each family, (families,)."""
        return np.asarray(np.abs(self.values).mean(axis=0))

    def take(self, rows: IntArray) -> "Contributions":
        """Those of some architectures, in the order of ``rows``."""
        return replace(self, values=self.values[rows], predicted=self.predicted[rows])

    def order(self) -> IntArray:
        """Indices of the families, the largest mean contribution first."""
        return np.argsort(-self.size, kind="stable")


def contributions(
    predictor: Predictor,
    encodings: Encodings,
    groups: Mapping[str, IntArray],
    *,
    seed: int = 0,
    copy: Callable[[], Predictor] | None = None,
) -> Contributions:
    """Contribution of each family of columns to the predictions.

    Boosted trees are explained directly, any other predictor through a surrogate: boosted trees
    fitted to its predictions for all rows.

    Reference: Lundberg et al., Nature Machine Intelligence 2020 (TreeSHAP, path-dependent), as
    LightGBM and XGBoost compute it; the sum over the columns of a family is ours. Correlated
    columns share their contribution arbitrarily; within a family that does not matter.

    Args:
        predictor: fitted.
        encodings: of n architectures.
        groups: name of a family -> indices of its columns; together every column once.
        seed: of the surrogate and its folds.
        copy: factory of the surrogate; by default LightGBM.

    Raises:
        PredictorError: the groups do not hold every column once.
        MissingExtraError: the surrogate needs lightgbm, which is not installed.
    """
    indices = np.concatenate(list(groups.values())) if groups else np.empty(0, dtype=np.int64)
    if sorted(indices.tolist()) != list(range(len(encodings.names))):
        raise PredictorError(
            f"Expected every one of {len(encodings.names)} columns in one family, but got "
            f"{len(indices)} indices: use foretell.predictors.explain.families."
        )
    predicted = predictor.predict(encodings).mean
    each = predictor.contributions(encodings)
    fidelity = None
    if each is None:
        make = copy or (lambda: LightGBM(trees=300, normal_target=False, seed=seed))
        rng = np.random.default_rng(seed)
        out = held_out(make, encodings, predicted, _FOLDS, rng)
        fidelity = Fidelity(r2(out.mean, predicted), kendall(out.mean, predicted))
        each = make().fit(encodings, predicted).contributions(encodings)
        if each is None:
            raise PredictorError("The surrogate gives no contributions: use LightGBM or XGBoost.")
    values = np.stack([each[:, columns].sum(axis=1) for columns in groups.values()], axis=1)
    base = float(each[:, -1].mean())
    return Contributions(tuple(groups), base, values, predicted, fidelity)
