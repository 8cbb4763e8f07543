"""Laws that every registered quantity keeps, and the grammar of their names."""

from dataclasses import fields

import pytest

from foretell.errors import PluginError, QuantityError, UnknownNameError, UsageError
from foretell.quantities import UNITS, Quantity, Stage, Subject, get_quantity, quantities
from foretell.registry import resolve
from foretell.search import Constraint, Objective
from foretell.spaces import CostTable, get_space

SPACE = get_space("nb201")
SUBJECT = Subject(SPACE.parse("3.3.3.3.3.3"), SPACE)


@pytest.mark.parametrize("name", quantities.names())
class TestEveryQuantity:
    def test_it_says_what_it_is(self, name):
        entry, quantity = quantities.entry(name), quantities[name]
        assert quantity.name == name
        assert quantity.direction in ("max", "min")
        assert quantity.unit in {*UNITS, "nats", ""}
        assert entry.summary == quantity.summary
        assert quantity.summary.endswith(".")
        assert quantity.summary[0].isupper()
        assert "@" not in name
        assert quantity.given == ""

    def test_something_measures_it(self, name):
        quantity = quantities[name]
        if quantity.measure is None:
            assert quantity.stage is Stage.GRAPH
            assert name in {f.name for f in fields(CostTable)}
            return
        found = quantity.measure
        assert callable(resolve(found) if isinstance(found, str) else found)

    def test_its_argument_is_asked_for_and_checked(self, name):
        quantity = quantities[name]
        if not quantity.argument:
            assert (quantity.arguments, quantity.default, quantity.check) == ((), "", None)
            with pytest.raises(UsageError, match="nothing behind an @"):
                get_quantity(f"{name}@8")
            return
        assert quantity.default in ("", *quantity.arguments)
        if not quantity.default:
            with pytest.raises(UsageError, match=f"needs its {quantity.argument}: .*{name}@"):
                get_quantity(name)
        for argument in quantity.arguments or ("8",):
            one = get_quantity(f"{name}@{argument}")
            assert (one.name, one.given) == (f"{name}@{argument}", argument)
        with pytest.raises(UsageError if quantity.check else UnknownNameError):
            get_quantity(f"{name}@nonsense")

    def test_objective_and_constraint_take_it(self, name):
        text = f"{name}@{(quantities[name].arguments or ('8',))[0]}"
        text = text if quantities[name].argument else name
        assert Objective.parse(text) == Objective(text, quantities[name].direction)
        assert Objective.parse(text).stage is quantities[name].stage
        number = {"s": "4ms", "fraction": "60%"}.get(quantities[name].unit, "3")
        assert Constraint.parse(f"{text}<={number}").stage is quantities[name].stage


def test_stages_are_ordered_by_what_they_cost():
    assert Stage.GRAPH < Stage.BUILT < Stage.TRAINED < Stage.ATTACKED
    by_stage = {stage: {q for q in quantities if quantities[q].stage is stage} for stage in Stage}
    assert {"params", "flops", "memory"} <= by_stage[Stage.GRAPH]
    assert by_stage[Stage.BUILT] == {"latency"}
    assert {"accuracy", "loss", "seconds"} <= by_stage[Stage.TRAINED]
    assert {"fgsm", "pgd"} <= by_stage[Stage.ATTACKED]
    assert {q for q in quantities if not quantities[q].reproducible} == {"latency", "seconds"}


def test_names_are_read_with_their_arguments():
    assert get_quantity(" params ").name == "params"
    assert (get_quantity("latency").name, get_quantity("latency").given) == ("latency", "torch")
    assert get_quantity("pgd@8").given == "8"
    assert get_quantity("pgd@0.5").given == "0.5"


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("parms", UnknownNameError, "did you mean params"),
        ("", UnknownNameError, "Unknown quantity ''"),
        ("@8", UnknownNameError, "Unknown quantity ''"),
        ("latency@", None, "torch"),
        ("latency@onnx", UnknownNameError, "did you mean onnxruntime"),
        ("pgd@", UsageError, "pgd@8"),
        ("pgd@-1", UsageError, "pgd@8"),
        ("pgd@256", UsageError, "pgd@8"),
        ("pgd@nan", UsageError, "pgd@8"),
        ("pgd@inf", UsageError, "pgd@8"),
        ("pgd@8@8", UsageError, "pgd@8"),
        ("no_such.py:energy", PluginError, "no file"),
        ("no_such_module:energy", PluginError, "No module"),
    ],
)
def test_names_that_are_refused(text, error, word):
    if error is None:
        assert get_quantity(text).given == word
        return
    with pytest.raises(error) as caught:
        get_quantity(text)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_quantity_from_a_file(tmp_path):
    path = tmp_path / "energy.py"
    path.write_text(
        "from foretell import Quantity\n"
        "def joules(subject):\n"
        "    return {'value': 2.0 * sum(subject.arch.genes), 'genes': len(subject.arch.genes)}\n"
        "def scaled(subject, factor):\n"
        "    return float(factor) * sum(subject.arch.genes)\n"
        "energy = Quantity('energy', 'J', 'min', measure=joules)\n"
        "times = Quantity('times', measure=scaled, argument='factor', check=float)\n"
        "number = 3\n",
        encoding="utf-8",
    )
    energy = get_quantity(f"{path}:energy")
    assert (energy.name, energy.unit, energy.direction) == (f"{path}:energy", "J", "min")
    assert energy.stage is Stage.TRAINED
    assert energy.value(SUBJECT) == (36.0, {"genes": 6.0})
    assert Objective.parse(f"{path}:energy") == Objective(f"{path}:energy", "min")
    assert Objective.parse(f"max:{path}:energy").direction == "max"
    assert str(Objective.parse(f"max:{path}:energy")) == f"max:{path}:energy"
    assert Constraint.parse(f"{path}:energy<=3k").max == 3000
    assert get_quantity(f"{path}:times@2.5").value(SUBJECT) == (45.0, {})
    with pytest.raises(UsageError, match="needs its factor"):
        get_quantity(f"{path}:times")
    with pytest.raises(PluginError, match=r"is a int, but a foretell\.Quantity is expected"):
        get_quantity(f"{path}:number")
    with pytest.raises(PluginError, match="no attribute 'enrgy': it has energy"):
        get_quantity(f"{path}:enrgy")


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (None, "it returned None, which is no number"),
        ("fast", "it returned 'fast', which is no number"),
        ([1.0, 2.0], "which is no number"),
        (float("nan"), "its value is nan"),
        (float("inf"), "its value is inf"),
        ({}, "has no entry 'value'"),
        ({"joules": 1.0}, "has no entry 'value'"),
        ({"value": None}, "it returned None, which is no number"),
        ({"value": 1.0, "mode": "cold"}, "it returned 'cold', which is no number"),
    ],
)
def test_results_that_are_no_value(result, why):
    with pytest.raises(QuantityError) as caught:
        Quantity("energy", measure=lambda subject: result).value(SUBJECT)
    assert str(caught.value).startswith("energy could not be measured: ")
    assert why in str(caught.value)
    assert caught.value.name == "energy"


def test_what_measures_is_found_late_and_its_own_errors_pass():
    assert Quantity("energy", measure="math:sin").measure == "math:sin"
    with pytest.raises(PluginError, match="no_such"):
        Quantity("energy", measure="no_such:joules").value(SUBJECT)
    with pytest.raises(QuantityError, match="give measure="):
        Quantity("energy").value(SUBJECT)

    def broken(subject):
        raise ZeroDivisionError("no current")

    with pytest.raises(ZeroDivisionError, match="no current"):
        Quantity("energy", measure=broken).value(SUBJECT)
    with pytest.raises(UsageError, match="'max' or 'min' for 'energy'"):
        Quantity("energy", direction="up")
