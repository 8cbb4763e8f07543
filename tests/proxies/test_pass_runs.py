"""How forwards run: modes, wrappers, precision, failures of one value, networks of cells."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_pass_layers import close, data, row
from torch import nn
from torch.utils.checkpoint import checkpoint

from foretell.arch import Arch
from foretell.networks import build
from foretell.proxies import Batches, Collector, Needs, Step, collectors, proxies, score
from foretell.proxies.cell_pass.lower import lower
from foretell.spaces import Skeleton

ALL = [n for n in proxies.names() if n not in ("epe_nas",)]


class Block(nn.Module):
    """Convolution, normalisation, ReLU, each as a part that can be replaced."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Checkpointed(Block):
    def __init__(self, reentrant):
        super().__init__()
        self.reentrant = reentrant

    def forward(self, x):
        y = checkpoint(self.body, self.stem(x), use_reentrant=self.reentrant)
        return self.head(y.mean((2, 3)))


class Counting(Block):
    """Remembers how often it ran; the second run is another function."""

    runs = 0

    def forward(self, x):
        self.runs += 1
        return super().forward(x * self.runs)


class Writing(Block):
    def forward(self, x):
        return super().forward(x.mul_(1.0))


def scripted():
    net = Block()
    net.body = torch.jit.script(net.body)
    return net


def compiled():
    net = Block()
    net.body = torch.compile(net.body, backend="eager")
    return net


WAYS = {
    "checkpoint": lambda: Checkpointed(False),
    "reentrant checkpoint": lambda: Checkpointed(True),
    "counting": Counting,
    "writing": Writing,
    "scripted part": scripted,
    "scripted": lambda: torch.jit.script(Block()),
    "parallel": lambda: nn.DataParallel(Block()),
    "channels last": lambda: Block().to(memory_format=torch.channels_last),
    "compiled part": compiled,
    "float64": lambda: Block().double(),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_values_are_those_of_the_plain_network(way):
    names = [n for n in ALL if n not in ("zen",)] if way == "float64" else ALL
    close(row(WAYS[way](), names), row(Block(), names), rel=1e-3 if way == "float64" else 1e-4)


def test_bfloat16_is_near_and_nothing_changes():
    net = Block().bfloat16()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found = row(net, ["grad_norm", "synflow", "nwot", "zen"])
    assert found == pytest.approx(row(Block(), list(found)), rel=0.08)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    with torch.inference_mode():
        assert row(Block(), ["grad_norm"]) == pytest.approx(row(Block(), ["grad_norm"]))


def test_lazy_layers_meet_an_image_first_and_stay_lazy():
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten())
    net.append(nn.LazyLinear(3))
    first, again = (row(net, ["grad_norm", "nwot", "params", "zen"]) for _ in range(2))
    assert first == again
    assert first["params"] == 40 + 8 + 4 * 36 * 3 + 3
    assert isinstance(net[0], nn.LazyConv2d)


class Side(nn.Module):
    """Runs other layers in training than in evaluation."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.kind = nn.Linear(4, 3), kind
        self.extra = nn.Linear(4, 3) if kind == "head" else nn.Conv2d(1, 2, 1)

    def forward(self, x):
        if self.kind == "logged" and not self.training:
            self.extra(x)
        skip = self.kind == "dropped" and self.training
        x = F.relu(self.a(x))
        side = 0.3 * self.extra(x.mean((2, 3))) if self.kind == "head" and self.training else 0
        return self.head((x if skip else F.relu(self.b(x))).mean((2, 3))) + side


@pytest.mark.parametrize("kind", ["logged", "dropped", "head"])
def test_synflow_runs_what_evaluation_runs(kind):
    names = ["synflow", "logsynflow"]
    assert row(Side(kind), names) == row(Side("bare"), names)
    assert math.isfinite(row(Side(kind), ["grad_norm"])["grad_norm"])


def test_layers_that_are_drawn_do_not_depend_on_what_is_asked():
    class Drawn(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.drop = nn.Linear(64, 8), nn.Dropout(0.5)
            self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            x = self.drop(F.relu(self.stem(x.flatten(1))))
            for block in self.blocks:
                if not self.training or torch.rand(()) < 0.5:
                    x = x + F.relu(block(x))
            return self.head(x)

    names = ["l2_norm", "synflow", "nwot", "zen", "zico", "grasp", "params"]
    together = row(Drawn(), names)
    for name in names:
        assert row(Drawn(), [name])[name] == pytest.approx(together[name], rel=1e-5), name


class Raising(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no way back")


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * 1


class With(Block):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.head(self.function(self.body(self.stem(x))).mean((2, 3)))


def _refuse(x):
    raise RecursionError("too deep")


def test_what_raises_costs_its_own_values_and_no_other_row():
    items = [Block(), With(Raising.apply), With(Once.apply), With(_refuse), Block()]
    names = ["nwot", "grad_norm", "jacov", "grasp", "zen", "params"]
    scores = score(items, names, data())
    missing = np.isnan(scores.values)
    assert missing[1].tolist() == [False, True, True, True, False, False]
    assert missing[2].tolist() == [False, False, False, True, False, False]
    assert missing[3].all()
    assert not missing[[0, 4]].any()
    assert "no way back" in scores.reasons[1, "grad_norm"]
    assert "RecursionError" in scores.failures[3]
    assert scores.values[2, :3] == pytest.approx(scores.values[0, :3], rel=1e-6)


def test_labels_beyond_the_outputs_cost_the_values_of_the_loss():
    batches = data(classes=5)
    scores = score([Block()], ["fisher", "zico", "nwot", "params"], batches)
    assert np.isnan(scores.values[0]).tolist() == [True, True, False, False]
    assert "at least 5 classes" in scores.reasons[0, "fisher"]
    cells = score([Arch("nb201", (3, 1, 2, 4, 1, 3))], ["nwot", "snip"], data(classes=5),
                  skeleton=Skeleton((1, 8, 8), 3, 4, 1))  # fmt: skip
    assert np.isnan(cells.values[0]).tolist() == [False, True]


def test_a_hook_of_a_collector_that_raises_costs_its_own_need():
    @collectors.add("falling", step=Step.WEIGHTS)
    class Falling(Collector):
        """Raises while the network runs."""

        def layer(self, index, out):
            raise ZeroDivisionError("by zero")

        def collect(self, run):
            return 1.0

    proxies.register("of_falling", lambda c: c.part("falling"), needs=Needs.of("falling"))
    try:
        scores = score([Block()], ["of_falling", "snip"], data())
    finally:
        del proxies._entries["of_falling"], collectors._entries["falling"]
    assert "ZeroDivisionError" in scores.reasons[0, "of_falling"]
    assert np.isfinite(scores.values[0, 1])


def test_batches_of_the_same_images_have_no_zico():
    x, y = data().images[0], torch.arange(6) % 3
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    same = Batches((x, x[order]), (y, y[order]))
    cells = Arch("nb201", (3, 1, 2, 4, 1, 3)), Skeleton((1, 8, 8), 3, 4, 1)
    for item in (Block(), cells[0]):
        scores = score([item], ["zico", "zico_code", "snip"], same, skeleton=cells[1])
        assert np.isnan(scores.values[0]).tolist() == [True, True, False]
        assert "6 of 6" in scores.reasons[0, "zico"]
    half = Batches((x, torch.cat([x[:3], data().images[1][:3]])), (y, y))
    assert math.isfinite(row(Block(), ["zico"], half)["zico"])


class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def _first_conv(net):
    return net.layers[0].edges[0].conv


class Sub(nn.ReLU):
    def forward(self, x):
        return F.softplus(x)


def _freeze(net):
    _first_conv(net).weight.requires_grad_(False)


def _share(net):
    net.layers[0].edges[5].conv.weight = _first_conv(net).weight


def _same_module(net):
    net.layers[0].edges[5] = net.layers[0].edges[0]


def _own_method(net):
    _first_conv(net)._conv_forward = lambda x, w, b: F.conv2d(x, w.abs(), b, padding=1)


CHANGES = {
    "activation": lambda net: setattr(net.layers[0].edges[0], "relu", nn.GELU()),
    "subclass": lambda net: setattr(net.layers[0].edges[0], "relu", Sub()),
    "norm": lambda net: setattr(net.layers[0].edges[0], "norm", nn.GroupNorm(2, 4)),
    "padding mode": lambda net: setattr(_first_conv(net), "padding_mode", "reflect"),
    "plan": lambda net: setattr(net.layers[0], "plan", (((0, 0),), ((1, 0),), ((3, 0), (5, 2)))),
    "parametrised": lambda net: nn.utils.parametrizations.weight_norm(_first_conv(net)),
    "pruned": lambda net: nn.utils.prune.random_unstructured(_first_conv(net), "weight", 0.5),
    "hook": lambda net: net.layers[0].register_forward_pre_hook(lambda m, args: (2 * args[0],)),
    "backward hook": lambda net: net.head.register_full_backward_hook(lambda m, i, o: None),
    "frozen": _freeze,
    "shared": _share,
    "same module": _same_module,
    "own method": _own_method,
    "double": lambda net: net.double(),
    "momentum": lambda net: setattr(net.layers[0].edges[0].norm, "momentum", None),
    "forward": lambda net: setattr(net, "forward", lambda x: 2 * type(net).forward(net, x)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_network_of_cells_is_scored_as_it_runs(name):
    def net():
        made = build(Arch("nb201", (3, 1, 2, 4, 1, 3)), Skeleton((1, 8, 8), 3, 4, 1), seed=0)
        torch.manual_seed(0)
        CHANGES[name](made)
        return made

    names = ["grad_norm", "nwot", "fisher", "synflow"]
    if name == "padding mode":
        for made in (first := net()), (second := net()):
            _first_conv(made)._reversed_padding_repeated_twice = [1, 1, 1, 1]
    else:
        first, second = net(), net()
    if name != "double":  # which the operations by hand can do as well
        assert lower(first) is None
    close(row(first, names), row(Wrapped(second), names), rel=1e-4)
