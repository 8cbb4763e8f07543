"""Networks that keep, change, draw or hide something while they run."""

import math
import random
from collections import deque

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from foretell.proxies import Batches, score

NAMES = ("grad_norm", "snip", "fisher", "nwot", "zen", "synflow", "zico", "grasp", "jacov")


def data():
    generator = torch.Generator().manual_seed(1)
    images = tuple(torch.randn(8, 3, 6, 6, generator=generator).double() for _ in range(2))
    return Batches(images, (torch.arange(8) % 4, (torch.arange(8) + 1) % 4))


class Net(nn.Module):
    """Two convolutions, the average, a head; what happens on the way is said by ``way``."""

    def __init__(self, way="plain"):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.head, self.way = nn.Linear(6, 4), way
        self.double()
        self.last, self.cache, self.log = None, {}, [[0]]
        self.queue = deque([1.0], maxlen=2)
        self.streams = {
            "torch": torch.Generator().manual_seed(0),
            "numpy": np.random.default_rng(0),
            "python": random.Random(0),
        }

    def forward(self, x):
        x = F.relu(self.b(F.relu(self.a(x)))).mean((2, 3))
        return self.head(WAYS[self.way](self, x))


def _keeps(net, x):
    x = x if net.last is None else x + net.last
    net.last = x.detach()
    return x


def _caches(net, x):
    net.log[0].append(len(net.cache))
    x = x + net.cache.get("x", 0) + net.queue.popleft() - 1
    net.cache["x"] = x
    return x


def _adds(net, x):
    if not hasattr(net, "more"):
        net.more = nn.Linear(6, 6).double()
        net.register_buffer("seen", x.detach())
        net.head.register_forward_hook(lambda m, args, out: out * 3)
    return x


def _deletes(net, x):
    net.a.weight_of_old = net.a._parameters.pop("weight")
    return x


def _of_own_streams(net, x):
    size = torch.rand((), generator=net.streams["torch"]).item()
    return x * (1 + size + net.streams["numpy"].random() + net.streams["python"].random())


def _of_global_streams(net, x):
    return x * (1 + np.random.random() + random.random())  # noqa: NPY002


def _other_numbers(net, x):
    torch.set_default_dtype(torch.float64)
    return x


class Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.clone()


def _without_gradients(net, x):
    with torch.no_grad():
        return x * 2


def _scaled(net, x):
    net.head.weight.data.mul_(2.0)
    return x


def _shifted(net, x):
    with torch.no_grad():
        net.head.bias.add_(1.0)
    return x


WAYS = {
    "plain": lambda net, x: x,
    "keeps a tensor": _keeps,
    "caches": _caches,
    "adds parts": _adds,
    "deletes parts": _deletes,
    "draws from streams of its own": _of_own_streams,
    "draws from global streams": _of_global_streams,
    "other default type": _other_numbers,
    "custom function": lambda net, x: Gate.apply(x),
    "vmap": lambda net, x: torch.vmap(lambda row: row * 1)(x),
    "scales its weights": _scaled,
    "shifts its bias": _shifted,
    "detaches": lambda net, x: x.detach(),
    "without gradients": _without_gradients,
    "eight images": lambda net, x: x.view(8, 6) if len(x) > 3 or net.a is None else 1 / 0,
}
SAME = ("keeps a tensor", "other default type", "custom function", "vmap")


def held(net):
    """All that a network holds, by value."""
    own = {k: v.clone() for k, v in net.state_dict().items()}
    hooks = [len(m._forward_hooks) for m in net.modules()]
    states = [
        net.streams["torch"].get_state().tolist(),
        net.streams["numpy"].bit_generator.state,
        net.streams["python"].getstate(),
    ]
    names = [sorted(vars(m)) for m in net.modules()]
    return own, [hooks, states, names, net.last, dict(net.cache), str(net.log), list(net.queue)]


def world():
    return [
        torch.get_rng_state().tolist(),
        [str(part) for part in np.random.get_state()],  # noqa: NPY002
        random.getstate(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    ]


def row(net, names=NAMES):
    result = score([net], [*names, "params"], data())
    return dict(zip(names, result.values[0, :-1].tolist(), strict=True)), result


@pytest.fixture(scope="module")
def plain():
    return row(Net())[0]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_changes_and_company_does_not_matter(way, plain):
    net = Net(way)
    (tensors, rest), around = held(net), world()
    values, result = row(net)
    now, others = held(net)
    assert world() == around
    assert others == rest
    assert now.keys() == tensors.keys()
    assert all(torch.equal(now[k], tensors[k]) for k in now)
    if way in ("detaches", "without gradients"):
        assert "no gradient leads" in result.failures[0]
        assert result.alive[0]
        return
    assert not result.failures
    for name in ("grad_norm", "zen", "synflow", "zico"):
        alone = row(Net(way), (name,))[0][name]
        assert alone == pytest.approx(values[name], rel=1e-9, nan_ok=True), name
    if way in SAME:
        assert values == pytest.approx(plain, rel=1e-9)


@pytest.mark.parametrize("way", ["scales its weights", "shifts its bias"])
def test_what_is_written_into_a_parameter_counts_once_in_every_forward(way):
    net = Net()
    with torch.no_grad():
        if way.startswith("scales"):
            net.head.weight.mul_(2)
        else:
            net.head.bias.add_(1)
    names = ("nwot", "jacov")
    assert row(Net(way), names)[0] == pytest.approx(row(net, names)[0], rel=1e-9)
    gradient = ("grad_norm", "zico")
    assert row(Net(way), gradient)[0] == pytest.approx(row(net, gradient)[0], rel=1e-9)


def test_complex_parameters_are_refused_in_words():
    net = Net()
    net.phase = nn.Parameter(torch.ones(4, dtype=torch.complex128))
    assert "complex" in row(net)[1].failures[0]
    assert math.isnan(row(net)[0]["snip"])
