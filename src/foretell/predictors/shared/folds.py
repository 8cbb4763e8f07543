"""K-fold cross-validation."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from foretell.encodings import Encodings
from foretell.predictors._base import Prediction, Predictor
from foretell.types import Array, IntArray

__all__ = ["folds", "held_out"]


def folds(n: int, count: int, rng: Generator) -> Iterator[tuple[IntArray, IntArray]]:
    """Training and validation rows of each fold; every row is in one validation part.

    Args:
        n: labelled architectures.
        count: number of folds; at most n.
        rng: of the shuffle.
    """
    parts = np.array_split(rng.permutation(n), min(count, n))
    for part in parts:
        val_idx = np.sort(part)
        yield np.setdiff1d(np.arange(n), val_idx), val_idx


def held_out(
    make: Callable[[], Predictor], encodings: Encodings, y: Array, count: int, rng: Generator
) -> Prediction:
    """Cross-validated predictions: each architecture by a model that was fitted without its fold.

    Args:
        make: factory of the predictor.
        encodings: of the labelled architectures.
        y: (n,) their values.
        count: number of folds.
        rng: of the shuffle.

    Returns:
        Mean (n,), and std if the predictor gives one.
    """
    mean, std = np.empty(len(y)), np.full(len(y), np.nan)
    for train_idx, val_idx in folds(len(y), count, rng):
        prediction = (
            make().fit(encodings.take(train_idx), y[train_idx]).predict(encodings.take(val_idx))
        )
        mean[val_idx] = prediction.mean
        if prediction.std is not None:
            std[val_idx] = prediction.std
    return Prediction(mean, None if np.isnan(std).any() else std)
