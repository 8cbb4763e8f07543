"""Ensembles of decision trees; they need the extra ``trees``."""

from typing import Any, ClassVar

import numpy as np

from foretell.errors import MissingExtraError
from foretell.features import Inputs
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.types import Array

__all__ = ["ExtraTrees", "LightGBM", "RandomForest", "XGBoost"]


def _sklearn_ensemble(name: str) -> Any:
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "trees", f"The predictor {name}") from error
    return sklearn.ensemble


class _Forest(Predictor):
    """Averages of trees that were grown apart; their disagreement is the uncertainty."""

    estimator: ClassVar[str]
    """Its class in ``sklearn.ensemble``."""

    def __init__(
        self, trees: int, max_features: float, least_in_leaf: int, bootstrap: bool, seed: int
    ) -> None:
        """Store the options."""
        self.trees, self.max_features, self.seed = trees, max_features, seed
        self.least_in_leaf, self.bootstrap = least_in_leaf, bootstrap

    def _fit(self, inputs: Inputs, y: Array) -> None:
        make = getattr(_sklearn_ensemble(type(self).__name__), self.estimator)
        forest = make(
            self.trees,
            max_features=self.max_features,
            min_samples_leaf=self.least_in_leaf,
            bootstrap=self.bootstrap,
            random_state=self.seed,
        )
        self.forest_ = forest.fit(inputs.matrix(), y)

    def _predict(self, inputs: Inputs) -> Prediction:
        x = inputs.matrix().astype(np.float32)
        each = np.stack([tree.predict(x) for tree in self.forest_.estimators_])
        return Prediction(each.mean(axis=0), each.std(axis=0))


@predictors.add(
    "random_forest", family="trees", extra="trees", reference="Breiman, Random Forests, 2001"
)
class RandomForest(_Forest):
    """Trees that see some of the columns at each split.

    By default all trees see all labelled architectures and differ by their columns alone, which
    here predicts better than resamples do and takes half the time. GRAF's study has scikit-learn's
    defaults: ``max_features=1.0, least_in_leaf=1, bootstrap=True``.

    Args:
        trees: how many.
        max_features: share of the columns that a split chooses from.
        least_in_leaf: labelled architectures in a leaf, at least.
        bootstrap: whether each tree learns from a resample.
        seed: of resamples and columns.
    """

    estimator = "RandomForestRegressor"

    def __init__(
        self,
        trees: int = 100,
        max_features: float = 1 / 3,
        least_in_leaf: int = 2,
        bootstrap: bool = False,
        seed: int = 42,
    ) -> None:
        """Store the options."""
        super().__init__(trees, max_features, least_in_leaf, bootstrap, seed)


@predictors.add(
    "extra_trees",
    family="trees",
    extra="trees",
    reference="Geurts et al., Extremely Randomized Trees, Machine Learning 2006",
)
class ExtraTrees(_Forest):
    """Trees with random thresholds on all labelled architectures.

    Args:
        trees: how many.
        max_features: share of the columns that a split chooses from.
        seed: of columns and thresholds.
    """

    estimator = "ExtraTreesRegressor"

    def __init__(self, trees: int = 100, max_features: float = 0.5, seed: int = 42) -> None:
        """Store the options."""
        super().__init__(trees, max_features, 1, False, seed)


@predictors.add(
    "lightgbm", family="trees", extra="trees", reference="Ke et al., LightGBM, NeurIPS 2017"
)
class LightGBM(Predictor):
    """Boosted trees, grown leaf by leaf.

    Args:
        trees: how many.
        lr: what each adds.
        leaves: of each, at most.
        least_in_leaf: labelled architectures in a leaf, at least.
        seed: of rows and columns.
    """

    def __init__(
        self,
        trees: int = 200,
        lr: float = 0.05,
        leaves: int = 15,
        least_in_leaf: int = 3,
        seed: int = 42,
    ) -> None:
        """Store the options."""
        self.trees, self.lr, self.leaves = trees, lr, leaves
        self.least_in_leaf, self.seed = least_in_leaf, seed

    def _fit(self, inputs: Inputs, y: Array) -> None:
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError("lightgbm", "trees", "The predictor lightgbm") from error
        options = {
            "objective": "regression",
            "learning_rate": self.lr,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.least_in_leaf,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.5,
            "seed": self.seed,
            "deterministic": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(inputs.matrix(), y)
        self.booster_ = lightgbm.train(options, data, num_boost_round=self.trees)

    def _predict(self, inputs: Inputs) -> Prediction:
        return Prediction(np.asarray(self.booster_.predict(inputs.matrix()), dtype=np.float64))

    def _contributions(self, inputs: Inputs) -> Array:
        found = self.booster_.predict(inputs.matrix(), pred_contrib=True)
        return np.asarray(found, dtype=np.float64)


@predictors.add(
    "xgboost", family="trees", extra="trees", reference="Chen and Guestrin, XGBoost, KDD 2016"
)
class XGBoost(Predictor):
    """Boosted trees, grown level by level.

    Args:
        trees: how many.
        lr: what each adds.
        depth: of each.
        seed: of rows and columns.
    """

    def __init__(self, trees: int = 100, lr: float = 0.3, depth: int = 6, seed: int = 42) -> None:
        """Store the options; the defaults are the library's own."""
        self.trees, self.lr, self.depth, self.seed = trees, lr, depth, seed

    def _fit(self, inputs: Inputs, y: Array) -> None:
        try:
            import xgboost
        except ImportError as error:
            raise MissingExtraError("xgboost-cpu", "trees", "The predictor xgboost") from error
        options = {"eta": self.lr, "max_depth": self.depth, "seed": self.seed, "nthread": 1}
        self.booster_ = xgboost.train(options, xgboost.DMatrix(inputs.matrix(), y), self.trees)

    def _predict(self, inputs: Inputs) -> Prediction:
        import xgboost

        found = self.booster_.predict(xgboost.DMatrix(inputs.matrix()))
        return Prediction(np.asarray(found, dtype=np.float64))

    def _contributions(self, inputs: Inputs) -> Array:
        import xgboost

        found = self.booster_.predict(xgboost.DMatrix(inputs.matrix()), pred_contribs=True)
        return np.asarray(found, dtype=np.float64)
