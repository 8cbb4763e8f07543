"""Objectives as text, several as one number, and the choice from a front."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from foretell.errors import SearchError, UnknownNameError, UsageError
from foretell.quantities import Stage
from foretell.search import Objective, chebyshev, draw_weights, preferred

SMALL = st.integers(-4, 4).map(float)  # few values: ties
TABLES = st.integers(1, 12).flatmap(
    lambda n: st.integers(2, 3).flatmap(lambda k: arrays(float, (n, k), elements=SMALL))
)


@pytest.mark.parametrize(
    ("text", "name", "direction", "stage"),
    [
        ("accuracy", "accuracy", "max", Stage.TRAINED),
        (" params ", "params", "min", Stage.GRAPH),
        ("latency@onnxruntime", "latency@onnxruntime", "min", Stage.BUILT),
        ("pgd@8", "pgd@8", "max", Stage.ATTACKED),
        ("max:params", "params", "max", Stage.GRAPH),
        ("min:accuracy", "accuracy", "min", Stage.TRAINED),
        ("min:latency@torch", "latency@torch", "min", Stage.BUILT),
    ],
)
def test_texts_that_are_read(text, name, direction, stage):
    found = Objective.parse(text)
    assert (found.name, found.direction, found.stage) == (name, direction, stage)
    assert Objective.parse(str(found)) == found
    assert found.gain(np.array([2.0])) == (2.0 if direction == "max" else -2.0)


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("", UnknownNameError, "Unknown quantity"),
        ("acuracy", UnknownNameError, "did you mean accuracy"),
        ("max:", UnknownNameError, "Unknown quantity"),
        ("max:acuracy", UnknownNameError, "did you mean accuracy"),
        ("pgd", UsageError, "pgd@8"),
        ("pgd@x", UsageError, "pgd@8"),
        ("accuracy@8", UsageError, "nothing behind an @"),
        ("latency@tensorflow", UnknownNameError, "runtime of latency"),
    ],
)
def test_texts_that_are_refused(text, error, word):
    with pytest.raises(error, match=word):
        Objective.parse(text)


def test_what_a_user_measures_is_better_when_higher():
    assert Objective.parse("reward", anything=True) == Objective("reward", "max")
    assert Objective.parse("min:joules", anything=True) == Objective("joules", "min")
    assert Objective.parse("params", anything=True) == Objective("params", "min")
    assert str(Objective("joules", "min")) == "min:joules"
    assert Objective("reward").stage is Stage.TRAINED
    with pytest.raises(UsageError):
        Objective.parse("pgd", anything=True)


def by_hand(gains, weights):
    """``min_k w_k r_k + 0.05 sum_k w_k r_k`` with ranks by scipy, in plain Python."""
    complete = [row for row in gains.tolist() if not any(np.isnan(row))]
    n = len(complete)
    columns = [rankdata(column) for column in zip(*complete, strict=True)] if n else []
    values = []
    for i in range(n):
        terms = [
            w * (column[i] - 1) / max(n - 1, 1)
            for w, column in zip(weights.tolist(), columns, strict=True)
        ]
        values.append(min(terms) + 0.05 * sum(terms))
    values = iter(values)
    return [float("nan") if any(np.isnan(row)) else next(values) for row in gains.tolist()]


@given(TABLES, st.integers(0, 99), st.integers(0, 3))
def test_chebyshev_is_what_plain_python_says(gains, seed, missing):
    weights = draw_weights(gains.shape[1], np.random.default_rng(seed))
    gains[:missing, 0] = np.nan
    assert chebyshev(gains, weights) == pytest.approx(by_hand(gains, weights), nan_ok=True)


def test_chebyshev_of_a_written_out_example():
    gains = np.array([[1.0, 30.0], [2.0, 10.0], [3.0, 20.0], [4.0, np.nan]])
    # ranks (0, 1), (1/2, 0), (1, 1/2); weights 1/4 and 3/4
    expected = [0.0 + 0.05 * 0.75, 0.0 + 0.05 * 0.125, 0.25 + 0.05 * 0.625, np.nan]
    assert chebyshev(gains, np.array([0.25, 0.75])) == pytest.approx(expected, nan_ok=True)
    assert chebyshev(gains[:1], np.array([0.5, 0.5])).tolist() == [0.0]
    assert np.isnan(chebyshev(gains[3:], np.array([0.5, 0.5]))).all()
    assert chebyshev(np.zeros((0, 2)), np.array([0.5, 0.5])).shape == (0,)


@given(TABLES, st.integers(0, 99))
def test_chebyshev_keeps_dominance_and_forgets_units(gains, seed):
    weights = draw_weights(gains.shape[1], np.random.default_rng(seed))
    value = chebyshev(gains, weights)
    assert np.array_equal(value, chebyshev(np.exp(gains) * 1e-6, weights))
    for i, one in enumerate(gains):
        for j, other in enumerate(gains):
            if (one >= other).all():
                assert value[i] >= value[j]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_weights_are_uniform_on_the_simplex(k):
    rng = np.random.default_rng(0)
    drawn = np.stack([draw_weights(k, rng) for _ in range(2000)])
    assert drawn.min() >= 0
    assert np.allclose(drawn.sum(axis=1), 1)
    assert np.allclose(drawn.mean(axis=0), 1 / k, atol=0.03)
    # each is a Beta(1, k - 1)
    assert np.allclose(drawn.var(axis=0), (k - 1) / k**2 / (k + 1), atol=0.01)


NAMES = ("accuracy", "latency", "energy")


def test_the_knee_of_a_written_out_example():
    # accuracy up, latency down; scaled sums 1, 0.9 + 0.75, 1/2 + 7/8, 1; the last is dominated
    accuracy = np.array([0.9, 0.86, 0.7, 0.5, 0.4])
    latency = np.array([9.0, 3.0, 2.0, 1.0, 5.0])
    gains = np.stack([accuracy, -latency], axis=1)
    assert preferred(gains, NAMES[:2], "knee") == 1
    assert preferred(gains, NAMES[:2], "accuracy") == 0
    assert preferred(gains, NAMES[:2], "latency") == 3
    assert preferred(gains[[0, 3]], NAMES[:2], "knee") == 0  # equal: the first
    assert preferred(gains[[3, 0]], NAMES[:2], "knee") == 0
    assert preferred(gains[[4]], NAMES[:2], "knee") == 0
    same = np.ones((3, 2))
    assert preferred(same, NAMES[:2], "knee") == 0
    same[0] = np.nan
    assert preferred(same, NAMES[:2], "accuracy") == 1


@given(TABLES, st.sampled_from(["knee", "accuracy", "latency"]))
def test_the_choice_is_on_the_front_and_free_of_units(gains, prefer):
    names = NAMES[: gains.shape[1]]
    row = preferred(gains, names, prefer)
    beaten = (gains >= gains[row]).all(axis=1) & (gains > gains[row]).any(axis=1)
    assert not beaten.any()
    assert preferred(gains * 1024 - 7, names, prefer) == row
    assert preferred(gains * [1.0, 2.0**-20, 8.0][: len(names)], names, prefer) == row
    if prefer != "knee":
        assert gains[row, names.index(prefer)] == gains[:, names.index(prefer)].max()


@given(TABLES)
def test_the_knee_is_farthest_beyond_the_plane_through_the_best(gains):
    names = NAMES[: gains.shape[1]]
    on_front = [
        r for r in gains.tolist()
        if not any(np.greater_equal(o, r).all() and np.greater(o, r).any() for o in gains)
    ]  # fmt: skip
    low, high = np.min(on_front, axis=0), np.max(on_front, axis=0)

    def beyond(row):  # distance to the plane sum = 1, times the root of the number of objectives
        return sum((v - a) / (b - a) for v, a, b in zip(row, low, high, strict=True) if b > a)

    chosen = gains[preferred(gains, names, "knee")]
    assert beyond(chosen) == pytest.approx(max(map(beyond, on_front)))


def test_choices_that_are_refused():
    gains = np.ones((2, 2))
    with pytest.raises(UnknownNameError, match="choice of a winner 'knie': did you mean knee"):
        preferred(gains, NAMES[:2], "knie")
    with pytest.raises(UnknownNameError, match="choice of a winner"):
        preferred(gains, NAMES[:2], "energy")
    for empty in (gains[:0], np.full((2, 2), np.nan), np.array([[1.0, np.nan]])):
        with pytest.raises(SearchError, match="nothing to choose"):
            preferred(empty, NAMES[:2], "knee")
