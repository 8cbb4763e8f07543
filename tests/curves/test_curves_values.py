"""Curves as values: what is taken, what is refused, where they come from."""

import pickle

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData, from_data, open_benchmark
from foretell.curves import METRICS, Curves
from foretell.errors import CurveError, OutOfTableError, UnknownNameError, UsageError

ROWS = np.array([[0.1, 0.3, np.nan], [0.2, 0.25, 0.5]])


@pytest.fixture
def curves():
    return Curves({"val_accuracy": ROWS, "train_loss": 2 - ROWS}, np.array([1, 4, 9]))


def test_parts_of_curves(curves):
    assert len(curves) == 2
    early = curves.until(8)
    assert early.epochs.tolist() == [1, 4]
    np.testing.assert_array_equal(early.metric("train_loss"), 2 - ROWS[:, :2])
    swapped = curves.take(np.array([1, 0, 1]))
    np.testing.assert_array_equal(swapped.metric("val_accuracy"), ROWS[[1, 0, 1]])
    with pytest.raises(CurveError, match="start at epoch 1"):
        curves.until(0)
    with pytest.raises(CurveError, match="val_loss, but there are those of val_accuracy"):
        curves.metric("val_loss")


def test_they_are_values(curves):
    given = ROWS.copy()
    made = Curves({"val_accuracy": given}, np.array([1, 4, 9]))
    given[:] = 0.9
    np.testing.assert_array_equal(made.metric("val_accuracy"), ROWS)
    with pytest.raises(ValueError, match="read-only"):
        made.metric("val_accuracy")[0, 0] = 1
    again = pickle.loads(pickle.dumps(curves))
    np.testing.assert_array_equal(again.metric("val_accuracy"), ROWS)
    assert again.epochs.tolist() == [1, 4, 9]


@pytest.mark.parametrize(
    ("values", "epochs", "message"),
    [
        ({}, [1], "got none"),
        ({"val_accuracy": [[0.1, 0.2]]}, [1], "shape"),
        ({"val_accuracy": [0.1]}, [1], "shape"),
        ({"val_accuracy": [[0.1, 0.2]]}, [2, 1], "increase"),
        ({"val_accuracy": [[0.1, 0.2]]}, [1, 1], "increase"),
        ({"val_accuracy": [[0.1, 0.2]]}, [0, 1], "start at 0"),
        ({"val_accuracy": [[0.1, 0.2]]}, [1, 1.5], "integers"),
        ({"val_accuracy": [[0.1, 0.2]]}, ["a", "b"], "integers"),
        ({"val_accuracy": np.zeros((1, 0))}, [], "one or more epochs"),
        ({"val_accuracy": [[10.0, 91.2]]}, [1, 2], "per cent"),
        ({"train_accuracy": [[-0.1, 0.2]]}, [1, 2], "fractions"),
        ({"train_loss": [[1.0, np.inf]]}, [1, 2], "infinite"),
        ({"train_loss": [["x", "y"]]}, [1, 2], "no numbers"),
        ({"train_loss": [[1.0]], "val_loss": [[1.0], [2.0]]}, [1], "train_loss 1, val_loss 2"),
    ],
)
def test_what_is_no_curve_is_refused(values, epochs, message):
    with pytest.raises(CurveError, match=message):
        Curves(values, epochs)


def test_other_metrics_are_refused():
    with pytest.raises(UnknownNameError, match="val_accuracy"):
        Curves({"valid_accuracy": [[0.5]]}, [1])


def test_from_an_embedded_benchmark():
    table = open_benchmark("digits-nb201")
    archs = table.archs()[:5]
    made = Curves.of_benchmark(table, archs)
    assert set(made.values) == {"train_loss", "val_loss", "val_accuracy"}
    assert made.epochs.tolist() == list(range(1, 21))
    for name in made.values:
        np.testing.assert_array_equal(made.metric(name), table.curves(archs, f"digits/{name}"))
    one = Curves.of_benchmark(table, archs, dataset="digits", seed=1)
    expected = table.curves(archs, "digits/val_loss", seed=1)
    np.testing.assert_array_equal(one.metric("val_loss"), expected)
    with pytest.raises(CurveError, match="digits only"):
        Curves.of_benchmark(table, dataset="cifar10")
    with pytest.raises(OutOfTableError):
        Curves.of_benchmark(table, [type(archs[0])("nb201", (9,) * 6)])


def table(*metrics):
    rng = np.random.default_rng(0)
    values = {m.key: rng.random((3, len(m.seeds), len(m.epochs))) for m in metrics}
    return from_data(TableData("t", ("a", "b", "c"), {m.key: m for m in metrics}, values)), values


def test_metrics_with_epochs_of_their_own():
    often = Metric("train_loss", "x", "nats", False, epochs=(0, 1, 2, 3))
    seldom = Metric("val_accuracy", "x", "fraction", True, epochs=(2, 4), seeds=(0, 1))
    other = Metric("val_accuracy", "y", "fraction", True, epochs=(2,))
    made, values = table(often, seldom, other, Metric("test_accuracy", "x", "fraction", True))
    with pytest.raises(UsageError, match="x, y"):
        Curves.of_benchmark(made)
    curves = Curves.of_benchmark(made, ["c", "a"], dataset="x")
    assert curves.epochs.tolist() == [1, 2, 3, 4]
    lost = np.isnan(curves.metric("val_accuracy"))
    assert lost.tolist() == [[True, False, True, False]] * 2
    mean = values["x/val_accuracy"].mean(axis=1)[[2, 0]]
    np.testing.assert_allclose(curves.metric("val_accuracy")[:, [1, 3]], mean)
    loss = values["x/train_loss"][[2, 0], 0, 1:]
    np.testing.assert_allclose(curves.metric("train_loss")[:, :3], loss)
    assert np.isnan(curves.metric("train_loss")[:, 3]).all()
    with pytest.raises(CurveError, match="has no curves"):
        Curves.of_benchmark(table(Metric("val_accuracy", "x", "fraction", True))[0])


def test_from_rows_in_any_order():
    archs, curves = Curves.of_rows(
        ["b", "a", "b", "c"], [3, 1, 1, 3.0], {"val_loss": [1.0, 2.0, 3.0, np.nan]}
    )
    assert archs == ("b", "a", "c")
    assert curves.epochs.tolist() == [1, 3]
    expected = [[3.0, 1.0], [2.0, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(curves.metric("val_loss"), expected)


@pytest.mark.parametrize(
    ("archs", "epochs", "columns", "message"),
    [
        ([], [], {"val_loss": []}, "0 rows"),
        (["a"], [1, 2], {"val_loss": [1.0]}, "for each of 1 rows"),
        (["a", "a"], [2, 2], {"val_loss": [1.0, 2.0]}, "a has several rows of epoch 2"),
        (["a", "b"], [1, 1], {"val_loss": [1.0]}, "2 values"),
        (["a"], [0], {"val_loss": [1.0]}, "add 1"),
        (["a"], [np.nan], {"val_loss": [1.0]}, "integers"),
        (["a"], [1], {}, "got none"),
    ],
)
def test_rows_that_are_no_curves(archs, epochs, columns, message):
    with pytest.raises(CurveError, match=message):
        Curves.of_rows(archs, epochs, columns)


def test_units_stand_beside_the_metrics():
    assert {name.split("_")[1]: unit for name, unit in METRICS.items()} == {
        "loss": "nats",
        "accuracy": "fraction",
    }
