"""The encoding of learning curves against plain numpy."""

import numpy as np
import pytest
from scipy.stats import norm

from foretell.curves import Curves
from foretell.encodings import EncodingContext, curve_encoding, encode
from foretell.errors import CurveError, UsageError
from foretell.spaces import get_space


def test_columns_by_hand():
    y = np.array([[0.1, 0.3, 0.4, 0.8], [0.2, 0.2, 0.6, 0.7]])
    table = curve_encoding(Curves({"val_accuracy": y}, [1, 2, 4, 5]), quantiles=False)
    slope = np.array([[0.2, 0.05, 0.4], [0.0, 0.2, 0.1]])
    bend = np.diff(slope, axis=1) / 1.5
    expected = {f"val_accuracy_{e}": y[:, i] for i, e in enumerate((1, 2, 4, 5))}
    expected |= {"val_accuracy_mean": y.mean(axis=1), "val_accuracy_std": y.std(axis=1)}
    for name, part in (("slope", slope), ("curvature", bend)):
        expected[f"val_accuracy_{name}_mean"] = part.mean(axis=1)
        expected[f"val_accuracy_{name}_std"] = part.std(axis=1)
    assert table.names == tuple(expected)
    for name, column in expected.items():
        np.testing.assert_allclose(table.column(name), column, atol=1e-12)
    quantiles = curve_encoding(Curves({"val_accuracy": y}, [1, 2, 4, 5]))
    assert quantiles.names == table.names
    half = norm.ppf(0.75)
    np.testing.assert_allclose(quantiles.column("val_accuracy_1"), [-half, half])


@pytest.mark.parametrize(("epochs", "columns"), [(1, 3), (2, 6), (3, 9), (40, 22)])
def test_short_and_long_curves(epochs, columns):
    curves = Curves(
        {"val_loss": np.random.default_rng(0).random((3, epochs))}, range(1, epochs + 1)
    )
    table = curve_encoding(curves)
    assert len(table.names) == columns
    assert np.isfinite(table.values).all()
    assert f"val_loss_{epochs}" in table.names
    assert curve_encoding(curves, most=1).names[0] == f"val_loss_{epochs}"
    with pytest.raises(CurveError, match="most=0"):
        curve_encoding(curves, most=0)


def test_gaps_are_interpolated_and_marked():
    nan = np.nan
    y = [[1.0, nan, nan, 4.0], [nan, 2.0, nan, nan], [nan] * 4, [0.0, 0.0, nan, 0.0]]
    table = curve_encoding(Curves({"val_loss": y}, [1, 2, 3, 5]), quantiles=False)
    assert "val_loss_3" not in table.names  # nobody has it
    np.testing.assert_allclose(table.column("val_loss_2"), [1.75, 2.0, 1.75, 0.0])
    np.testing.assert_allclose(table.column("val_loss_1"), [1.0, 2.0, 1.0, 0.0])
    np.testing.assert_allclose(table.column("val_loss_missing"), [1 / 3, 2 / 3, 1, 0])
    assert np.isfinite(table.values).all()
    with pytest.raises(CurveError, match="No architecture"):
        curve_encoding(Curves({"val_loss": np.full((2, 2), nan)}, [1, 2]))


def test_curves_have_to_be_there():
    space = get_space("nb201")
    archs = [space.sample(np.random.default_rng(0))]
    with pytest.raises(UsageError, match="needs learning curves"):
        encode("curve", EncodingContext(space, archs))
    two = Curves({"val_loss": [[1.0], [2.0]]}, [1])
    with pytest.raises(UsageError, match="1 architectures, but got 2"):
        encode("curve+onehot", EncodingContext(space, archs, curves=two))
