"""Support vector regression on partial learning curves; it needs the extra ``trees``."""

from foretell.encodings import Encodings
from foretell.errors import PredictorError
from foretell.predictors._base import predictors
from foretell.predictors.svr import SVR
from foretell.types import Array

__all__ = ["LcSVR"]


@predictors.add(
    "lc_svr",
    family="kernel",
    extra="trees",
    needs="curve",
    reference="Baker et al., Accelerating Neural Architecture Search using Performance Prediction, "
    "ICLR 2018 workshop, section 3",
)
class LcSVR(SVR):
    """Nu-SVR from partial learning curves to final values, tuned by cross-validation.

    It sees the table ``curve`` and whatever stands beside it, such as ``scores`` and ``costs``;
    each table weighs the same. Cost, width and nu are those of the least squared error in three
    folds among a fixed number of random ones, whatever time that takes.

    Reference: Baker et al., ICLR 2018 workshop, section 3.

    Differs from automl/NASLib@072c572: fewer random choices from narrower ranges, columns that are
    scaled, seeded folds and choices, targets as normal quantiles by default.

    Args:
        trials: random configurations beside the default.
        normal_target: whether to transform values to normal quantiles.
        seed: of trials and folds.

    Fitting raises PredictorError where no table is named ``curve``, and MissingExtraError without
    scikit-learn.
    """

    def __init__(self, trials: int = 60, normal_target: bool = True, seed: int = 0) -> None:
        """Store the options."""
        super().__init__(trials=trials, normal_target=normal_target, seed=seed)

    def _fit(self, encodings: Encodings, y: Array) -> None:
        if "curve" not in encodings.tables:
            raise PredictorError(
                f"lc_svr learns from learning curves: encode 'curve', alone or beside others, "
                f"instead of {'+'.join(encodings.tables)}."
            )
        super()._fit(encodings, y)
