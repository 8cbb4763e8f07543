"""Laws over every registered predictor."""

import pickle

import numpy as np
import pytest

from foretell.encodings import Encodings, EncodingTable
from foretell.errors import PredictorError
from foretell.metrics import kendall
from foretell.predictors import predictors

FAST = {"auto": {"seconds": 0.0}, "lightgbm": {"trees": 60}, "extra_trees": {"trees": 20},
        "random_forest": {"trees": 20}, "xgboost": {"trees": 40},
        "ngboost": {"trees": 60}, "lc_svr": {"trials": 3}}  # fmt: skip


@pytest.fixture(params=predictors.names())
def name(request):
    return request.param


@pytest.fixture
def make(name):
    entry = predictors.entry(name)
    if entry.facts.get("extra"):
        module = {"lightgbm": "lightgbm", "xgboost": "xgboost"}.get(name, "sklearn")
        pytest.importorskip(module)
    return lambda: entry.load()(**FAST.get(name, {}))


@pytest.fixture
def split(name, cells, cell_labels):
    encodings, y = cells
    needs = predictors.entry(name).facts.get("needs")
    if needs == "curve":
        encodings = Encodings({**encodings.tables, "curve": encodings.tables["graf"]})
    if needs == "wl":
        encodings = Encodings({**encodings.tables, "wl": cell_labels}, encodings.identity | {"wl"})
    return encodings.take(np.arange(120)), y[:120], encodings.take(np.arange(120, 400)), y[120:]


def test_it_learns(make, split):
    fit, y, ask, truth = split
    found = make().fit(fit, y).predict(ask)
    assert found.mean.shape == truth.shape
    assert float(kendall(found.mean, truth)) > 0.6
    if found.std is not None:
        assert found.std.shape == truth.shape
        assert (found.std >= 0).all()


def test_it_repeats_and_survives_a_pickle(make, split):
    fit, y, ask, _ = split
    model = make().fit(fit, y)
    first = model.predict(ask)
    np.testing.assert_array_equal(first.mean, make().fit(fit, y).predict(ask).mean)
    np.testing.assert_array_equal(first.mean, pickle.loads(pickle.dumps(model)).predict(ask).mean)


def test_rows_are_predicted_one_by_one_as_together(make, split):
    fit, y, ask, _ = split
    model = make().fit(fit, y)
    together = model.predict(ask).mean
    for i in (0, 7):
        alone = model.predict(ask.take(np.array([i]))).mean
        np.testing.assert_allclose(alone, together[i : i + 1], rtol=1e-9)


def test_values_that_are_all_equal(make, split):
    fit, y, ask, _ = split
    found = make().fit(fit, np.full_like(y, 0.25)).predict(ask)
    np.testing.assert_allclose(found.mean, 0.25, atol=1e-6)


def test_what_cannot_be_learned_is_refused(make, split):
    fit, y, ask, _ = split
    with pytest.raises(PredictorError, match="one value for each"):
        make().fit(fit, y[:-1])
    with pytest.raises(PredictorError, match="needs"):
        make().fit(fit.take(np.arange(1)), y[:1])
    with pytest.raises(PredictorError, match="not finite"):
        make().fit(fit, np.where(np.arange(len(y)) == 3, np.nan, y))
    with pytest.raises(PredictorError, match="fit first"):
        make().predict(ask)
    with pytest.raises(PredictorError, match="columns"):
        make().fit(fit, y).predict(ask.only(frozenset({"graf"})))
    broken = Encodings({"x": EncodingTable(("a",), np.array([[1.0], [np.inf], *[[0.0]] * 4]))})
    with pytest.raises(PredictorError, match="encodings are not finite"):
        make().fit(broken, np.arange(6.0))


def test_it_has_a_reference(name):
    entry = predictors.entry(name)
    assert entry.reference
    assert entry.facts["family"]
    assert entry.summary
