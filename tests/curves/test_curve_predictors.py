"""Laws over every predictor of curves, and the simple ones by hand."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import spearmanr

from foretell.curves import (
    CurvePrediction,
    Curves,
    SumOfLosses,
    SumOfLossesEMA,
    curve_predictors,
)
from foretell.errors import CurveError
from foretell.prediction import Prediction

FINAL = 60


def noisy(n=12, epochs=20, first=1):
    """Rising accuracies, falling losses; better architectures have higher numbers."""
    rng = np.random.default_rng(0)
    t = np.arange(first, first + epochs)
    ends = np.linspace(0.6, 0.95, n)[:, None]
    accuracy = ends - 0.5 * t**-0.7 + 0.005 * rng.standard_normal((n, epochs))
    loss = 2.5 * (1 - accuracy)
    values = {"val_accuracy": accuracy, "train_accuracy": accuracy, "val_loss": loss}
    return Curves({**values, "train_loss": loss}, t)


@pytest.fixture(params=curve_predictors.names())
def name(request):
    return request.param


@pytest.fixture
def predict(name):
    def run(curves, final=FINAL):
        return curve_predictors[name]().predict(curves, final)

    return run


def test_they_order_architectures_and_say_in_which_unit(name, predict):
    made = predict(noisy())
    facts = curve_predictors.entry(name).facts
    kind = curve_predictors[name]
    assert isinstance(made, CurvePrediction)
    assert isinstance(made, Prediction)
    assert spearmanr(made.mean, np.arange(12))[0] > 0.95
    assert (facts["metric"], facts["unit"]) == (kind.metric, kind.unit)
    assert (made.std is not None) == facts["std"]
    if made.std is not None:
        assert (made.std > 0).all()
        assert ((made.mean > 0) & (made.mean < 1)).all()
    assert not made.reasons
    assert curve_predictors.entry(name).reference


def test_permuted_architectures_have_permuted_predictions(predict):
    curves, order = noisy(), np.random.default_rng(1).permutation(12)
    together, permuted = predict(curves), predict(curves.take(order))
    np.testing.assert_allclose(permuted.mean, together.mean[order], rtol=1e-9)
    if together.std is not None:
        np.testing.assert_allclose(permuted.std, together.std[order], rtol=1e-9)


def test_alone_as_in_company_where_promised(name, predict):
    curves = noisy()
    together, alone = predict(curves), predict(curves.take(np.array([4])))
    if curve_predictors.entry(name).facts["alone"]:
        np.testing.assert_allclose(alone.mean, together.mean[4:5], rtol=1e-9)
        if together.std is not None:
            np.testing.assert_allclose(alone.std, together.std[4:5], rtol=1e-9)
    assert np.isfinite(alone.mean).all()


def test_they_repeat_and_survive_a_pickle(name):
    model = curve_predictors[name]()
    first = model.predict(noisy(), FINAL)
    again = pickle.loads(pickle.dumps(model)).predict(noisy(), FINAL)
    np.testing.assert_array_equal(first.mean, again.mean)


def test_one_epoch_orders_by_it(predict):
    made = predict(noisy(epochs=1))
    assert spearmanr(made.mean, np.arange(12))[0] == 1


def test_epochs_that_start_late(predict):
    made = predict(noisy(first=11))
    assert spearmanr(made.mean, np.arange(12))[0] > 0.9


@pytest.mark.parametrize("level", [0.0, 0.1, 1.0])
def test_constant_curves(name, predict, level):
    flat = np.full((3, 15), level)
    values = dict.fromkeys(("val_accuracy", "train_accuracy", "val_loss", "train_loss"), flat)
    made = predict(Curves(values, np.arange(1, 16)), 30)
    assert np.isfinite(made.mean).all()
    np.testing.assert_allclose(made.mean, made.mean[0], rtol=1e-12)
    if curve_predictors[name].extrapolates:
        assert abs(made.mean[0] - level) < 0.12
        assert (made.std > 0).all()


def test_what_was_not_measured_is_nan_with_a_reason(name, predict):
    curves = noisy()
    values = {}
    for metric, given in curves.values.items():
        values[metric] = given.copy()
        values[metric][3] = np.nan
        values[metric][5, 7] = np.nan
        values[metric][:, 10] = np.nan  # nobody has it
    made = predict(Curves(values, curves.epochs))
    lost = {3, 5} if name in ("sotl", "sotl_ema") else {3}
    assert set(made.reasons) == lost == set(np.flatnonzero(np.isnan(made.mean)).tolist())
    assert "at any epoch" in made.reasons[3]
    if 5 in lost:
        assert "1 of 19 epochs, first 8" in made.reasons[5]
    nothing = {metric: np.full((2, 3), np.nan) for metric in values}
    made = predict(Curves(nothing, np.arange(1, 4)))
    assert np.isnan(made.mean).all()
    assert set(made.reasons) == {0, 1}


def test_the_final_epoch(name, predict):
    curves = noisy()
    if not curve_predictors[name].extrapolates:
        expected = predict(curves).mean
        np.testing.assert_array_equal(curve_predictors[name]().predict(curves).mean, expected)
        return
    with pytest.raises(CurveError, match="give final_epoch"):
        curve_predictors[name]().predict(curves)
    with pytest.raises(CurveError, match=r"until\(19\)"):
        predict(curves, 19)
    accuracy = curves.metric("val_accuracy").copy()
    accuracy[2, 15:] = np.nan
    made = predict(Curves({"val_accuracy": accuracy}, curves.epochs), 20)
    finished = np.arange(12) != 2
    np.testing.assert_array_equal(made.mean[finished], accuracy[finished, -1])
    assert (made.std[finished] == 0).all()
    assert made.std[2] > 0


def test_another_metric_is_not_taken_instead(name, predict):
    metric = "val_loss" if curve_predictors[name].metric == "val_accuracy" else "val_accuracy"
    with pytest.raises(CurveError, match="Expected curves of"):
        predict(Curves({metric: [[0.5]]}, [1]))


def test_the_simple_ones_by_hand():
    loss = np.array([[2.0, 1.5, 1.0], [3.0, 1.0, np.nan]])
    curves = Curves(
        {
            "train_loss": loss,
            "val_loss": loss + 1,
            "train_accuracy": loss / 4,
            "val_accuracy": loss / 5,
        },
        [2, 4, 6],
    )
    expected = {
        "early_stop_accuracy": [0.2, 0.2],
        "early_stop_loss": [-2, -2],
        "train_accuracy": [0.25, 0.25],
        "sotl": [-4.5, np.nan],
        "sotl_e": [-1, -1],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(curve_predictors[name]().predict(curves).mean, values)
    average = [2.0, 0.7 * 2 + 0.3 * 1.5, 0.7 * (0.7 * 2 + 0.3 * 1.5) + 0.3 * 1.0]
    made = SumOfLossesEMA(momentum=0.3).predict(curves)
    np.testing.assert_allclose(made.mean, [-sum(average), np.nan])
    whole = SumOfLossesEMA(momentum=1.0).predict(curves).mean
    np.testing.assert_allclose(whole, SumOfLosses().predict(curves).mean)
    for momentum in (0.0, 1.1):
        with pytest.raises(CurveError, match="momentum"):
            SumOfLossesEMA(momentum).predict(curves)


def test_names_load_nothing_heavy():
    code = (
        "import sys, foretell.curves as c; list(c.curve_predictors.entries());"
        "print({'torch', 'sklearn', 'scipy.special', 'scipy.optimize'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- the 200 real curves -------------------------------------------------------------------------


def test_on_real_curves(validation_data):
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "nb201_curves_200.parquet"
    rows = duckdb.sql(f"SELECT val_acc_curve FROM '{path}' ORDER BY idx").fetchall()
    accuracy = np.array([row[0] for row in rows]) / 100
    curves = Curves({"val_accuracy": accuracy}, np.arange(1, 201))

    def spearman(name, epoch):
        made = curve_predictors[name]().predict(curves.until(epoch), 200)
        return spearmanr(made.mean, accuracy[:, -1])[0]

    published = {1: 0.41, 5: 0.68, 10: 0.76, 20: 0.83, 50: 0.87, 100: 0.90}
    for epoch, rho in published.items():
        assert abs(spearman("early_stop_accuracy", epoch) - rho) < 0.005
    for epoch, rho in {10: 0.82, 20: 0.87, 50: 0.92}.items():
        assert spearman("lce", epoch) >= rho
        assert spearman("curve_gp", epoch) > published[epoch] + 0.02
