"""Constraints: what is read, what is refused, what is met."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.errors import ConstraintError, UsageError
from foretell.search import (
    COST_NAMES,
    Constraint,
    Feasibility,
    Objective,
    combine,
    feasible_mask,
)
from foretell.spaces import CostTable, get_space


def table(params, **others) -> CostTable:
    n = len(params)
    columns = {name: np.full(n, 1.0) for name in COST_NAMES}
    columns |= dict.fromkeys(("params", "live_params"), np.array(params))  # every weight is live
    return CostTable(**(columns | {"alive": np.ones(n, dtype=bool)} | others))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("params<=300k", Constraint("params", max=3e5)),
        ("params <= 0.3M", Constraint("params", max=3e5)),
        (" params<=3e5 ", Constraint("params", max=3e5)),
        ("300K >= params", Constraint("params", max=3e5)),
        ("params≤.3m", Constraint("params", max=3e5)),
        ("flops>=1.5G", Constraint("flops", min=1.5e9)),
        ("live_params>=0", Constraint("live_params", min=0)),
        ("1k<=params<=2k", Constraint("params", max=2e3, min=1e3)),
        ("2k>=params>=1k", Constraint("params", max=2e3, min=1e3)),
        ("memory<=64KiB", Constraint("memory", max=65536)),
        ("memory<=64kb", Constraint("memory", max=64000)),
        ("memory<=1.5MiB", Constraint("memory", max=1.5 * 2**20)),
        ("memory<=1GB", Constraint("memory", max=1e9)),
        ("memory<=1GiB", Constraint("memory", max=2**30)),
        ("memory<=1MB", Constraint("memory", max=1e6)),
        ("memory<=512B", Constraint("memory", max=512)),
        ("memory<=2M", Constraint("memory", max=2e6)),
        ("flops<=90%ref", Constraint("flops", max=0.9, relative=True)),
        ("50%ref<=flops<=90%ref", Constraint("flops", max=0.9, min=0.5, relative=True)),
        ("latency<=4ms", Constraint("latency", max=0.004)),
        ("latency@onnxruntime<=250us", Constraint("latency@onnxruntime", max=0.00025)),
        ("latency<=1.5s", Constraint("latency", max=1.5)),
        ("latency<=120%ref", Constraint("latency", max=1.2, relative=True)),
        ("sum_log_params>=12.5", Constraint("sum_log_params", min=12.5)),
        ("pgd@8>=60%", Constraint("pgd@8", min=0.6)),
        ("accuracy>=.9", Constraint("accuracy", min=0.9)),
        ("loss<=0.5", Constraint("loss", max=0.5)),
    ],
)
def test_texts_that_are_read(text, expected):
    found = Constraint.parse(text)
    assert found.name == expected.name
    assert (found.max, found.min) == pytest.approx((expected.max, expected.min))
    assert found.relative == expected.relative
    again = Constraint.parse(str(found))
    assert (again.max, again.min) == pytest.approx((found.max, found.min))
    assert (again.name, again.relative) == (found.name, found.relative)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no constraint"),
        ("params", "no constraint"),
        ("params<300k", "<= or >="),
        ("params=300k", "<= or >="),
        ("params==300k", "<= or >="),
        ("params<=", "no number"),
        ("params<=many", "no number"),
        ("params<=-5", "no number"),
        ("params<=1,000", "no number"),
        ("params<=flops", "no number"),
        ("5<=7", "no quantity"),
        ("parms<=5", "did you mean params"),
        ("alive<=5", "Unknown quantity"),
        ("weight<=5", "Unknown quantity 'weight'"),
        ("params<=5MB", "cannot be read"),
        ("params<=5ms", "k, M, G"),
        ("memory<=5ms", "KiB"),
        ("flops<=5x", "cannot be read"),
        ("latency<=4", "no unit"),
        ("latency<=4k", "us, ms, s"),
        ("params<=1e999", "finite"),
        ("5k<=params<=1k", "both >= 5000 and <= 1000"),
        ("1k<=params>=5k", "two bounds"),
        ("params<=1k<=5k", "two bounds"),
        ("1<=params<=2<=3", "<= or >="),
        ("10%ref<=params<=300k", "mixes"),
        ("flops<=90%", "90%ref"),
        ("pgd@8>=60", "60%"),
        ("pgd@x>=60%", "pgd@8"),
        ("pgd>=60%", "needs its eps"),
        ("params@8<=5", "nothing behind an @"),
        ("latency@tensorflow<=4ms", "runtime of latency"),
    ],
)
def test_texts_that_are_refused(text, word):
    with pytest.raises(ConstraintError) as caught:
        Constraint.parse(text)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_costs_may_be_named():
    assert Constraint.parse("energy<=3", known=("energy",)) == Constraint("energy", max=3.0)
    with pytest.raises(ConstraintError, match="Unknown quantity 'xyz'"):
        Constraint.parse("xyz<=3", known=("energy",))
    assert Constraint.parse("xyz<=3", anything=True) == Constraint("xyz", max=3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"max": math.nan},
        {"max": math.inf},
        {"min": -1.0},
        {"max": 1.0, "min": 2.0},
    ],
)
def test_bounds_that_are_refused(wrong):
    with pytest.raises(ConstraintError):
        Constraint("params", **wrong)


@given(
    st.sampled_from(["params", "memory", "latency", "flops"]),
    st.floats(0, 1e12, allow_subnormal=False),
    st.floats(0, 1e12, allow_subnormal=False),
    st.booleans(),
)
def test_str_and_parse_agree(name, a, b, relative):
    one = Constraint(name, max=max(a, b), min=min(a, b), relative=relative)
    again = Constraint.parse(str(one))
    assert (again.max, again.min) == pytest.approx((one.max, one.min), rel=1e-9)


def test_the_mask_is_closed_and_nan_meets_nothing():
    values = np.array([1.0, 2.0, 3.0, np.nan])
    assert Constraint("params", max=2).mask(values).tolist() == [True, True, False, False]
    assert Constraint("params", min=2).mask(values).tolist() == [False, True, True, False]
    assert Constraint("params", min=0).mask(values).tolist() == [True, True, True, False]


def test_several_constraints_are_combined():
    tight = combine(
        [Constraint("params", max=9), Constraint("flops", min=1), Constraint("params", 7, 3)]
    )
    assert tight == (Constraint("params", 7, 3), Constraint("flops", min=1))
    with pytest.raises(ConstraintError, match="both >= 20000 and <= 10000"):
        combine([Constraint("params", max=1e4), Constraint("params", min=2e4)])
    assert combine([]) == ()


def test_feasible_mask():
    costs = table([1, 5, 9])
    assert feasible_mask([], costs).tolist() == [True] * 3
    assert feasible_mask([Constraint("params", max=5)], costs).tolist() == [True, True, False]
    both = [Constraint("params", max=5), Constraint("params", min=5)]
    assert feasible_mask(both, costs).tolist() == [False, True, False]
    share = [Constraint.parse("params<=50%ref")]
    assert feasible_mask(share, costs, reference=table([10])).tolist() == [True, True, False]
    measured = {"latency": np.array([0.1, np.nan, 0.3])}
    slow = [Constraint("latency", max=0.2)]
    assert feasible_mask(slow, measured).tolist() == [True, False, False]
    assert feasible_mask([], {}).tolist() == []
    with pytest.raises(ConstraintError, match="none was given"):
        feasible_mask(share, costs)
    with pytest.raises(ConstraintError, match="one reference"):
        feasible_mask(share, costs, reference=table([10, 20]))
    with pytest.raises(ConstraintError, match="known cost"):
        feasible_mask(share, costs, reference={"params": np.array([np.nan])})
    with pytest.raises(ConstraintError, match="Unknown cost 'latency'"):
        feasible_mask(slow, costs)
    with pytest.raises(ConstraintError, match="No value"):
        feasible_mask([*share, Constraint("params", min=7)], costs, reference=table([10]))


def test_feasibility_leaves_out_dead_networks_and_counts_why():
    space = get_space("nb201")
    skeleton = space.skeleton((3, 8, 8))
    alive, dead = space.parse("3.3.3.3.3.3"), space.parse("0.0.0.0.0.0")
    costs = space.costs([alive], skeleton)
    limit = Constraint("params", max=float(costs.params[0]) - 1)
    feasible = Feasibility([limit], lambda archs: space.costs(archs, skeleton))
    assert feasible([alive, dead]).tolist() == [False, False]
    assert dict(feasible.excluded([alive, dead])) == {"alive": 1, str(limit): 1}
    assert feasible([]).tolist() == []
    assert dict(feasible.excluded([])) == {}
    loose = Feasibility([limit], lambda archs: space.costs(archs, skeleton), alive=False)
    assert loose([alive, dead]).tolist() == [False, True]
    share = Feasibility(
        [Constraint.parse("params<=100%ref")],
        lambda archs: space.costs(archs, skeleton),
        reference=costs,
    )
    assert share([alive]).tolist() == [True]
    with pytest.raises(ConstraintError):
        Feasibility([Constraint.parse("params<=90%ref")], lambda archs: costs)


def test_objectives_have_a_direction():
    values = np.array([1.0, np.nan])
    assert np.array_equal(Objective("val_accuracy").gain(values), values, equal_nan=True)
    assert np.array_equal(Objective("latency", "min").gain(values), -values, equal_nan=True)
    with pytest.raises(UsageError, match="'up'"):
        Objective("latency", "up")
