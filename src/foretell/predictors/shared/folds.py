"""Predictions for the labelled architectures themselves, each by a model that has not seen it."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from foretell.encodings import Encodings
from foretell.predictors._base import Prediction, Predictor
from foretell.types import Array, IntArray

__all__ = ["folds", "held_out"]


def folds(n: int, count: int, rng: Generator) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows to fit on and rows held out, ``count`` times; every row is held out once.

    Args:
        n: labelled architectures.
        count: folds; at most n.
        rng: of the shuffle.
    """
    parts = np.array_split(rng.permutation(n), min(count, n))
    for part in parts:
        out = np.sort(part)
        yield np.setdiff1d(np.arange(n), out), out


def held_out(
    make: Callable[[], Predictor], encodings: Encodings, y: Array, count: int, rng: Generator
) -> Prediction:
    """Each architecture as predicted by a model that was fitted without its fold.

    Args:
        make: a new predictor.
        encodings: of the labelled architectures.
        y: (n,) their values.
        count: folds.
        rng: of the shuffle.

    Returns:
        Mean (n,), and std if the predictor gives one.
    """
    mean, std = np.empty(len(y)), np.full(len(y), np.nan)
    for fit, out in folds(len(y), count, rng):
        found = make().fit(encodings.take(fit), y[fit]).predict(encodings.take(out))
        mean[out] = found.mean
        if found.std is not None:
            std[out] = found.std
    return Prediction(mean, None if np.isnan(std).any() else std)
