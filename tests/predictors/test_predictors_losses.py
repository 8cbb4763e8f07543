"""Losses against slow references, closed forms and numerical gradients."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import PredictorError
from foretell.predictors import MLP
from foretell.predictors.neural.losses import LOSSES, RANK_LOSSES, check_loss

NUMBERS = st.floats(-4, 4).map(lambda v: round(v, 2))
LISTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8)


def value(name, found, wanted):
    """The loss of one network, in double precision."""
    rows = (torch.tensor(np.atleast_2d(v), dtype=torch.float64) for v in (found, wanted))
    return float(LOSSES[name](*rows)[0])


def slow_pairwise(s, y):
    lost = [
        math.log1p(math.exp(s[j] - s[i]))
        for i in range(len(s))
        for j in range(len(s))
        if y[i] > y[j]
    ]
    return sum(lost) / len(lost) if lost else 0.0


def slow_listmle(s, y):
    order = sorted(range(len(s)), key=lambda i: -y[i])
    lost = 0.0
    for k, i in enumerate(order):
        left = sum(math.exp(s[j]) for j in order[k:])
        lost -= math.log(math.exp(s[i]) / left)
    return lost / len(s)


SLOW = {
    "mse": lambda s, y: np.mean((np.array(s) - y) ** 2),
    "mae": lambda s, y: np.mean(np.abs(np.array(s) - y)),
    "pairwise": slow_pairwise,
    "listmle": slow_listmle,
}


def test_every_loss_has_a_reference():
    assert set(SLOW) == set(LOSSES)
    assert set(LOSSES) > RANK_LOSSES


@pytest.mark.parametrize("name", LOSSES)
@given(LISTS)
def test_losses_equal_slow_ones(name, rows):
    s, y = zip(*rows, strict=True)
    assert value(name, s, y) == pytest.approx(SLOW[name](s, y), abs=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_members_of_a_stack_do_not_touch(name):
    rng = np.random.default_rng(0)
    s, y = rng.standard_normal((2, 3, 6))
    together = LOSSES[name](torch.tensor(s), torch.tensor(y)).numpy()
    alone = [value(name, a, b) for a, b in zip(s, y, strict=True)]
    np.testing.assert_allclose(together, alone)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_the_numerical_ones(name):
    rng = np.random.default_rng(1)
    s, y = rng.standard_normal((2, 7))
    leaf = torch.tensor(s[None], requires_grad=True)
    LOSSES[name](leaf, torch.tensor(y[None])).sum().backward()
    step = 1e-6 * np.eye(7)
    numerical = [(value(name, s + e, y) - value(name, s - e, y)) / 2e-6 for e in step]
    np.testing.assert_allclose(leaf.grad.numpy()[0], numerical, atol=1e-8)


def test_pairwise_gradient_is_the_sum_over_pairs():
    """Of sigmoid(s_j - s_i), pulled up at i and down at j, over pairs with y_i > y_j."""
    s, y = np.array([0.3, -1.0, 0.7]), np.array([2.0, 1.0, 0.0])
    leaf = torch.tensor(s[None], requires_grad=True)
    LOSSES["pairwise"](leaf, torch.tensor(y[None])).sum().backward()
    wanted = np.zeros(3)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        share = 1 / (1 + math.exp(s[i] - s[j])) / 3
        wanted[i] -= share
        wanted[j] += share
    np.testing.assert_allclose(leaf.grad.numpy()[0], wanted)


def test_listmle_is_a_distribution_over_orders():
    s = [0.4, -0.3, 1.2, 0.0]
    chances = [math.exp(-4 * value("listmle", s, y)) for y in itertools.permutations(range(4))]
    assert sum(chances) == pytest.approx(1)


def test_rank_losses_of_equal_scores():
    """All orders are as likely: log(n!) / n; a pair is a coin: log 2."""
    y = [3.0, 1.0, 2.0, 0.0, 5.0]
    assert value("listmle", np.zeros(5), y) == pytest.approx(math.log(math.factorial(5)) / 5)
    assert value("pairwise", np.zeros(5), y) == pytest.approx(math.log(2))


@pytest.mark.parametrize("name", sorted(RANK_LOSSES))
@given(LISTS, NUMBERS)
def test_rank_losses_see_neither_zero_nor_unit(name, rows, shift):
    s, y = np.array(rows).T
    before = value(name, s, y)
    assert value(name, s + shift, y) == pytest.approx(before, abs=1e-9)
    assert value(name, s, 3 * y - 7) == pytest.approx(before, abs=1e-9)


@pytest.mark.parametrize("name", sorted(RANK_LOSSES))
def test_rank_losses_stay_finite_far_out(name):
    s = [800.0, -800.0, 0.0]
    assert value(name, s, [1.0, 2.0, 3.0]) < 1000
    assert value(name, s, [3.0, 1.0, 2.0]) == pytest.approx(0.0, abs=1e-9)


def test_pairs_of_equal_values_do_not_count():
    assert value("pairwise", [1.0, 5.0, -2.0], [1.0, 1.0, 1.0]) == 0
    assert value("pairwise", [1.0, 5.0, 0.0], [1.0, 1.0, 0.0]) == pytest.approx(
        (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-5.0))) / 2
    )


def test_an_unknown_loss_is_refused(cells):
    encodings, y = cells
    with pytest.raises(PredictorError, match="mse, mae, pairwise, listmle, but got 'huber'"):
        check_loss("huber")
    with pytest.raises(PredictorError, match="huber"):
        MLP("huber").fit(encodings, y)
