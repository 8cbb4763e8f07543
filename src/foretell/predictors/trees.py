"""Ensembles of decision trees; they need the extra ``trees``."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from foretell.encodings import Encodings
from foretell.errors import MissingExtraError
from foretell.predictors._base import Prediction, Predictor, predictors
from foretell.predictors.shared.targets import NormalTarget
from foretell.types import Array

__all__ = ["ExtraTrees", "LightGBM", "RandomForest", "XGBoost"]


_NEAR = 1e-6
"""Minimum difference of quantiles in the slope between two of them."""


def _sklearn_ensemble(name: str) -> Any:
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise MissingExtraError("scikit-learn", "trees", f"The predictor {name}") from error
    return sklearn.ensemble


class _Trees(Predictor):
    """Trees fitted to values or to their normal quantiles.

    With squared errors, shallow boosted trees spend their splits on the tail of bad networks; in
    quantiles all networks have equal weight. Forests and deep trees isolate the tail by themselves,
    and predict better from the values.
    """

    normal_target: bool

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.target_ = NormalTarget.of(y) if self.normal_target else None
        self._fit_trees(
            encodings.matrix(), y if self.target_ is None else self.target_.transform(y)
        )

    def _predict(self, encodings: Encodings) -> Prediction:
        z, std = self._predict_trees(encodings.matrix())
        if self.target_ is None:
            return Prediction(z, std)
        return Prediction(
            self.target_.inverse_transform(z),
            None if std is None else self.target_.inverse_std(z, std),
        )

    def _contributions(self, encodings: Encodings) -> Array | None:
        shares = self._shares(encodings.matrix())
        if shares is None or self.target_ is None:
            return shares
        return _in_values(shares, self.target_)

    @abstractmethod
    def _fit_trees(self, x: Array, z: Array) -> None:
        """Fit to values or quantiles (n,) of columns (n, d)."""

    @abstractmethod
    def _predict_trees(self, x: Array) -> tuple[Array, Array | None]:
        """Predicted values or quantiles, and their standard deviations, if there are any."""

    def _shares(self, x: Array) -> Array | None:
        """Contribution of each column to values or quantiles, the base last."""
        return None


def _in_values(shares: Array, target: NormalTarget) -> Array:
    """Contributions to quantiles, rescaled to contributions to values.

    Each row is scaled by the slope of the line from the base to the prediction, so that rows sum to
    predicted values and contributions keep their proportions.
    """
    base = shares[:, -1]
    z = shares.sum(axis=1)
    apart = np.where(np.abs(z - base) > _NEAR, z - base, _NEAR)
    slope = (target.inverse_transform(base + apart) - target.inverse_transform(base)) / apart
    contributions = shares * slope[:, None]
    contributions[:, -1] = target.inverse_transform(base)
    return np.asarray(contributions)


class _Forest(_Trees):
    """Averages of independently grown trees; their standard deviation is the uncertainty."""

    estimator: ClassVar[str]
    """Its class in ``sklearn.ensemble``."""

    def __init__(
        self,
        trees: int,
        max_features: float,
        min_samples_leaf: int,
        bootstrap: bool,
        normal_target: bool,
        seed: int,
    ) -> None:
        """Store the options."""
        self.trees, self.max_features, self.seed = trees, max_features, seed
        self.min_samples_leaf, self.bootstrap = min_samples_leaf, bootstrap
        self.normal_target = normal_target

    def _fit_trees(self, x: Array, z: Array) -> None:
        make = getattr(_sklearn_ensemble(type(self).__name__), self.estimator)
        forest = make(
            self.trees,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            bootstrap=self.bootstrap,
            random_state=self.seed,
        )
        self.forest_ = forest.fit(x, z)

    def _predict_trees(self, x: Array) -> tuple[Array, Array | None]:
        narrow = x.astype(np.float32)
        each = np.stack([tree.predict(narrow) for tree in self.forest_.estimators_])
        return each.mean(axis=0), each.std(axis=0)


@predictors.add(
    "random_forest", family="trees", extra="trees", reference="Breiman, Random Forests, 2001"
)
class RandomForest(_Forest):
    """Random forest of bootstrapped trees with a third of the columns at each split.

    Bootstrapping averages out the noise of measured values. The GRAF study uses scikit-learn's
    defaults: ``trees=100, max_features=1.0``.

    Args:
        trees: number of trees.
        max_features: share of the columns considered at each split.
        min_samples_leaf: minimum number of labelled architectures in a leaf.
        bootstrap: whether each tree is fitted to a bootstrap sample.
        normal_target: whether to transform values to normal quantiles.
        seed: of bootstrap samples and columns.
    """

    estimator = "RandomForestRegressor"

    def __init__(
        self,
        trees: int = 80,
        max_features: float = 1 / 3,
        min_samples_leaf: int = 1,
        bootstrap: bool = True,
        normal_target: bool = False,
        seed: int = 42,
    ) -> None:
        """Store the options."""
        super().__init__(trees, max_features, min_samples_leaf, bootstrap, normal_target, seed)


@predictors.add(
    "extra_trees",
    family="trees",
    extra="trees",
    reference="Geurts et al., Extremely Randomized Trees, Machine Learning 2006",
)
class ExtraTrees(_Forest):
    """Extremely randomised trees: random thresholds, no bootstrap.

    Args:
        trees: number of trees.
        max_features: share of the columns considered at each split.
        normal_target: whether to transform values to normal quantiles.
        seed: of columns and thresholds.
    """

    estimator = "ExtraTreesRegressor"

    def __init__(
        self,
        trees: int = 100,
        max_features: float = 0.5,
        normal_target: bool = False,
        seed: int = 42,
    ) -> None:
        """Store the options."""
        super().__init__(trees, max_features, 1, False, normal_target, seed)


@predictors.add(
    "lightgbm", family="trees", extra="trees", reference="Ke et al., LightGBM, NeurIPS 2017"
)
class LightGBM(_Trees):
    """Gradient-boosted trees, grown leaf by leaf.

    Args:
        trees: number of trees.
        lr: learning rate.
        leaves: maximum number of leaves of a tree.
        min_samples_leaf: minimum number of labelled architectures in a leaf.
        normal_target: whether to transform values to normal quantiles.
        seed: of rows and columns.
    """

    def __init__(
        self,
        trees: int = 200,
        lr: float = 0.05,
        leaves: int = 15,
        min_samples_leaf: int = 3,
        normal_target: bool = True,
        seed: int = 42,
    ) -> None:
        """Store the options."""
        self.trees, self.lr, self.leaves = trees, lr, leaves
        self.min_samples_leaf, self.normal_target, self.seed = min_samples_leaf, normal_target, seed

    def _fit_trees(self, x: Array, z: Array) -> None:
        try:
            import lightgbm
        except ImportError as error:
            raise MissingExtraError("lightgbm", "trees", "The predictor lightgbm") from error
        options = {
            "objective": "regression",
            "learning_rate": self.lr,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_samples_leaf,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.5,
            "seed": self.seed,
            "deterministic": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(x, z)
        self.booster_ = lightgbm.train(options, data, num_boost_round=self.trees)

    def _predict_trees(self, x: Array) -> tuple[Array, None]:
        return np.asarray(self.booster_.predict(x), dtype=np.float64), None

    def _shares(self, x: Array) -> Array:
        return np.asarray(self.booster_.predict(x, pred_contrib=True), dtype=np.float64)


@predictors.add(
    "xgboost", family="trees", extra="trees", reference="Chen and Guestrin, XGBoost, KDD 2016"
)
class XGBoost(_Trees):
    """Gradient-boosted trees, grown level by level.

    Args:
        trees: number of trees.
        lr: learning rate.
        depth: maximum depth of a tree.
        normal_target: whether to transform values to normal quantiles.
        seed: of rows and columns.
    """

    def __init__(
        self,
        trees: int = 100,
        lr: float = 0.3,
        depth: int = 6,
        normal_target: bool = False,
        seed: int = 42,
    ) -> None:
        """Store the options; the defaults are the library's own."""
        self.trees, self.lr, self.depth, self.seed = trees, lr, depth, seed
        self.normal_target = normal_target

    def _fit_trees(self, x: Array, z: Array) -> None:
        try:
            import xgboost
        except ImportError as error:
            raise MissingExtraError("xgboost-cpu", "trees", "The predictor xgboost") from error
        options = {"eta": self.lr, "max_depth": self.depth, "seed": self.seed, "nthread": 1}
        self.booster_ = xgboost.train(options, xgboost.DMatrix(x, z), self.trees)

    def _predict_trees(self, x: Array) -> tuple[Array, None]:
        import xgboost

        return np.asarray(self.booster_.predict(xgboost.DMatrix(x)), dtype=np.float64), None

    def _shares(self, x: Array) -> Array:
        import xgboost

        contributions = self.booster_.predict(xgboost.DMatrix(x), pred_contribs=True)
        return np.asarray(contributions, dtype=np.float64)
