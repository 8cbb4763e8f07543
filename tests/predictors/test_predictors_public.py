"""The public contract, kept by predictors of the package."""

import pytest

from foretell.testing.predictors import PredictorContract


class TestRegistered(PredictorContract):
    @pytest.fixture(params=["gp", "linear", "bayes_linear"])
    def predictor(self, request):
        return request.param
