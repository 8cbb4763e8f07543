"""Correlation matrices against the single forms, and their intervals against real resampling."""

import numpy as np
import pytest

from foretell.errors import UnknownNameError, UsageError
from foretell.metrics import CORRELATIONS, bootstrap, correlate, cross

kinds = pytest.mark.parametrize("kind", list(CORRELATIONS))


def make(n, seed=0, levels=40):
    rng = np.random.default_rng(seed)
    x = rng.integers(levels, size=(5, n)).astype(float)
    y = np.stack([x[0] / levels + rng.normal(size=n) / 3, rng.normal(size=n), np.round(x[1] / 9)])
    return x, y


@kinds
@pytest.mark.parametrize("n", [2, 3, 50, 400])
def test_values_are_those_of_the_single_form(kind, n):
    x, y = make(n)
    x[1] = 7.0  # a constant has no coefficient
    found = cross(x, y, kind)
    for j, row in enumerate(y):
        single = [c.value for c in correlate(x, row, kind)]
        assert found.value[:, j] == pytest.approx(single, abs=1e-12, nan_ok=True)
    assert (found.n == n).all()
    assert (found.dropped == 0).all()
    assert np.isnan(found.low).all()
    assert found.samples == 0


@kinds
def test_missing_values_are_dropped_pair_by_pair(kind):
    x, y = make(60)
    x[1, :9] = np.nan
    x[2, 5:20] = np.nan
    x[3] = np.nan
    y[1, ::2] = np.nan
    found = cross(x, y, kind, samples=20, rng=np.random.default_rng(0))
    for j, row in enumerate(y):
        single = correlate(x, row, kind)
        assert found.value[:, j] == pytest.approx([c.value for c in single], abs=1e-12, nan_ok=True)
        assert found.n[:, j].tolist() == [c.n for c in single]
        assert found.dropped[:, j].tolist() == [c.dropped for c in single]
    assert np.isnan(found.value[3]).all()
    assert np.isnan(found.low[3]).all()
    defined = ~np.isnan(found.value)
    assert (found.low[defined] <= found.high[defined]).all()


@kinds
@pytest.mark.parametrize("n", [100, 300])
def test_intervals_are_those_of_real_resampling(kind, n):
    x, y = make(n, seed=n)
    found = cross(x, y, kind, samples=800, level=0.9, rng=np.random.default_rng(1))
    for i in (0, 1):
        for j in (0, 2):
            real = bootstrap(
                x[i], y[j], np.random.default_rng(2), kind=kind, samples=800, level=0.9
            )
            width = real.high - real.low
            assert found.low[i, j] == pytest.approx(real.low, abs=0.15 * width)
            assert found.high[i, j] == pytest.approx(real.high, abs=0.15 * width)
    again = cross(x, y, kind, samples=800, level=0.9, rng=np.random.default_rng(1))
    assert np.array_equal(found.low, again.low, equal_nan=True)


@kinds
def test_a_perfect_order_has_no_width(kind):
    x = np.arange(50.0)[None]
    found = cross(x, np.stack([x[0], -x[0]]), kind, samples=50, rng=np.random.default_rng(0))
    assert found.value[0] == pytest.approx([1, -1])
    assert found.low[0] == pytest.approx([1, -1])
    assert found.high[0] == pytest.approx([1, -1])


def test_large_tables_take_some_rows_for_all(monkeypatch):
    x, y = make(900, seed=3)
    whole = cross(x, y, samples=800, rng=np.random.default_rng(0))
    monkeypatch.setattr("foretell.metrics.matrix._ALL_PAIRS", 100)
    part = cross(x, y, samples=800, rng=np.random.default_rng(0))
    assert part.value == pytest.approx(whole.value, abs=1e-12)
    width, other = whole.high - whole.low, part.high - part.low
    assert other == pytest.approx(width, rel=0.2)
    assert cross(x, y).value == pytest.approx(whole.value, abs=1e-12)


def test_memory_is_held_in_pieces(monkeypatch):
    x, y = make(80)
    whole = cross(x, y, samples=30, rng=np.random.default_rng(0))
    monkeypatch.setattr("foretell.metrics.matrix._CHUNK", 1000)
    pieces = cross(x, y, samples=30, rng=np.random.default_rng(0))
    assert np.array_equal(whole.low, pieces.low)
    assert np.array_equal(whole.value, pieces.value)


@kinds
def test_extreme_scales_and_infinities(kind):
    """SynFlow reaches 1e49 and more."""
    rng = np.random.default_rng(4)
    y = rng.normal(size=(1, 40))
    x = np.stack([np.exp(200 + 40 * y[0]), 1e-300 * np.arange(40.0)])
    found = cross(x, y, kind)
    single = [c.value for c in correlate(x, y[0], kind)]
    assert found.value[:, 0] == pytest.approx(single, abs=1e-12)
    x[0, 3] = np.inf
    found = cross(x, y, kind).value[0, 0]
    assert found == pytest.approx(correlate(x, y[0], kind)[0].value, abs=1e-12, nan_ok=True)


def test_nothing_to_correlate():
    assert cross(np.zeros((0, 5)), np.zeros((2, 5))).value.shape == (0, 2)
    assert cross(np.zeros((2, 5)), np.zeros((0, 5))).value.shape == (2, 0)
    one = cross(np.zeros((1, 1)), np.zeros((1, 1)), samples=5, rng=np.random.default_rng(0))
    assert np.isnan(one.value).all()
    assert np.isnan(one.low).all()


def test_arguments_are_checked():
    x = np.zeros((2, 5))
    for a, b in ((x, np.zeros((2, 4))), (x[0], x), (x, x[0])):
        with pytest.raises(UsageError, match=r"\(p, n\)"):
            cross(a, b)
    with pytest.raises(UnknownNameError):
        cross(x, x, "tau")
    for wrong in ({"samples": -1}, {"level": 1.0}, {"samples": 5}):
        with pytest.raises(UsageError, match="generator"):
            cross(x, x, **wrong)
