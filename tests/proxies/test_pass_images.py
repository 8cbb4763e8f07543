"""ReLUs in every spelling, images on any axis, features before any pooling."""

import math

import pytest
import torch
import torch.nn.functional as F
from test_pass_layers import Tokens, data, row
from torch import nn

from foretell.proxies import Batches, score


class Cut(nn.Module):
    """Two convolutions with a unit of one's own between and after them."""

    def __init__(self, act, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.a, self.b = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head, self.act = nn.Linear(4, 3), act

    def forward(self, x):
        return self.head(self.act(self.b(self.act(self.a(x)))).mean((2, 3)))


def _in_place(x):
    x[x < 0] = 0.0
    return x


RELUS = {
    "module": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "functional relu6": F.relu6,
    "hardtanh": nn.Hardtanh(0.0, 50.0),
    "clamp": lambda x: x.clamp(min=0),
    "clamp both": lambda x: torch.clamp(x, 0, 9),
    "clip": lambda x: torch.clip(x, min=0.0),
    "clamp_": lambda x: x.clamp_(min=0),
    "clamp tensor": lambda x: x.clamp(min=torch.zeros(())),
    "threshold": nn.Threshold(0.0, 0.0),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "max": lambda x: torch.max(torch.zeros(()), x),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "where turned": lambda x: torch.where(x <= 0, torch.zeros_like(x), x),
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "mask": lambda x: x * (x > 0),
    "mask of numbers": lambda x: x * (x > 0).float(),
    "scripted": torch.jit.script(nn.Sequential(nn.ReLU())),
}


@pytest.mark.parametrize("name", RELUS)
def test_units_are_those_of_relu(name):
    expected = row(Cut(F.relu), ["nwot", "grad_norm"])
    found = row(Cut(RELUS[name]), ["nwot", "grad_norm"])
    assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-6)
    assert found["nwot"] == expected["nwot"]


@pytest.mark.parametrize(
    ("act", "threshold"),
    [
        (nn.Hardtanh(-0.2, 0.3), -0.2),
        (nn.Threshold(0.1, -1.0), 0.1),
        (lambda x: x.clamp(0.05, 0.2), 0.05),
    ],
)
def test_a_unit_is_active_above_its_lower_threshold(act, threshold):
    net, batches = Cut(act), data()
    kernel = torch.zeros(6, 6, dtype=torch.float64)
    x = batches.images[0]
    with torch.no_grad():
        first = net.a(x)
        for z in (first, net.b(act(first))):
            c = (z > threshold).flatten(1).double()
            kernel += c @ c.T + (1 - c) @ (1 - c).T
    assert row(net, ["nwot"])["nwot"] == pytest.approx(float(torch.logdet(kernel)), rel=1e-9)


@pytest.mark.parametrize(
    "act",
    [
        F.gelu,
        lambda x: x / x.norm(dim=1, keepdim=True).clamp_min(1e-12),
        lambda x: F.normalize(x, dim=1),
        lambda x: torch.where(torch.ones(8, dtype=torch.bool), x, -9.0),
        lambda x: x.clamp(max=2.0),
        torch.tanh,
    ],
)
def test_what_is_no_relu(act):
    scores = score([Cut(act)], ["nwot"], data())
    assert "no ReLU" in scores.reasons[0, "nwot"]


class Turned(nn.Module):
    """Tokens with the sequence first, so that its first axis is not that of the images."""

    def __init__(self, first):
        super().__init__()
        self.net, self.first = Tokens(), first
        block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=first)
        block.load_state_dict(self.net.block.state_dict())
        self.net.block = block

    def forward(self, x):
        t = self.net.patch(x).flatten(2)
        t = self.net.block(t.transpose(1, 2) if self.first else t.permute(2, 0, 1))
        return self.net.head(t.mean(1 if self.first else 0))


@pytest.mark.parametrize("n", [6, 16])
def test_images_may_be_on_the_second_axis(n):
    """With 16 images there are as many images as tokens."""
    names = ["nwot", "fisher", "fisher_channels", "zen", "grad_norm"]
    first, second = (row(Turned(way), names, data(n)) for way in (True, False))
    assert second == pytest.approx(first, rel=1e-4)
    batches = data(n)
    net, seen = Turned(True), []
    net.net.block.linear1.register_forward_hook(lambda m, args, out: seen.append(out > 0))
    net(batches.images[0])
    c = seen[0].flatten(1).double()
    expected = torch.linalg.slogdet(c @ c.T + (1 - c) @ (1 - c).T).logabsdet
    assert first["nwot"] == pytest.approx(float(expected), rel=1e-6)


class Glued(nn.Module):
    """Each image and its mirror image run side by side, along the batch axis or one by one."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.head, self.way = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4, 3), way

    def part(self, x):
        return F.relu(self.a(x)).mean((2, 3))

    def forward(self, x):
        both = x, x.flip(-1)
        if self.way == "outer":
            y = self.part(torch.cat(both)).chunk(2)
        elif self.way == "inner":
            y = self.part(torch.stack(both, 1).flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        else:
            y = [self.part(v) for v in both]
        return self.head(y[0] + 2 * y[1])


@pytest.mark.parametrize("way", ["outer", "inner"])
def test_two_pieces_of_an_image_on_the_batch_axis(way):
    names = ["nwot", "grad_norm", "synflow"]
    assert row(Glued(way), names) == pytest.approx(row(Glued("apart"), names), rel=1e-5)
    fisher = [row(Glued(w), ["fisher_channels"])["fisher_channels"] for w in ("outer", "inner")]
    assert fisher[0] == pytest.approx(fisher[1], rel=1e-5)


def test_results_that_mix_images_have_no_value_by_image_but_a_reason():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.head = nn.Linear(64, 6), nn.Linear(6, 3)

        def forward(self, x):
            x = x.flatten(1)
            return self.head(F.relu(self.a(torch.softmax(x @ x.T / 64, 1) @ x)))

    scores = score([Mixing()], ["nwot", "fisher", "grad_norm"], data())
    assert [math.isnan(v) for v in scores.values[0]] == [True, True, False]
    assert "mixes the images" in scores.reasons[0, "nwot"]
    assert "mixes the images" in scores.reasons[0, "fisher"]


POOLS = {
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
    "mean": lambda x: x.mean((2, 3)),
    "mean of the last": lambda x: x.mean((-1, -2), keepdim=True)[:, :, 0, 0],
    "pool and view": lambda x: F.avg_pool2d(x, 8).view(len(x), -1),
    "pool and squeeze": lambda x: F.avg_pool2d(x, 8).squeeze(),
    "two pools": lambda x: F.avg_pool2d(F.avg_pool2d(x, 2), 4).flatten(1),
    "two means": lambda x: x.mean(3).mean(2),
    "sum": lambda x: x.sum((2, 3)) / 64,
    "scaled sum": lambda x: (x / 64).sum((2, 3)),
    "flat mean": lambda x: x.flatten(2).mean(-1),
    "channels last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
    "einsum": lambda x: torch.einsum("nchw->nc", x) / 64,
    "product": lambda x: (x.flatten(2) @ torch.full((64, 1), 1 / 64)).squeeze(2),
}


class Pooled(nn.Module):
    def __init__(self, pool, functional=False, gate=None):
        super().__init__()
        torch.manual_seed(0)
        conv = nn.Conv2d(1, 4, 3, padding=1)
        self.functional, self.pool, self.gate = functional, pool, gate
        if functional:
            self.w, self.o = nn.Parameter(conv.weight.data), nn.Parameter(conv.bias.data)
        else:
            self.a = conv
        self.norm, self.g, self.head = nn.BatchNorm2d(4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        x = F.conv2d(x, self.w, self.o, padding=1) if self.functional else self.a(x)
        x = F.relu(self.norm(x))
        if self.gate is not None:
            x = F.relu(x * torch.sigmoid(self.g(self.gate(x)))[:, :, None, None] - 0.1)
        return self.head(self.pool(x))


@pytest.mark.parametrize("name", POOLS)
def test_zen_reads_what_is_averaged_however_it_is_spelled(name):
    expected = row(Pooled(POOLS["mean"]), ["zen"])["zen"]
    assert row(Pooled(POOLS[name]), ["zen"])["zen"] == pytest.approx(expected, rel=1e-6)
    assert row(Pooled(POOLS[name], True), ["zen"])["zen"] == pytest.approx(expected, rel=1e-6)


def test_zen_goes_on_behind_a_gate():
    gates = ("adaptive", "sum", "two means")
    values = [row(Pooled(POOLS["mean"], gate=POOLS[g]), ["zen"])["zen"] for g in gates]
    assert values == pytest.approx([values[0]] * 3, rel=1e-6)
    assert values[0] != pytest.approx(row(Pooled(POOLS["mean"]), ["zen"])["zen"], rel=1e-3)


def test_zen_of_flattened_features_and_of_networks_without_positions():
    from foretell.proxies.shared.zen_inputs import gaussian_weights, zen_inputs
    from foretell.rng import stream_seed

    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 3))
    for net, last in ((conv, 2), (flat, 4)):
        own = stream_seed(0, "module")
        seed = stream_seed(own, "zen")
        state = gaussian_weights(net, seed)
        x, moved = zen_inputs((6, 1, 8, 8), seed)
        head = net[:last]
        state = {k: v for k, v in state.items() if k in dict(head.named_parameters())}
        a, b = (torch.func.functional_call(head, state, (v,)) for v in (x, moved))
        expected = math.log(float((a - b).abs().flatten(1).sum(1).mean()))
        assert row(net, ["zen"])["zen"] == pytest.approx(expected, rel=1e-5)


LAST = {
    "position": lambda states, last: states[:, -1],
    "slice": lambda states, last: states[:, -1:].flatten(1),
    "unbound": lambda states, last: states.unbind(1)[-1],
    "turned": lambda states, last: states.permute(1, 0, 2)[-1],
    "state": lambda states, last: last[-1],
    "joined": lambda states, last: torch.cat([last, states.transpose(0, 1)])[0],
}


class Rows(nn.Module):
    """A recurrent network over the rows of an image that reads the last state."""

    def __init__(self, kind, way):
        super().__init__()
        torch.manual_seed(0)
        self.cells, self.head = getattr(nn, kind)(8, 6, batch_first=True), nn.Linear(6, 3)
        self.way = way

    def forward(self, x):
        states, last = self.cells(x[:, 0])
        return self.head(LAST[self.way](states, last[0] if isinstance(last, tuple) else last))


@pytest.mark.parametrize("way", LAST)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_zen_of_a_last_state_reads_what_the_cells_read_of_all_rows(kind, way):
    from foretell.proxies.shared.zen_inputs import gaussian_weights, zen_inputs
    from foretell.rng import stream_seed

    seed = stream_seed(stream_seed(0, "module"), "zen")
    net = Rows(kind, way)
    shape = net.cells.weight_ih_l0.shape
    weight = gaussian_weights(nn.Linear(shape[1], shape[0]), seed)["weight"]
    x, moved = zen_inputs((6, 1, 8, 8), seed)
    expected = math.log(float(((x - moved)[:, 0] @ weight.T).abs().sum()) / 6)
    assert row(net, ["zen"])["zen"] == pytest.approx(expected, rel=1e-5)


def test_one_and_three_dimensional_images():
    for conv, norm, shape in (
        (nn.Conv1d, nn.BatchNorm1d, (2, 16)),
        (nn.Conv3d, nn.BatchNorm3d, (2, 4, 4, 4)),
    ):
        torch.manual_seed(0)
        net = nn.Sequential(conv(2, 4, 3, padding=1), norm(4), nn.ReLU(), nn.Flatten())
        net.append(nn.Linear(4 * math.prod(shape[1:]), 3))
        names = ["nwot", "fisher", "zen", "synflow", "jacov", "params", "flops", "zico"]
        assert all(map(math.isfinite, row(net, names, data(shape=shape)).values()))
    with_ids = Batches((torch.zeros(4, 5, dtype=torch.int64),), (torch.arange(4) % 2,))
    scores = score([nn.Sequential(nn.Embedding(9, 4))], ["nwot"], with_ids)
    assert "floating type" in scores.failures[0]


N = 4
"""As many images as channels and tokens, so that no shape tells which axis is theirs."""


def _written(x):
    states = x.new_zeros(N, N, 8)
    for i in range(N):
        states[i].copy_(x[:, i])
    return states


def _attended(x):
    heads = x.view(N, N, 2, 4).transpose(1, 2)
    weights = (heads @ heads.transpose(-2, -1)).softmax(-1)
    return (weights @ heads).transpose(1, 2).reshape(N, N, 8)


BY_ROW = {
    "tokens": (lambda x: F.linear(x, torch.ones(5, 8)), True),
    "attention": (_attended, True),
    "normed": (lambda x: F.layer_norm(x, (8,)), True),
    "joined": (lambda x: torch.cat([x, x.new_ones(N, 1, 8)], 1), True),
    "one long axis": (lambda x: (x.flatten() * 2).view(N * N, 8), True),
    "parts": (lambda x: torch.stack(x.split(2, 1), 1), True),
    "turned": (lambda x: x.transpose(0, 1), False),
    "back again": (lambda x: x.transpose(0, 1).contiguous().transpose(0, 1), False),
    "normed over all": (lambda x: F.layer_norm(x, (N, N, 8)), False),
    "average of numbers": (lambda x: x * x.detach().mean(0), False),
    "mask of all": (lambda x: x * (x > 0).float().amax(0), False),
    "added to another axis": (lambda x: x.sum((1, 2)) + x[:, :, 0], False),
    "bias of another axis": (lambda x: torch.addmm(x.sum((1, 2)), x[:, 0], torch.eye(8, N)), False),
    "written into constants": (_written, False),
    "averaged": (lambda x: x - x.mean(), False),
    "product of features": (lambda x: x.flatten(1) @ x.flatten(1).T, False),
}


@pytest.mark.parametrize("name", BY_ROW)
def test_rows_are_certified_only_where_they_are_the_images(name):
    from foretell.proxies.autograd_pass.watch import Watch

    change, expected = BY_ROW[name]
    torch.manual_seed(0)
    x = torch.randn(N, N, 8) + 0.1
    moved = x.clone()
    moved[1] = x[1].flip(-1) * -1.5
    results, claims = [], []
    for images in (x, moved):
        image = images.requires_grad_()
        watch = Watch(
            on_relu=lambda i, y, by_row: (results.append(y.clone()), claims.append(by_row)),
            images=N,
        )
        watch.begin({}, image)
        start = image.clone()
        with watch:
            F.relu(change(start))
    assert claims == [expected, expected]
    blocks = [torch.stack(r.flatten().chunk(N)) for r in results]
    assert not expected or (blocks[0] != blocks[1]).any(1).tolist() == [i == 1 for i in range(N)]
