"""What each family of columns adds to each prediction: TreeSHAP, summed by family."""

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
    """How well a copy of trees repeats the predictor that it stands for.

    Args:
        r2: of the copy's predictions for the predictor's, on rows that it was not fitted on.
        kendall: the same as Kendall's tau.
    """

    r2: Estimate
    kendall: Correlation

    @property
    def low(self) -> bool:
        """Whether the copy differs so much that its explanation may be of something else."""
        good = self.r2.value >= _FAITHFUL_R2 and self.kendall.value >= _FAITHFUL_KENDALL
        return not good  # also where they are not defined

    def sentence(self) -> str:
        """What to know before believing the contributions."""
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
    """Predictions as sums: the base and what each family adds.

    Args:
        families: names.
        base: what the trees predict on average over what they were fitted on.
        values: (n, families) in the unit of the predictions.
        predicted: (n,) by the predictor that is explained.
        fidelity: of the copy that was explained in its place; None where the predictor gives
            contributions itself, so that rows sum to its predictions.
    """

    families: tuple[str, ...]
    base: float
    values: Array
    predicted: Array
    fidelity: Fidelity | None = None

    @property
    def rest(self) -> Array:
        """What of each prediction the sum leaves open, (n,)."""
        return np.asarray(self.predicted - self.base - self.values.sum(axis=1))

    @property
    def size(self) -> Array:
        """Mean absolute contribution of each family, (families,)."""
        return np.asarray(np.abs(self.values).mean(axis=0))

    def take(self, rows: IntArray) -> "Contributions":
        """Those of some architectures, in the order of ``rows``."""
        return replace(self, values=self.values[rows], predicted=self.predicted[rows])

    def order(self) -> IntArray:
        """Places of the families, the largest mean contribution first."""
        return np.argsort(-self.size, kind="stable")


def contributions(
    predictor: Predictor,
    encodings: Encodings,
    groups: Mapping[str, IntArray],
    *,
    seed: int = 0,
    copy: Callable[[], Predictor] | None = None,
) -> Contributions:
    """What each family of columns adds to the predictions.

    Boosted trees are explained directly; of any other predictor a copy is made: boosted trees,
    fitted to what it predicts for all rows.

    Reference: Lundberg et al., Nature Machine Intelligence 2020 (TreeSHAP, path-dependent), as
    LightGBM and XGBoost compute it; the sum over columns of a family is ours. Columns that say the
    same share what they add at random; inside a family that does not matter.

    Args:
        predictor: fitted.
        encodings: all architectures at hand, n of them.
        groups: name of a family -> places of its columns; together all columns, once.
        seed: of the copy and its folds.
        copy: makes the trees that are fitted to the predictions; by default LightGBM.

    Raises:
        PredictorError: the groups are not all columns, once.
        MissingExtraError: the copy needs lightgbm, which is not installed.
    """
    places = np.concatenate(list(groups.values())) if groups else np.empty(0, dtype=np.int64)
    if sorted(places.tolist()) != list(range(len(encodings.names))):
        raise PredictorError(
            f"Expected every one of {len(encodings.names)} columns in one family, but got "
            f"{len(places)} places: use foretell.predictors.explain.families."
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
            raise PredictorError("The copy gives no contributions: use LightGBM or XGBoost.")
    values = np.stack([each[:, columns].sum(axis=1) for columns in groups.values()], axis=1)
    base = float(each[:, -1].mean())
    return Contributions(tuple(groups), base, values, predicted, fidelity)
