"""Multiply-adds of every kind of product by hand, counted alike on the meta device and the CPU."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from foretell.cost import count
from foretell.errors import UncountedError
from foretell.proxies import Batches, score


class Either(nn.Module):
    """Something for an image of (4, 6, 5); one that looks at values has to run on the CPU."""

    def __init__(self, part, run, looks):
        super().__init__()
        self.part, self.run, self.looks = part, run, looks

    def forward(self, x):
        if self.looks and float(x.abs().max()) > 1e6:
            raise ValueError("images are not normalised")
        return self.run(self.part, x)


def p(*shape):
    return nn.Parameter(torch.randn(shape))


def rows(x):
    """(24, 5)."""
    return x.reshape(24, 5)


def steps(x):
    """(6, 1, 20): a sequence of six."""
    return x.permute(2, 0, 1, 3).flatten(2)


def heads(x):
    """(1, 4, 6, 5): four heads, six tokens."""
    return x


def own_attention(q, k, v):
    return (q @ k.transpose(-2, -1) / 5**0.5).softmax(-1) @ v


def einsum_attention(q, k, v):
    weights = torch.einsum("bhid,bhjd->bhij", q, k).softmax(-1)
    return torch.einsum("bhij,bhjd->bhid", weights, v)


def baddbmm_attention(q, k, v):
    q, k, v = (t.flatten(0, 1) for t in (q, k, v))
    zeros = torch.zeros(4, 6, 6, device=q.device)
    return torch.baddbmm(zeros, q, k.transpose(1, 2)).softmax(-1) @ v


ATTENTION = 4 * (6 * 6 * 5 + 6 * 6 * 5)


PARTS = {
    "LSTM": (lambda: nn.LSTM(20, 7), lambda m, x: m(steps(x))[0], 6 * 4 * 7 * (20 + 7)),
    "GRU": (lambda: nn.GRU(20, 7), lambda m, x: m(steps(x))[0], 6 * 3 * 7 * (20 + 7)),
    "RNN": (lambda: nn.RNN(20, 7), lambda m, x: m(steps(x))[0], 6 * 7 * (20 + 7)),
    "LSTM, two layers, both ways": (
        lambda: nn.LSTM(20, 7, 2, bidirectional=True),
        lambda m, x: m(steps(x))[0],
        6 * 2 * 4 * 7 * ((20 + 7) + (14 + 7)),
    ),
    "LSTM, projected": (
        lambda: nn.LSTM(20, 7, proj_size=3),
        lambda m, x: m(steps(x))[0],
        6 * (4 * 7 * (20 + 3) + 7 * 3),
    ),
    "LSTM, given states": (
        lambda: nn.LSTM(20, 7),
        lambda m, x: m(steps(x), (x.new_zeros(1, 1, 7), x.new_ones(1, 1, 7)))[1][0],
        6 * 4 * 7 * (20 + 7),
    ),
    "LSTM cell": (lambda: nn.LSTMCell(20, 7), lambda m, x: m(steps(x)[0])[0], 4 * 7 * 27),
    "GRU cell": (lambda: nn.GRUCell(20, 7), lambda m, x: m(steps(x)[0]), 3 * 7 * 27),
    "mv": (lambda: p(9, 5), lambda w, x: torch.stack([w @ v for v in rows(x)]), 24 * 9 * 5),
    "addmv": (lambda: p(9, 5), lambda w, x: torch.addmv(w[:, 0], w, rows(x)[0]), 9 * 5),
    "dot": (lambda: p(5), lambda w, x: torch.stack([torch.dot(w, v) for v in rows(x)]), 24 * 5),
    "vdot": (lambda: p(5), lambda w, x: torch.vdot(rows(x)[0], w), 5),
    "inner": (lambda: p(3, 5), lambda w, x: torch.inner(rows(x), w), 24 * 3 * 5),
    "addr": (lambda: p(24, 5), lambda w, x: torch.addr(w, rows(x)[:, 0], rows(x)[0]), 24 * 5),
    "addbmm": (
        lambda: p(4, 5, 3),
        lambda w, x: torch.addbmm(x.new_zeros(6, 3), x[0], w),
        4 * 6 * 5 * 3,
    ),
    "baddbmm": (
        lambda: p(4, 5, 3),
        lambda w, x: torch.baddbmm(x.new_zeros(4, 6, 3), x[0], w),
        4 * 6 * 5 * 3,
    ),
    "matmul, many": (lambda: p(2, 1, 5, 3), lambda w, x: x @ w, 2 * 4 * 6 * 5 * 3),
    "linear of rows": (lambda: nn.Linear(5, 3), lambda m, x: m(x), 24 * 5 * 3),
    "Bilinear": (
        lambda: nn.Bilinear(5, 6, 3),
        lambda m, x: m(rows(x), x.reshape(-1, 6)[:1].expand(24, 6)),
        24 * 3 * (5 * 6 + 6),
    ),
    "Bilinear by einsum": (
        lambda: p(3, 5, 6),
        lambda w, x: torch.einsum("ni,kij,nj->nk", rows(x), w, x.reshape(-1, 6)[:1].expand(24, 6)),
        24 * 3 * (5 * 6 + 6),
    ),
    "einsum": (lambda: p(4, 2, 5), lambda w, x: torch.einsum("bcts,cks->bkt", x, w), 2 * 6 * 4 * 5),
    "tensordot": (lambda: p(5, 3), lambda w, x: torch.tensordot(x, w, 1), 24 * 5 * 3),
    "cdist": (lambda: p(9, 5), lambda w, x: torch.cdist(rows(x), w), 24 * 9 * 5),
    "cdist, by products": (lambda: p(40, 5), lambda w, x: torch.cdist(rows(x), w), 24 * 40 * 5),
    "cdist, p=1": (lambda: p(9, 5), lambda w, x: torch.cdist(rows(x), w, p=1), 24 * 9 * 5),
    "pdist": (lambda: p(1), lambda w, x: F.pdist(rows(x)) * w, 24 * 23 // 2 * 5),
    "conv1d": (lambda: nn.Conv1d(6, 8, 3, groups=2), lambda m, x: m(x[0]), 4 * 8 * 3 * 3 * 3),
    "conv3d": (lambda: nn.Conv3d(1, 2, 3), lambda m, x: m(x[:, None]), 2 * 27 * 2 * 4 * 3),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        lambda m, x: m(x),
        6 * 5 * 4 * 3 * 9,
    ),
    "conv_tbc": (
        lambda: p(3, 4, 8),
        lambda w, x: torch.conv_tbc(x[0].permute(1, 2, 0), w, w[0, 0]),
        4 * 5 * 8 * 3 * 4,
    ),
    "unfold and matrix": (
        lambda: p(8, 36),
        lambda w, x: w @ F.unfold(x, 3, padding=1),
        30 * 8 * 36,
    ),
    "self-attention module": (
        lambda: nn.MultiheadAttention(20, 4),
        lambda m, x: m(*[steps(x)] * 3)[0],
        6 * 20 * (60 + 20) + 2 * 4 * 6 * 6 * 5,
    ),
    "attention module without weights": (
        lambda: nn.MultiheadAttention(20, 4, batch_first=True),
        lambda m, x: m(*[steps(x).transpose(0, 1)] * 3, need_weights=False)[0],
        6 * 20 * (60 + 20) + 2 * 4 * 6 * 6 * 5,
    ),
    "cross-attention module": (
        lambda: nn.MultiheadAttention(20, 4, kdim=5, vdim=5),
        lambda m, x: m(steps(x), rows(x)[:, None], rows(x)[:, None])[0],
        6 * 20 * 20 * 2 + 2 * 24 * 5 * 20 + 2 * 4 * 6 * 24 * 5,
    ),
    "transformer layer": (
        lambda: nn.TransformerEncoderLayer(20, 4, 8, batch_first=True),
        lambda m, x: m(steps(x).transpose(0, 1)),
        6 * 20 * 80 + 2 * 4 * 6 * 6 * 5 + 2 * 6 * 20 * 8,
    ),
    "scaled dot products": (
        lambda: p(1),
        lambda w, x: F.scaled_dot_product_attention(heads(x), heads(x), w * x),
        ATTENTION,
    ),
    "attention by matmul": (lambda: p(1), lambda w, x: own_attention(x, x, w * x), ATTENTION),
    "attention by einsum": (lambda: p(1), lambda w, x: einsum_attention(x, x, w * x), ATTENTION),
    "attention by baddbmm": (lambda: p(1), lambda w, x: baddbmm_attention(x, x, w * x), ATTENTION),
    "scripted": (
        lambda: torch.jit.script(nn.Sequential(nn.Conv2d(4, 3, 3), nn.ReLU(), nn.Linear(3, 2))),
        lambda m, x: m(x),
        4 * 3 * 3 * 4 * 9 + 12 * 3 * 2,
    ),
    "checkpointed": (
        lambda: nn.Linear(5, 3),
        lambda m, x: checkpoint(m, x, use_reentrant=False),
        24 * 15,
    ),
    "inference mode": (
        lambda: nn.Sequential(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3), nn.Linear(3, 2)),
        lambda m, x: torch.inference_mode()(m)(x),
        4 * 3 * 3 * 4 * 9 + 12 * 3 * 2,
    ),
}
"""Name -> module or parameter, what it does, multiply-adds of an image of (4, 6, 5)."""


@pytest.mark.parametrize("name", PARTS)
def test_a_product_counts_by_hand_on_both_ways(name: str) -> None:
    make, run, flops = PARTS[name]
    onmeta, oncpu = (count(Either(make(), run, looks), (4, 6, 5)) for looks in (False, True))
    assert oncpu.flops == onmeta.flops == flops
    assert onmeta.sum_log_params == pytest.approx(oncpu.sum_log_params)
    assert (onmeta.params, onmeta.live_params) == (oncpu.params, oncpu.live_params)
    assert onmeta.alive
    assert onmeta.uncounted == ()


class Quantised(nn.Module):
    """Convolution with ReLU, linear layer, both in eight bits, between stubs."""

    def __init__(self):
        super().__init__()
        self.q, self.d = torch.ao.quantization.QuantStub(), torch.ao.quantization.DeQuantStub()
        self.conv, self.relu, self.head = nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Linear(72, 3)

    def forward(self, x):
        return self.d(self.head(self.relu(self.conv(self.q(x))).flatten(1)))


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_count_as_the_layers_they_were() -> None:
    from torch.ao import quantization

    net = Quantised().eval()
    plain = count(net, (4, 6, 5))
    assert plain.flops == 6 * 4 * 3 * 2 * 9 + 72 * 3
    net.qconfig = quantization.get_default_qconfig(torch.backends.quantized.engine)
    quantization.fuse_modules(net, [["conv", "relu"]], inplace=True)
    quantization.prepare(net, inplace=True)
    net(torch.randn(2, 4, 6, 5))
    quantization.convert(net, inplace=True)
    found = count(net, (4, 6, 5))
    assert (found.flops, found.params) == (plain.flops, 0)  # packed weights are not trainable
    linear = nn.Sequential(nn.Flatten(), nn.Linear(120, 9), nn.ReLU(), nn.Linear(9, 2))
    dynamic = quantization.quantize_dynamic(linear, {nn.Linear})
    assert count(dynamic, (4, 6, 5)).flops == 120 * 9 + 18


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_quantised_recurrent_layers(kind: type[nn.Module], gates: int) -> None:
    from torch.ao import quantization

    net = Either(kind(20, 7, 2, bidirectional=True), lambda m, x: m(steps(x))[0], False)
    dynamic = quantization.quantize_dynamic(net, {kind})
    assert type(dynamic.part) is not kind
    assert count(dynamic, (4, 6, 5)).flops == 6 * 2 * gates * 7 * ((20 + 7) + (14 + 7))


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("aten::_linalg_solve_ex", lambda w, x: torch.linalg.solve(w, rows(x).T)),
        ("aten::_fft_c2c", lambda w, x: torch.fft.fft2(x).real * w[0, 0]),
        ("aten::linalg_cholesky_ex", lambda w, x: torch.linalg.cholesky_ex(w + x[0, 0, 0, 0])[0]),
    ],
)
@pytest.mark.parametrize("looks", [False, True])
def test_what_has_no_formula_is_named_and_not_nothing(name, run, looks) -> None:
    net = Either(nn.Parameter(torch.eye(5)), run, looks)
    with pytest.raises(UncountedError, match=f"{name} has no formula") as caught:
        count(net, (4, 6, 5))
    assert caught.value.operations == (name,)
    found = count(net, (4, 6, 5), partial=True)
    assert (found.uncounted, found.params) == ((name,), 25)


def test_operations_of_others_count_by_their_own_formula() -> None:
    library = torch.library.Library("foretell_tests", "FRAGMENT")
    library.define("twice(Tensor x, Tensor w) -> Tensor")
    library.impl("twice", lambda x, w: 2 * (x @ w), "CompositeExplicitAutograd")
    net = Either(p(5, 3), lambda w, x: torch.ops.foretell_tests.twice(rows(x), w), False)
    with pytest.raises(UncountedError, match="foretell_tests::twice"):
        count(net, (4, 6, 5))
    from torch.utils.flop_counter import flop_registry, register_flop_formula

    @register_flop_formula(torch.ops.foretell_tests.twice)
    def formula(x, w, out_shape=None, **kwargs):
        return 2 * x[0] * x[1] * w[1]

    try:
        assert count(net, (4, 6, 5)).flops == 24 * 5 * 3
    finally:
        del flop_registry[torch.ops.foretell_tests.twice]


@pytest.mark.parametrize("looks", [False, True])
def test_products_of_weights_with_weights_are_none_of_an_image(looks: bool) -> None:
    """They are the same for every image: a spectral norm, an orthogonal weight, a low rank."""
    plain = count(Either(nn.Linear(5, 5), lambda m, x: m(x), looks), (4, 6, 5))
    for make in (
        lambda: parametrizations.spectral_norm(nn.Linear(5, 5)),
        lambda: parametrizations.orthogonal(nn.Linear(5, 5)),
        lambda: parametrizations.orthogonal(nn.Linear(5, 5), orthogonal_map="cayley"),
        lambda: parametrizations.weight_norm(nn.Linear(5, 5)),
    ):
        found = count(Either(make(), lambda m, x: m(x), looks), (4, 6, 5))
        assert (found.flops, found.sum_log_params) == (plain.flops, plain.sum_log_params)
    low = nn.ParameterList([p(5, 2), p(2, 5)])
    merged = count(Either(low, lambda w, x: rows(x) @ (w[0] @ w[1]), looks), (4, 6, 5))
    apart = count(Either(low, lambda w, x: rows(x) @ w[0] @ w[1], looks), (4, 6, 5))
    assert (merged.flops, merged.sum_log_params) == (24 * 25, pytest.approx(math.log(25)))
    assert (apart.flops, apart.sum_log_params) == (24 * 20, pytest.approx(2 * math.log(10)))


def conv(wrap=lambda c: c, frozen=False):
    first = wrap(nn.Conv2d(4, 8, 3, padding=1))
    return first.requires_grad_(not frozen)


class Again(nn.Module):
    def __init__(self, wrap, times, looks=False):
        super().__init__()
        self.first, self.more = nn.Conv2d(4, 8, 3), wrap(nn.Conv2d(8, 8, 1))
        self.head, self.times, self.looks = nn.Linear(8, 3), times, looks

    def forward(self, x):
        if self.looks and float(x.max()) > 1e6:
            raise ValueError
        x = self.first(x)
        for _ in range(self.times):
            x = self.more(x).relu()
        return self.head(x.mean((2, 3)))


def masked(layer):
    return prune.l1_unstructured(layer, "weight", amount=0.5)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("wrap", "extra", "weights"),
    [
        (lambda c: c, 0, 64),
        (parametrizations.weight_norm, 8, 64),
        (nn.utils.weight_norm, 8, 64),
        (parametrizations.spectral_norm, 0, 64),
        (nn.utils.spectral_norm, 0, 64),
        (masked, 0, 64),
        (lambda c: c.requires_grad_(False), -72, 1),
    ],
)
def test_one_definition_of_what_counts(wrap, extra, weights, times, looks) -> None:
    """A parameter counts once, under a mask in full, frozen not; proxies and costs agree."""
    net = Again(wrap, times, looks)
    found = count(net, (4, 8, 8))
    params = 8 * 4 * 9 + 8 + 8 * 8 + 8 + 8 * 3 + 3 + extra
    assert (found.params, found.live_params) == (params, params)
    logs = math.log(8 * 4 * 9) + math.log(weights) + math.log(8 * 3)
    assert found.sum_log_params == pytest.approx(logs)
    assert found.flops == 36 * 4 * 8 * 9 + times * 36 * 64 + 24
    names = ["params", "live_params", "flops", "sum_log_params"]
    batches = Batches((torch.randn(4, 4, 8, 8),), (torch.tensor([0, 1, 2, 0]),))
    values = score([net], names, batches).values[0]
    assert values == pytest.approx([found.params, found.live_params, found.flops, logs])


def test_what_is_no_layer() -> None:
    """Embeddings of positions, a class token and scales of several dimensions multiply nothing."""

    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.block = nn.Conv2d(1, 16, 2, 2), nn.TransformerEncoderLayer(16, 4, 32)
            self.head, self.norm = nn.Linear(16, 10), nn.LayerNorm([17, 16])
            self.pos, self.cls = p(1, 17, 16), p(1, 1, 16)

        def forward(self, x):
            t = self.patch(x).flatten(2).transpose(1, 2)
            t = torch.cat([self.cls.expand(len(t), -1, -1), t], 1) + self.pos
            return self.head(self.block(self.norm(t).transpose(0, 1))[0])

    layers = [16 * 4, 48 * 16, 16 * 16, 32 * 16, 32 * 16, 16 * 10]
    found = count(Vit(), (1, 8, 8))
    assert found.sum_log_params == pytest.approx(sum(map(math.log, layers)))
    assert found.live_params == found.params


def test_views_of_one_memory_are_parameters_of_their_own() -> None:
    flat = torch.randn(5 * 3 + 5 * 2)
    first, second = nn.Linear(5, 3, bias=False), nn.Linear(5, 2, bias=False)
    first.weight = nn.Parameter(flat[:15].view(3, 5))
    second.weight = nn.Parameter(flat[15:].view(2, 5))
    both = nn.ModuleList([first, second])
    for looks in (False, True):
        net = Either(both, lambda m, x: torch.cat([layer(x) for layer in m], -1), looks)
        found = count(net, (4, 6, 5))
        assert (found.params, found.live_params) == (25, 25)
        assert found.sum_log_params == pytest.approx(math.log(15) + math.log(10))


class Holds(nn.Module):
    """A generator cannot be copied; a result of autograd can, if nothing else prevents it."""

    def __init__(self, generator):
        super().__init__()
        self.layer, self.norm = nn.Linear(5, 3), nn.BatchNorm2d(4)
        self.made = [self.layer.weight * 2]
        if generator:
            self.lock = (i for i in range(3))

    def forward(self, x):
        return F.linear(self.norm(x), self.made[0]) + self.layer(x)


def test_a_module_that_cannot_be_copied_is_run_where_that_is_asked_for() -> None:
    assert count(Holds(False), (4, 6, 5)).flops == 2 * 24 * 15
    net = Holds(True).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    found = count(net, (4, 6, 5), run_itself=True)
    assert (found.flops, found.params) == (2 * 24 * 15, 26)
    assert all(m.training for m in net.modules())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_parameter_that_is_one_of_several_counts_once_more() -> None:
    """Packed query, key and value are one layer; three matrices are three."""
    one = nn.MultiheadAttention(20, 4)
    three = nn.MultiheadAttention(20, 4, kdim=20, vdim=20)
    three._qkv_same_embed_dim = False
    found = count(Either(one, lambda m, x: m(*[steps(x)] * 3)[0], False), (4, 6, 5))
    assert found.sum_log_params == pytest.approx(math.log(3 * 400) + math.log(400))
    apart = nn.ModuleList(nn.Linear(20, 20) for _ in range(4))

    def attend(m: nn.ModuleList, x: Tensor) -> Tensor:
        q, k, v = (f(steps(x)[:, 0]).view(6, 4, 5).transpose(0, 1) for f in m[:3])
        return m[3](F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1))

    separate = count(Either(apart, attend, False), (4, 6, 5))
    assert separate.flops == found.flops
    assert separate.sum_log_params == pytest.approx(4 * math.log(400))
