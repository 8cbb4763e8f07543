"""Modules of any kind: what counts, what is left out, and what is refused."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foretell.arch import Arch
from foretell.errors import (
    DeadNetworkError,
    ModuleRaisedError,
    NetworkError,
    NoParametersError,
    TooFewBatchesError,
)
from foretell.networks import build
from foretell.proxies import Batches, Needs, collect, make_plan, needs_of, proxies
from foretell.proxies.cell_pass.lower import lower
from foretell.spaces import Skeleton


def batches(n=8, size=8, classes=4):
    generator = torch.Generator().manual_seed(0)
    images = tuple(torch.randn((n, 3, size, size), generator=generator) for _ in range(2))
    return Batches(images, (torch.arange(n) % classes, torch.arange(n) % classes))


def values(module, *names, data=None, seed=0):
    """Values of the proxies, and what the pass left."""
    needs = Needs.NONE
    for name in names:
        needs |= needs_of(proxies.entry(name))
    data = data or batches()
    found = collect(module, data, make_plan(needs, len(data)), seed=seed)
    return [float(proxies[name](found)) for name in names]


class Net(nn.Module):
    """Convolution, norm, ReLU, twice; options change what the pitfalls are about."""

    def __init__(self, relu="module", norm=True, extra=False, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 6, 3, padding=1)
            self.more = nn.Conv2d(6, 6, 3, padding=1)
            self.head = nn.Linear(6, 4)
        self.norm = nn.BatchNorm2d(6) if norm else nn.Identity()
        self.relu = {"module": nn.ReLU(), "inplace": nn.ReLU(inplace=True)}.get(relu)
        self.kind = relu
        if extra:
            self.unused = nn.Conv2d(6, 6, 3)

    def act(self, x):
        if self.relu is not None:
            return self.relu(x)
        functions = {"F": F.relu, "torch": torch.relu, "method": lambda v: v.relu()}
        functions |= {"method_": lambda v: v.relu_(), "F_": lambda v: F.relu(v, inplace=True)}
        functions |= {"gelu": F.gelu, "none": lambda v: v}
        return functions[self.kind](x)

    def features(self, x):
        return self.act(self.more(self.act(self.norm(self.conv(x)))))

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


FIRST = ("grad_norm", "snip", "plain", "fisher", "grasp", "jacov", "epe_nas", "nwot", "l2_norm")


@pytest.mark.parametrize("relu", ["inplace", "F", "torch", "method", "method_", "F_"])
@pytest.mark.parametrize("norm", [True, False])
def test_every_way_to_write_relu_is_the_same(relu, norm):
    expected = values(Net("module", norm), *FIRST, "zen", "synflow", "zico")
    assert values(Net(relu, norm), *FIRST, "zen", "synflow", "zico") == pytest.approx(
        expected, rel=1e-6
    )


def test_fisher_keeps_what_an_operation_overwrites():
    class Scaled(Net):
        def forward(self, x):
            y = self.conv(x)
            y = y * 2 if self.kind == "copy" else y.mul_(2)
            return self.head(torch.relu(y).mean((2, 3)))

    assert values(Scaled("write"), "fisher") == pytest.approx(values(Scaled("copy"), "fisher"))


def test_no_relu_has_no_nwot_but_a_reason():
    data = batches()
    needs = needs_of(proxies.entry("nwot")) | Needs.GRADS
    found = collect(Net("gelu"), data, make_plan(needs, 2), seed=0)
    with pytest.raises(Exception, match="has no ReLU"):
        proxies["nwot"](found)
    assert np.isfinite(float(proxies["grad_norm"](found)))


def test_each_relu_counts_once_whatever_contains_it():
    net = Net()
    wrapped = nn.Sequential(nn.Sequential(copy.deepcopy(net)))
    assert values(wrapped, *FIRST, "synflow") == values(net, *FIRST, "synflow")
    found = collect(net, batches(), make_plan(Needs.CODES, 2), seed=0)
    assert found.codes.diagonal().tolist() == [2 * 6 * 64.0] * 8


def test_what_does_not_reach_the_output_does_not_count():
    class Side(Net):
        def forward(self, x):
            y = self.features(x)
            self.norm(self.act(self.unused(y)))
            return self.head(y.mean((2, 3)))

    names = (*FIRST, "synflow", "logsynflow", "zico", "live_params", "sum_log_params")
    assert values(Side(extra=True), *names) == values(Net(), *names)
    assert values(Side(extra=True), "zen") == values(Net(), "zen")
    assert values(Net(extra=True), "params")[0] > values(Net(extra=True), "live_params")[0]


@pytest.mark.parametrize("name", list(proxies.names()))
def test_unused_and_frozen_parameters_do_no_harm(name):
    net = Net(extra=True)
    net.norm.weight.requires_grad_(False)
    assert np.isfinite(values(net, name)).all()


def test_a_set_of_proxies_changes_no_value():
    net, names = Net(), list(proxies.names())
    together = values(net, *names)
    assert [values(net, name)[0] for name in names] == pytest.approx(together, rel=1e-6)


def test_eval_mode_is_scored_as_train_mode_and_kept():
    net = Net().eval()
    net.conv.train()
    assert values(net, *FIRST) == values(Net(), *FIRST)
    assert net.conv.training
    assert not net.norm.training


def test_norm_without_affine_or_running_statistics():
    net = Net()
    net.norm = nn.BatchNorm2d(6, affine=False, track_running_stats=False)
    names = (*FIRST, "zen", "synflow", "zico")
    assert values(net, *names) == pytest.approx(values(Net(), *names), rel=1e-5)


def test_group_norm_and_dropout():
    net = Net()
    net.norm = nn.Sequential(nn.GroupNorm(2, 6), nn.Dropout(0.5))
    names = [n for n in proxies.names() if n not in ("flops",)]
    assert np.isfinite(values(net, *names)).all()
    assert values(net, *names) == values(net, *names)


def test_weights_used_twice_are_one_layer():
    class Shared(Net):
        def features(self, x):
            y = self.act(self.norm(self.conv(x)))
            return self.act(self.more(self.act(self.more(y))))

    net, data = Shared(), batches()
    found = collect(net, data, make_plan(Needs.GRADS | Needs.FISHER, 2), seed=0)
    assert len(found.grads) == len(found.fisher) == 3
    F.cross_entropy(net.train()(data.images[0]), data.labels[0]).backward()
    assert torch.allclose(found.grads[1], net.more.weight.grad)


def test_parametrised_weights():
    net, same = Net(), Net()
    nn.utils.parametrizations.weight_norm(net.conv)
    assert values(net, "grad_norm", "snip", "grasp", "l2_norm") == pytest.approx(
        values(same, "grad_norm", "snip", "grasp", "l2_norm"), rel=1e-5
    )


def test_transformers_run():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Linear(3 * 16, 8)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
            self.head = nn.Linear(8, 4)

        def forward(self, x):
            patches = F.unfold(x, 4, stride=4).transpose(1, 2)
            return self.head(self.block(self.embed(patches)).mean(1))

    names = ("grad_norm", "snip", "fisher", "jacov", "nwot", "synflow", "zico", "zen", "params")
    assert np.isfinite(values(Attention(), *names)).all()


def test_lowered_and_any_module_agree_only_where_lowering_is_exact():
    net = build(Arch("nb201", (3, 1, 2, 4, 1, 3)), Skeleton((3, 8, 8), 4, 4, 1), seed=0)
    assert lower(net) is not None
    assert lower(Net()) is None
    net.layers[0].register_forward_hook(lambda m, args, out: out * 2)
    assert lower(net) is None
    changed = build(Arch("nb201", (3, 1, 2, 4, 1, 3)), Skeleton((3, 8, 8), 4, 4, 1), seed=0)
    changed.head.weight.requires_grad_(False)
    assert lower(changed) is None


def _conv(**changes):
    return lambda net: setattr(net.layers[0].edges[0], "conv", nn.Conv2d(4, 4, 3, **changes))


def _edge(place, op):
    return lambda net: net.layers[0].edges.__setitem__(place, op)


@pytest.mark.parametrize(
    "change",
    [
        _conv(padding="same", bias=False),
        _conv(padding=1, bias=True),
        _conv(padding=2, dilation=2, bias=False),
        _conv(padding=1, groups=2, bias=False),
        _conv(padding=1, padding_mode="circular", bias=False),
        _edge(3, nn.AvgPool2d((3, 3), 1, 1, count_include_pad=False)),
        _edge(3, nn.AvgPool2d(3, 1, 1)),
        _edge(3, nn.AvgPool2d(3, 1, 1, count_include_pad=False, divisor_override=2)),
        _edge(3, nn.MaxPool2d(3, 1, 1)),
        _edge(3, nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False))),
        lambda net: setattr(net.layers[0].edges[0], "relu", nn.GELU()),
        lambda net: setattr(net.layers[0].edges[0], "relu", nn.Identity()),
        lambda net: setattr(net.layers[0].edges[0], "norm", nn.GroupNorm(2, 4)),
        lambda net: setattr(net.layers[0], "forward", lambda x: 2 * x),
        lambda net: setattr(net.layers[1], "pool", nn.Identity()),
        lambda net: net.last.__setitem__(1, nn.GELU()),
        lambda net: net.stem.append(nn.ReLU()),
        lambda net: setattr(net, "head", nn.Sequential(net.head)),
    ],
)
def test_a_network_of_cells_that_was_changed_is_not_lowered(change):
    net = build(Arch("nb201", (3, 1, 2, 4, 1, 3)), Skeleton((3, 8, 8), 4, 4, 1), seed=0)
    assert lower(net) is not None
    change(net)
    assert lower(net) is None


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, x):
        raise RuntimeError("wrong shape of soup")


class Gives(Net):
    def __init__(self, what):
        super().__init__()
        self.what = what

    def forward(self, x):
        return self.what(super().forward(x))


def test_refusals():
    plan = make_plan(Needs.GRADS, 2)
    with pytest.raises(NoParametersError, match="no parameters"):
        collect(nn.Flatten(), batches(), plan, seed=0)
    only_norm = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NoParametersError, match="no convolution or linear"):
        collect(only_norm, batches(classes=3), plan, seed=0)
    with pytest.raises(ModuleRaisedError, match="soup") as caught:
        collect(Raises(), batches(), plan, seed=0)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(NetworkError, match=r"\(n, classes\)"):
        collect(Gives(lambda y: (y, y)), batches(), plan, seed=0)
    with pytest.raises(NetworkError, match=r"\(n, classes\)"):
        collect(Gives(lambda y: y[:, 0]), batches(), plan, seed=0)
    with pytest.raises(NetworkError, match="at least 6 classes"):
        collect(Net(), batches(classes=6), plan, seed=0)
    with pytest.raises(DeadNetworkError):
        collect(Gives(torch.ones_like), batches(), plan, seed=0)
    with pytest.raises(NetworkError, match="no gradient leads"):
        collect(Gives(lambda y: y.detach().requires_grad_() * 1), batches(), plan, seed=0)
    with pytest.raises(TooFewBatchesError):
        make_plan(Needs.BATCH_GRADS, 1)


@pytest.mark.parametrize(
    ("names", "forwards", "backwards"),
    [
        (["l2_norm"], 1, 0),
        (["nwot"], 1, 0),
        (["grad_norm", "snip", "plain", "fisher", "nwot", "l2_norm", "params"], 1, 1),
        (["jacov", "epe_nas", "nwot"], 1, 1),
        (["grasp", "grad_norm", "jacov"], 1, 3),
        (["zico", "zico_code", "grad_norm"], 2, 2),
        (["zen"], 3, 0),
        (["synflow", "logsynflow", "grad_norm"], 2, 2),
        ([*proxies.names()], 5, 5),
    ],
)
def test_the_plan_is_what_runs(names, forwards, backwards):
    needs = Needs.NONE
    for name in names:
        needs |= needs_of(proxies.entry(name))
    plan = make_plan(needs, 2)
    assert (plan.forwards, plan.backwards) == (forwards, backwards)
    ran = []
    net = Net()
    net.conv.register_forward_hook(lambda m, args, out: ran.append(1))
    collect(net, batches(), plan, seed=0)
    counted = forwards + (Needs.COSTS in needs)  # multiply-adds are counted on the meta device
    assert len(ran) in (forwards, counted)


def test_costs_in_closed_form_need_no_pass():
    plan = make_plan(Needs.COSTS, 1, closed_form=True)
    assert (plan.forwards, plan.backwards) == (0, 0)
