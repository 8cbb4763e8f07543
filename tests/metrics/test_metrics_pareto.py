"""Fronts and hypervolumes against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.errors import UsageError
from foretell.metrics import hypervolume, non_dominated


def front_by_pairs(values, directions):
    gains = np.where(np.array(directions) == "max", values, -np.asarray(values, dtype=float))
    return [
        not np.isnan(a).any()
        and not any((b >= a).all() and (b > a).any() for b in gains if not np.isnan(b).any())
        for a in gains
    ]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_front_is_what_no_other_dominates(data):
    m = data.draw(st.integers(1, 4))
    value = st.one_of(st.integers(0, 4).map(float), st.just(np.nan))
    rows = data.draw(st.lists(st.lists(value, min_size=m, max_size=m), max_size=14))
    directions = data.draw(st.lists(st.sampled_from(["max", "min"]), min_size=m, max_size=m))
    values = np.array(rows, dtype=float).reshape(len(rows), m)
    found = non_dominated(values, directions)
    assert found.dtype == np.bool_
    assert found.tolist() == front_by_pairs(values, directions)


def test_infinite_values_and_twins():
    values = [[np.inf, 1], [np.inf, 1], [2, -np.inf], [1, np.inf]]
    assert non_dominated(values, ["max", "max"]).tolist() == [True, True, False, True]
    assert non_dominated([[-np.inf, -np.inf]], ["max", "max"]).tolist() == [True]
    assert non_dominated([[1, 1], [-np.inf, -np.inf]], ["max", "max"]).tolist() == [True, False]
    assert non_dominated(np.zeros((0, 3)), ["max"] * 3).shape == (0,)
    assert non_dominated([], ["max", "min"]).shape == (0,)


def test_a_large_front_is_found_in_time():
    rng = np.random.default_rng(0)
    values = rng.random((20_000, 3))
    found = non_dominated(values, ["max", "min", "max"])
    assert 0 < found.sum() < 500


@given(
    st.lists(st.tuples(st.integers(-2, 6), st.integers(-2, 6)), max_size=8),
    st.sampled_from(["max", "min"]),
    st.sampled_from(["max", "min"]),
)
@settings(max_examples=150, deadline=None)
def test_the_hypervolume_counts_unit_squares(points, first, second):
    """On an integer grid the area is the number of dominated unit squares."""
    signs = np.array([1 if first == "max" else -1, 1 if second == "max" else -1])
    gains = np.array(points, dtype=float).reshape(-1, 2)
    squares = sum(
        bool(((gains[:, 0] >= i + 1) & (gains[:, 1] >= j + 1)).any())
        for i in range(6)
        for j in range(6)
    )
    area = hypervolume(gains * signs, [0, 0], [first, second])
    assert area == pytest.approx(squares)


def test_the_hypervolume_ignores_what_is_missing_or_worse():
    points = [[0.9, 100], [0.8, 50], [np.nan, 10], [0.5, 1000]]
    area = hypervolume(points, [0.7, 200], ["max", "min"])
    assert area == pytest.approx(0.1 * 150 + 0.1 * 100)
    assert hypervolume([], [0, 0], ["max", "max"]) == 0.0


@pytest.mark.parametrize(
    ("values", "directions"),
    [([1, 2], ["max"]), ([[1, 2]], ["max"]), ([[1, 2]], ["max", "up"]), ([[1]], [])],
)
def test_shapes_and_directions_are_checked(values, directions):
    with pytest.raises(UsageError):
        non_dominated(values, directions)


def test_the_hypervolume_takes_two_objectives():
    with pytest.raises(UsageError, match="two objectives"):
        hypervolume([[1, 2, 3]], [0, 0, 0], ["max"] * 3)
    with pytest.raises(UsageError, match="NaN"):
        hypervolume([[1, 2]], [0, np.nan], ["max"] * 2)
