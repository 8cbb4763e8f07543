"""LcSVR against scikit-learn, and predictors that take curves beside scores."""

import numpy as np
import pytest

from foretell.curves import Curves
from foretell.encodings import EncodingContext, encode
from foretell.errors import PredictorError
from foretell.metrics import kendall
from foretell.predictors import Auto, LcSVR
from foretell.spaces import get_space

svm = pytest.importorskip("sklearn.svm")


@pytest.fixture(scope="module")
def trained():
    """90 cells with curves to epoch 6, a score, and values at epoch 100."""
    space, rng = get_space("nb201"), np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(120)))[:90]
    end, rate = 0.6 + 0.3 * rng.random(90), 0.3 + 0.6 * rng.random(90)
    t = np.arange(1, 7)
    accuracy = end[:, None] - 0.5 * t ** -rate[:, None] + 0.03 * rng.standard_normal((90, 6))
    curves = Curves({"val_accuracy": accuracy}, t)
    scores = {"nwot": end + 0.05 * rng.standard_normal(90)}
    y = end - 0.5 * 100.0**-rate
    return encode("curve+scores", EncodingContext(space, archs, scores=scores, curves=curves)), y


def test_it_is_the_machine_of_scikit_learn(trained):
    encodings, y = trained
    train, test = np.arange(60), np.arange(60, 90)
    model = LcSVR(trials=8, normal_target=False, seed=4).fit(encodings.take(train), y[train])
    x = encodings.scaled()
    cost, gamma, nu = model.chosen_
    pairs = np.square(x[train][:, None] - x[train]).sum(axis=2)
    width = np.median(pairs[pairs > 1e-9])
    machine = svm.NuSVR(C=cost, nu=nu, gamma=gamma / width, tol=1e-4)
    machine.fit(x[train], (y[train] - y[train].mean()) / y[train].std())
    expected = machine.predict(x[test]) * y[train].std() + y[train].mean()
    np.testing.assert_allclose(model.predict(encodings.take(test)).mean, expected, atol=1e-4)


def test_its_choice_belongs_to_the_seed(trained):
    encodings, y = trained
    chosen = [LcSVR(trials=8, seed=s).fit(encodings, y).chosen_ for s in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_scores_add_to_curves(trained):
    encodings, y = trained
    train, test = encodings.take(np.arange(60)), encodings.take(np.arange(60, 90))
    tau = {}
    for tables in (["curve", "scores"], ["curve"]):
        names = frozenset(tables)
        model = LcSVR(trials=8).fit(train.only(names), y[:60])
        tau[len(tables)] = float(kendall(model.predict(test.only(names)).mean, y[60:]))
    assert tau[2] > tau[1] > 0.5
    auto = Auto(seconds=0.0).fit(train, y[:60])
    assert float(kendall(auto.predict(test).mean, y[60:])) > 0.5


def test_it_needs_curves(trained):
    encodings, y = trained
    with pytest.raises(PredictorError, match="instead of scores"):
        LcSVR().fit(encodings.only(frozenset({"scores"})), y)
