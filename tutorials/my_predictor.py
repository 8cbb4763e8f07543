"""A predictor of your own, in one file.

    foretell evaluate predictors digits-nb201 --predictor tutorials/my_predictor.py:Nearest
    foretell predict measured.csv --predictor tutorials/my_predictor.py:Nearest --encoding onehot

A predictor follows scikit-learn: the constructor only stores options, ``_fit`` leaves attributes
that end in an underscore, and ``fit`` and ``predict`` of the base class have checked everything.
"""

import numpy as np

from foretell.encodings import Encodings
from foretell.predictors import Prediction, Predictor, predictors
from foretell.types import Array


@predictors.add("nearest", family="neighbors", reference="this tutorial")
class Nearest(Predictor):
    """The mean over the nearest labelled architectures, and their standard deviation."""

    def __init__(self, k: int = 5) -> None:
        self.k = k

    def _fit(self, encodings: Encodings, y: Array) -> None:
        self.scales_, self.x_, self.y_ = encodings.scales, encodings.scaled(), y

    def _predict(self, encodings: Encodings) -> Prediction:
        x = encodings.scaled(self.scales_)
        distance = ((x[:, None, :] - self.x_[None, :, :]) ** 2).sum(axis=2)
        near = self.y_[np.argsort(distance, axis=1, kind="stable")[:, : self.k]]
        return Prediction(near.mean(axis=1), near.std(axis=1))
