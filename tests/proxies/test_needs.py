"""A need from outside the package: collected by hooks, planned, and read by its proxy alone."""

import math

import pytest
import torch
from torch import nn

from foretell.errors import DuplicateNameError, ProxyError, UnknownNameError
from foretell.proxies import (
    Batches,
    Collector,
    Needs,
    Step,
    collect,
    collectors,
    make_plan,
    proxies,
    score,
)


@collectors.add("seen", step=Step.WEIGHTS)
class Seen(Collector):
    """How often each hook was called, and whether the backward ran."""

    def __init__(self, n):
        super().__init__(n)
        self.calls = []

    def layer(self, index, out):
        self.calls.append(("layer", index, tuple(out.shape)))

    def relu(self, index, x):
        self.calls.append(("relu", index, tuple(x.shape)))

    def write(self, x):
        self.calls.append(("write", tuple(x.shape)))

    def backward(self, running):
        self.calls.append(("backward", running))

    def collect(self, run):
        return self.calls, [tuple(g.shape) for g in run.grads], run.classes


@collectors.add("gradient_norm_slope", step=Step.SECOND)
class Slope(Collector):
    """Derivative of half the squared norm of the gradients with respect to each layer."""

    def collect(self, run):
        return run.second(lambda grads: sum(g.square().sum() for g in grads) / 2)


@collectors.add("raising", step=Step.LAYERS)
class Raising(Collector):
    """Fails on every network."""

    def collect(self, run):
        raise ZeroDivisionError("by zero")


@collectors.add("missing", step=Step.LAYERS)
class Missing(Collector):
    """What no network has."""

    def collect(self, run):
        raise ProxyError("The network has no such thing.")


@pytest.fixture
def readers():
    """Proxies that read needs from outside; gone after the test."""
    needs = {"raising": Needs.of("raising"), "missing": Needs.of("missing"), "seen": Needs.NONE}
    names = [f"of_{name}" for name in needs]
    for (part, need), name in zip(needs.items(), names, strict=True):
        proxies.register(name, lambda c, part=part: c.part(part), needs=need)
    yield names
    for name in names:
        del proxies._entries[name]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(48, 4)
    )


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return Batches((torch.randn((5, 1, 4, 4), generator=generator),), (torch.arange(5) % 4,))


def test_hooks_see_the_first_forward_and_its_backward(batches):
    plan = make_plan(Needs.of("seen"), 1)
    assert (plan.forwards, plan.backwards, plan.probe) == (1, 1, False)
    calls, shapes, classes = collect(network(), batches, plan, seed=0).part("seen")
    assert calls == [
        ("layer", 0, (5, 3, 4, 4)),
        ("relu", 0, (5, 3, 4, 4)),
        ("write", (5, 3, 4, 4)),
        ("layer", 1, (5, 4)),
        ("backward", True),
        ("backward", False),
    ]
    assert shapes == [(3, 1, 3, 3), (4, 48)]
    assert classes == 4


def test_second_order_is_that_of_autograd_beside_grasp(batches):
    """Two needs share one graph."""
    net = network()
    needs = Needs.of("gradient_norm_slope") | Needs.GRASP
    found = collect(net, batches, make_plan(needs, 1), seed=0)
    weights = [net[0].weight, net[3].weight]
    loss = nn.functional.cross_entropy(net(batches.images[0]), batches.labels[0])
    grads = torch.autograd.grad(loss, weights, create_graph=True)
    expected = torch.autograd.grad(sum(g.square().sum() for g in grads) / 2, weights)
    for value, other in zip(found.part("gradient_norm_slope"), expected, strict=True):
        torch.testing.assert_close(value, other)
    product = sum(float((w * h).detach().sum()) for w, h in zip(weights, expected, strict=True))
    assert found.grasp == pytest.approx(product, rel=1e-4)


def test_a_collector_that_fails_costs_its_own_proxies_alone(batches, readers):
    scores = score([network()], [*readers, "grad_norm"], batches)
    assert not scores.failures
    assert [math.isnan(v) for v in scores.values[0]] == [True, True, True, False]
    assert "ZeroDivisionError: by zero" in scores.reasons[0, "of_raising"]
    assert scores.reasons[0, "of_missing"] == "The network has no such thing."
    assert "declare Needs.of('seen')" in scores.reasons[0, "of_seen"]


def test_needs_are_sets_of_names():
    both = Needs.CODES | Needs.GRADS
    assert str(both) == "grads, codes"  # in the order of the registry
    assert str(Needs.NONE) == "none"
    assert Needs.CODES in both
    assert both not in Needs.CODES
    assert both & ~Needs.CODES == Needs.GRADS
    assert not Needs.CODES & Needs.GRADS
    assert Needs.of("codes", "grads") == both


def test_unknown_and_taken_names_are_refused():
    with pytest.raises(UnknownNameError, match="jacobian"):
        Needs.of("jacobain")
    with pytest.raises(DuplicateNameError):
        collectors.add("codes", step=Step.FORWARD)(Seen)
