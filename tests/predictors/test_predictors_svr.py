"""Support vector regression against scikit-learn's on the same columns."""

import numpy as np
import pytest

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import MissingExtraError, PredictorError
from foretell.predictors import SVR

svm = pytest.importorskip("sklearn.svm")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((110, 3))
    y = np.sin(x[:, 0]) + x[:, 1] + 0.1 * rng.standard_normal(110)
    both = Encodings({"x": EncodingTable(("a", "b", "c"), x)})
    return both.take(np.arange(60)), y[:60], both.take(np.arange(60, 110)), y[60:]


@pytest.mark.parametrize(("cost", "gamma", "nu"), [(10.0, 0.3, 0.5), (1.0, 1.0, 0.2)])
def test_it_equals_scikit_learns(data, cost, gamma, nu):
    fit, y, ask, _ = data
    found = SVR(cost, gamma, nu, normal_target=False).fit(fit, y).predict(ask)
    x = fit.scaled()
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    width = gamma / np.median(square[square > 1e-9])
    reference = svm.NuSVR(C=cost, nu=nu, gamma=width, tol=1e-4).fit(x, (y - y.mean()) / y.std())
    expected = y.mean() + y.std() * reference.predict(ask.scaled())
    np.testing.assert_allclose(found.mean, expected, atol=2e-3)
    assert found.std is None


def test_its_support_vectors_are_as_many_as_the_share_asks_for(data):
    """At least the share nu of the rows support the function, and it predicts a smooth one."""
    fit, y, ask, truth = data
    for nu in (0.2, 0.6):
        model = SVR(nu=nu).fit(fit, y)
        assert len(model.machine_.support_) >= nu * len(y) - 1
    assert np.corrcoef(SVR().fit(fit, y).predict(ask).mean, truth)[0, 1] > 0.9


def test_trials_find_parameters_that_predict_better_and_repeat(data):
    fit, y, ask, truth = data
    poor = SVR(0.01, 3.0, 0.05)
    tried = SVR(0.01, 3.0, 0.05, trials=15, seed=3).fit(fit, y)
    assert tried.chosen_ != (0.01, 3.0, 0.05)
    worse = np.abs(poor.fit(fit, y).predict(ask).mean - truth).mean()
    assert np.abs(tried.predict(ask).mean - truth).mean() < worse
    assert SVR(0.01, 3.0, 0.05, trials=15, seed=3).fit(fit, y).chosen_ == tried.chosen_
    assert SVR(0.01, 3.0, 0.05, trials=15, seed=4).fit(fit, y).chosen_ != tried.chosen_


@pytest.mark.parametrize("normal_target", [False, True])
def test_predictions_follow_an_affine_change_of_the_values_and_not_the_order_of_rows(
    data, normal_target
):
    fit, y, ask, _ = data
    first = SVR(normal_target=normal_target).fit(fit, y).predict(ask).mean
    moved = SVR(normal_target=normal_target).fit(fit, 3 + 7 * y).predict(ask).mean
    np.testing.assert_allclose(moved, 3 + 7 * first, atol=2e-2)
    order = np.random.default_rng(2).permutation(len(y))
    again = SVR(normal_target=normal_target).fit(fit.take(order), y[order]).predict(ask).mean
    np.testing.assert_allclose(again, first, atol=5e-3)


@pytest.mark.parametrize("options", [{"cost": 0.0}, {"gamma": -1.0}, {"nu": 0.0}, {"nu": 1.1}])
def test_parameters_out_of_range_are_refused(data, options):
    fit, y, _, _ = data
    with pytest.raises(PredictorError, match="cost and gamma above 0"):
        SVR(**options).fit(fit, y)


def test_without_scikit_learn_it_says_what_to_install(data, monkeypatch):
    fit, y, _, _ = data
    monkeypatch.setitem(__import__("sys").modules, "sklearn.svm", None)
    with pytest.raises(MissingExtraError, match=r"foretell\[trees\]"):
        SVR().fit(fit, y)
