"""What a layer is: products with weights, however they are written, against plain autograd."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations, prune

from foretell.proxies import Batches, score

SUMS = ["grad_norm", "snip", "plain", "l2_norm", "zico", "synflow", "logsynflow", "fisher"]


def data(n=6, shape=(1, 8, 8), classes=3):
    generator = torch.Generator().manual_seed(5)
    images = tuple(torch.randn((n, *shape), generator=generator) for _ in range(2))
    return Batches(images, (torch.arange(n) % classes, (torch.arange(n) + 1) % classes))


def row(module, names, batches=None):
    """Values by name; a row that failed fails the test."""
    scores = score([module], names, batches or data())
    assert not scores.failures, scores.failures
    return dict(zip(names, scores.values[0].tolist(), strict=True))


def close(a, b, rel=2e-5):
    assert a.keys() == b.keys()
    for name, value in b.items():
        assert a[name] == pytest.approx(value, rel=2e-2 if name == "zico" else rel, nan_ok=True), (
            name
        )


class Tokens(nn.Module):
    """A small transformer; its attention has a packed projection."""

    def __init__(self, position=False):
        super().__init__()
        torch.manual_seed(3)
        self.patch = nn.Conv2d(1, 8, 2, 2)
        self.block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)
        self.position = nn.Parameter(torch.randn(1, 16, 8) * 0.1) if position else None

    def forward(self, x):
        t = self.patch(x).flatten(2).transpose(1, 2)
        t = t if self.position is None else t + self.position
        return self.head(self.block(t).mean(1))


def test_projections_of_attention_are_layers():
    net, batches = Tokens(), data()
    attention = net.block.self_attn
    weights = [
        net.patch.weight, attention.in_proj_weight, attention.out_proj.weight,
        net.block.linear1.weight, net.block.linear2.weight, net.head.weight,
    ]  # fmt: skip
    with sdpa_kernel(SDPBackend.MATH):
        loss = F.cross_entropy(net.train()(batches.images[0]), batches.labels[0])
        grads = torch.autograd.grad(loss, weights, create_graph=True)
        flow = sum((g * g.detach()).sum() for g in grads)
        hessian = torch.autograd.grad(flow, weights)
    expected = {
        "grad_norm": sum(float(g.detach().norm()) for g in grads),
        "snip": sum(float((w * g).abs().sum()) for w, g in zip(weights, grads, strict=True)),
        "grasp": -sum(float((w * h).sum()) for w, h in zip(weights, hessian, strict=True)),
        "l2_norm": sum(float(w.norm()) for w in weights),
        "sum_log_params": sum(math.log(w.numel()) for w in weights),
    }
    close(row(net, list(expected)), expected)


def test_what_no_layer_sees_is_told_as_a_share():
    net = Tokens(position=True)
    matrices = sum(p.numel() for p in net.parameters() if p.ndim > 1)
    assert score([net], ["grad_norm"], data()).unseen[0] == pytest.approx(16 * 8 / matrices)
    net.position.requires_grad_(False)
    net.head.weight.requires_grad_(False)
    frozen = (16 * 8 + 24) / matrices
    assert score([net], ["grad_norm"], data()).unseen[0] == pytest.approx(frozen)
    assert score([Tokens()], ["nwot"], data()).unseen[0] == 0.0


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(1, keepdim=True)


def _averaged():
    """A batch normalisation whose average is taken: the sum over the batch is constant."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]


CONSTANT_SUMS = {
    "softmax": (lambda: [nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)], True),
    "layer norm": (lambda: [nn.Flatten(), nn.Linear(64, 3), nn.LayerNorm(3)], True),
    "centred": (lambda: [nn.Flatten(), nn.Linear(64, 3), Centred()], True),
    "batch norm": (lambda: [nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3)], True),
    "average": (lambda: [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), *_averaged()], True),
    "average of relu": (
        lambda: [nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), *_averaged()],
        False,
    ),
    "log softmax": (lambda: [nn.Flatten(), nn.Linear(64, 3), nn.LogSoftmax(1)], False),
    "sigmoid": (lambda: [nn.Flatten(), nn.Linear(64, 3), nn.Sigmoid()], False),
    "nearly flat": (
        lambda: [nn.Flatten(), nn.Linear(64, 3), *(nn.Sigmoid() for _ in range(9))],
        False,
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", CONSTANT_SUMS)
def test_a_constant_sum_of_outputs_has_no_correlations(name, dtype):
    layers, constant = CONSTANT_SUMS[name]
    torch.manual_seed(0)
    net = nn.Sequential(*layers()).to(dtype)
    scores = score([net], ["jacov", "epe_nas", "grad_norm"], data())
    assert math.isfinite(scores.column("grad_norm")[0])
    for proxy in ("jacov", "epe_nas"):
        assert math.isnan(scores.column(proxy)[0]) == constant, scores.reasons
        assert not constant or "sum of the outputs" in scores.reasons[0, proxy]


class Mixed(nn.Module):
    """One hidden layer on flattened images, its product and its bias written in several ways."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(4)
        self.first, self.head, self.way = nn.Linear(64, 6), nn.Linear(6, 3), way

    def forward(self, x):
        w, b, x = self.first.weight, self.first.bias, x.flatten(1)
        if self.way == "module":
            return self.head(F.relu(self.first(x)))
        if self.way == "parts":
            y = torch.cat([x @ w[:2].T + b[:2], F.linear(x, w[2:], b[2:])], 1)
            return self.head(F.relu(y))
        ways = {
            "product": lambda: x @ w.T,
            "tokens": lambda: F.linear(x.T.contiguous().T[None], w)[0],
            "addmm": lambda: torch.addmm(x.new_zeros(6), x, w.t()),
            "einsum": lambda: torch.einsum("ni,oi->no", x, w),
            "matmul": lambda: torch.matmul(x[:, None], w.T.expand(len(x), -1, -1))[:, 0],
            "left": lambda: (w @ x.T).T,
            "conv": lambda: F.conv1d(x[:, :, None], w[:, :, None])[:, :, 0],
        }
        return self.head(F.relu(ways[self.way]() + b))


WAYS = ["product", "tokens", "addmm", "einsum", "matmul", "left", "conv", "parts"]


@pytest.mark.parametrize("way", WAYS)
def test_a_product_is_a_layer_however_it_is_written(way):
    names = ["grad_norm", "snip", "l2_norm", "synflow", "grasp", "nwot", "zen"]
    close(row(Mixed(way), [*names, "fisher"]), row(Mixed("module"), [*names, "fisher"]), rel=1e-4)


def plain(wrap=lambda c: c, times=1):
    """Convolutions; the wrapped one runs several times."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.head = nn.Linear(4, 3)
            self.b = wrap(self.b)

        def forward(self, x):
            x = self.a(x)
            for _ in range(times):
                x = self.b(x).relu()
            return self.head(x.mean((2, 3)))

    return Net()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    "wrap",
    [nn.utils.weight_norm, parametrizations.weight_norm],
    ids=["hooks", "parametrisation"],
)
@pytest.mark.filterwarnings("ignore")
def test_normed_weights_are_the_weights_that_run(wrap, times):
    names = [*SUMS, "grasp", "zen"]
    close(row(plain(wrap, times), names), row(plain(times=times), names), rel=1e-4)


@pytest.mark.parametrize("wrap", [parametrizations.spectral_norm, parametrizations.orthogonal])
def test_computed_weights_are_made_positive_as_they_run(wrap):
    net = plain(wrap)
    same = plain()
    with torch.no_grad():
        same.b.weight.copy_(net.eval().b.weight)
        same.b.bias.copy_(net.b.bias)
    names = ["synflow", "logsynflow", "zen"]
    close(
        row(net, names), row(same, names), rel=1e-9 if wrap is parametrizations.orthogonal else 1e-4
    )


def test_pruned_weights_are_the_masked_ones():
    net, same = plain(lambda c: prune.l1_unstructured(c, "weight", amount=0.5)), plain()
    with torch.no_grad():
        same.b.weight.copy_(net.b.weight)
    names = [n for n in SUMS if n != "zen"]
    close(row(net, names), row(same, names))


def test_frozen_weights_are_part_of_the_function_and_no_layers():
    net, batches = plain(), data()
    net.b.requires_grad_(False)
    loss = F.cross_entropy(net(batches.images[0]), batches.labels[0])
    grads = torch.autograd.grad(loss, [net.a.weight, net.head.weight])
    found = row(net, ["grad_norm", "l2_norm", "nwot", "zen"])
    assert found["grad_norm"] == pytest.approx(sum(float(g.norm()) for g in grads))
    assert found["l2_norm"] == pytest.approx(float(net.a.weight.norm() + net.head.weight.norm()))
    free = row(plain(), ["nwot", "zen"])
    assert (found["nwot"], found["zen"]) == (free["nwot"], free["zen"])
    for p in net.parameters():
        p.requires_grad_(False)
    scores = score([net], ["grad_norm", "nwot"], batches)
    assert scores.values[0, 1] == free["nwot"]
    assert "frozen" in scores.reasons[0, "grad_norm"]


def test_layers_in_a_list_are_refused_with_a_sentence():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.layers = [nn.Flatten(), nn.Linear(64, 3)]

        def forward(self, x):
            return self.layers[1](self.layers[0](x)) * self.scale

    scores = score([Hidden()], ["grad_norm", "jacov"], data())
    assert "nn.ModuleList" in scores.reasons[0, "grad_norm"]
    assert math.isfinite(scores.values[0, 1])


def test_synflow_by_hand_with_normed_weights():
    """One layer y = |w| 1: the sum over weights of |w| is the sum of the outputs."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), parametrizations.orthogonal(nn.Linear(64, 3, bias=False)))
    total = float(net[1].weight.double().abs().sum())
    assert row(net, ["synflow"])["synflow"] == pytest.approx(math.log(total), rel=1e-6)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_gates_of_recurrent_layers_are_layers(kind):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(2)
            self.rnn, self.head = kind(8, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.rnn(x.flatten(2).squeeze(1).unflatten(1, (8, 8)))[0][:, -1])

    net, batches = Net(), data()
    weights = [net.rnn.weight_ih_l0, net.rnn.weight_hh_l0, net.head.weight]
    loss = F.cross_entropy(net(batches.images[0]), batches.labels[0])
    grads = torch.autograd.grad(loss, weights)
    found = row(net, ["grad_norm", "grasp", "fisher", "zen", "synflow"])
    assert found["grad_norm"] == pytest.approx(sum(float(g.norm()) for g in grads), rel=1e-5)
    assert all(map(math.isfinite, found.values()))
