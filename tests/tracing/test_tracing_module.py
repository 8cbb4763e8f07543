"""Graphs of traced modules: against counted costs, graphs drawn by hand, and odd modules."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from trace_nets import NETS, Attention, ViT

from foretell.cost import count
from foretell.encodings import graf
from foretell.errors import NetworkError, UsageError
from foretell.networks import build
from foretell.spaces import get_space
from foretell.tracing.module import trace

SHAPE = (3, 16, 16)


def total(graph, name):
    return sum(node.attrs.get(name, 0) for node in graph.nodes)


def ops(graph):
    """Kinds or operations of the nodes, in order."""
    return [n.attrs.get("kind") or n.op for n in graph.nodes]


def into(graph, index):
    return [s for s, t in graph.edges if t == index]


class Lambda(nn.Module):
    """Any function of one value, with a few weights to use."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.also = nn.Conv2d(3, 4, 3, padding=1)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return self.function(self, x)


def graph_of(function, shape=SHAPE):
    return trace(Lambda(function), shape)


@pytest.mark.parametrize("name", NETS)
def test_costs_are_those_that_were_counted(name):
    module = NETS[name]()
    graph, cost = trace(module, SHAPE), count(module, SHAPE)
    assert total(graph, "flops") == cost.flops
    assert total(graph, "params") == cost.params
    assert graph.alive


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ("nb201", "3.2.1.4.3.1"),
        ("nb201", "1.3.4.2.0.3"),
        ("nb201", "0.0.3.0.2.1"),  # dead: stem, reductions and head still run
        ("size", "0.1.2.3.7"),
    ],
)
def test_costs_of_cell_networks(space, text):
    place = get_space(space)
    arch = place.parse(text)
    skeleton = place.skeleton((3, 16, 16), 10, "small" if space == "nb201" else None)
    module = build(arch, skeleton, seed=0)
    graph, cost = trace(module, skeleton.input_shape), count(module, skeleton.input_shape)
    assert total(graph, "flops") == cost.flops
    assert graph.alive == cost.alive
    if cost.alive:
        assert total(graph, "params") == cost.live_params


def test_a_block_as_drawn_by_hand():
    """Names, classes, sizes and edges of one residual block."""
    graph = trace(NETS["resnet"](), SHAPE)
    block = [i for i, n in enumerate(graph.nodes) if n.attrs.get("out_channels") == 16]
    named = {n.op: n.attrs for n in (graph.nodes[i] for i in block)}
    first = next(i for i in block if graph.nodes[i].op == "conv_16_3x3_stride2")
    assert graph.nodes[first].attrs == {
        **{"kind": "conv", "kernel": 3, "stride": 2, "params": 8 * 16 * 9, "weights": True},
        **{"flops": 8 * 16 * 9 * 16, "out_channels": 16, "resolution": 4},
    }
    assert named["conv_16_1x1_stride2"]["kind"] == "pointwise"
    joined = next(i for i in block if graph.nodes[i].op == "sum")
    assert [graph.nodes[s].op for s in into(graph, joined)] == ["batchnorm", "batchnorm"]
    pooled = next(attrs for op, attrs in named.items() if op.startswith("mean_4x4_stride4"))
    assert pooled["kind"] == "pool"
    assert graph.nodes[0].attrs["resolution"] == 16
    assert graph.nodes[-2].attrs["flops"] == 160


def test_depthwise_convolutions_are_separable_and_gates_are_products():
    graph = trace(NETS["mobilenet"](), SHAPE)
    depthwise = [n for n in graph.nodes if n.attrs.get("kind") == "separable"]
    assert [n.attrs["params"] for n in depthwise] == [16 * 9, 24 * 9]
    gates = [i for i, n in enumerate(graph.nodes) if n.op == "mul"]
    assert [[graph.nodes[s].op for s in into(graph, i)] for i in gates] == [
        ["hardswish", "sigmoid"],
        ["hardswish", "sigmoid"],
    ]


def test_concatenations_read_all_before():
    graph = trace(NETS["densenet"](), SHAPE)
    beside = [n.attrs["out_channels"] for n in graph.nodes if n.op == "concat"]
    assert beside == [12, 16, 20, 14, 18]


def test_attention_is_one_node_however_it_is_written():
    fused, written = (trace(ViT(fused=f), SHAPE) for f in (True, False))
    assert ops(fused) == ops(written)
    assert fused.edges == written.edges
    for a, b in zip(fused.nodes, written.nodes, strict=True):
        if a.attrs.get("kind") == "attention":
            assert a.attrs["flops"] == b.attrs["flops"] == 2 * 17 * 17 * 8
    np.testing.assert_array_equal(graf([fused]).values, graf([written]).values)


def test_a_learned_bias_and_weights_that_nobody_reads_are_part_of_attention():
    class Biased(Attention):
        def __init__(self):
            super().__init__(8, 2, False)
            self.table = nn.Parameter(torch.zeros(31))
            self.register_buffer("index", torch.zeros(16, 16, dtype=torch.int64))

        def forward(self, x):
            scores = x @ x.transpose(1, 2) + self.table[self.index]
            return torch.softmax(scores, -1) @ x

    node = trace(Biased(), (16, 8)).nodes[1]
    assert (node.op, node.attrs["kind"], node.attrs["params"]) == ("attention", "attention", 31)
    assert node.attrs["weights"] is True

    class Discards(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x)[0]  # computes the mean of its weights all the same

    graph = trace(Discards(), (16, 8))
    assert "attention" in [n.op for n in graph.canonical().nodes]
    assert total(graph, "flops") == count(Discards(), (16, 8)).flops


def test_attention_scores_that_are_used_elsewhere_are_no_attention():
    class Shown(Attention):
        def forward(self, x):
            weight = torch.softmax(x @ x.transpose(1, 2), -1)
            return weight @ x, weight

    graph = trace(Shown(8, 2, False), (17, 8))
    assert [n.op.split("_")[0] for n in graph.nodes[1:-1]] == ["matmul", "softmax", "matmul"]


def test_parameters_of_constants_count_where_they_meet_the_image():
    graph = trace(ViT(), SHAPE)
    concat = next(n for n in graph.nodes if n.op == "concat")
    assert concat.attrs["params"] == 8  # the class token
    added = next(n for n in graph.nodes if n.op == "add")
    assert added.attrs["params"] == 17 * 8
    assert next(n for n in graph.nodes if n.op == "mul").attrs["params"] == 8


def test_shared_weights_count_once():
    graph = graph_of(lambda m, x: m.conv(x) + m.conv(x * 2))
    assert [n.attrs["params"] for n in graph.nodes if n.attrs.get("kind") == "conv"] == [112, 0]
    assert all(n.attrs["weights"] for n in graph.nodes if n.attrs.get("kind") == "conv")
    tied = Lambda(lambda m, x: m.conv(x) + m.also(x))
    tied.also.weight = tied.conv.weight
    assert total(trace(tied, SHAPE), "params") == 112 + 4


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.conv(x).flatten(1)[0] @ m.conv(x).flatten(1)[0],
        lambda m, x: torch.mv(m.conv(x)[0, 0], m.conv(x)[0, 0, 0]),
        lambda m, x: F.bilinear(m.conv(x), m.conv(x), torch.ones(3, *m.conv(x).shape[-1:] * 2)),
        lambda m, x: torch.cdist(m.conv(x)[0, 0], m.conv(x)[0, 1]),
    ],
)
def test_products_that_pytorch_does_not_count(function):
    found = total(graph_of(function), "flops")
    convolutions = total(graph_of(lambda m, x: m.conv(x)), "flops")
    assert found == count(Lambda(function), SHAPE).flops > convolutions


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda m, x: m.conv(x).view(1, -1)[:, 3:], ["conv"]),
        (lambda m, x: F.dropout(m.conv(x).flip(1) * 0.5 + 1, 0.3, False), ["conv"]),
        (lambda m, x: m.conv(x - x.new_ones(1)), ["conv"]),
        (lambda m, x: m.conv(x) * m.scale, ["conv", "other"]),
        (lambda m, x: m.conv(x) + m.scale, ["conv"]),  # a bias by another name
        (lambda m, x: F.relu(m.conv(x).chunk(2, 1)[0]), ["conv", "other"]),
        (lambda m, x: F.interpolate(m.conv(x), scale_factor=2), ["conv", "other"]),
        (lambda m, x: m.conv(x).amax((2, 3)), ["conv", "pool"]),
        (lambda m, x: m.conv(x).mean(1), ["conv", "other"]),
        (lambda m, x: m.conv(x).sum(), ["conv", "other"]),
        (lambda m, x: F.conv_transpose2d(m.conv(x), m.conv.weight, stride=2), ["conv", "conv"]),
        (
            lambda m, x: torch.einsum("nchw,dc->ndhw", m.conv(x), m.scale[:, 0].T),
            ["conv", "linear"],
        ),
        (lambda m, x: F.conv2d(x, m.conv.weight, dilation=2, groups=1), ["conv"]),
    ],
)
def test_what_is_left_out_and_what_stays(function, expected):
    graph = graph_of(function)
    assert ops(graph)[1:-1] == expected
    assert total(graph, "flops") == count(Lambda(function), SHAPE).flops


def test_values_changed_in_place():
    def whole(m, x):
        y = m.conv(x)
        y.relu_()
        y.add_(m.also(x))
        return y

    def part(m, x):
        y = m.conv(x)
        y[:, :2] += m.also(x)[:, 2:]
        return y

    def copied(m, x):
        y = m.conv(x)
        z = y.clone()
        z.relu_()
        y[:, 0] = 0
        return y + z

    def replaced(m, x):
        y = m.conv(x)
        y[:, :2] = m.also(x)[:, :2]
        y.copy_(y.sigmoid())
        return y

    assert ops(graph_of(whole))[1:-1] == ["conv", "other", "conv", "sum"]
    graph = graph_of(copied)
    assert [n.op.split("_")[0] for n in graph.nodes[1:-1]] == ["conv", "relu", "sum"]
    assert into(graph, 3) == [1, 2]
    graph = graph_of(replaced)
    assert [n.op.split("_")[0] for n in graph.nodes[1:-1]] == ["conv", "conv", "update", "sigmoid"]
    assert all(graph.live)
    graph = graph_of(part)
    assert graph.alive
    assert all(graph.live[i] for i, n in enumerate(graph.nodes) if n.attrs.get("kind") == "conv")


def test_two_parts_of_a_value_are_not_the_same_value():
    graph = graph_of(lambda m, x: torch.cat([h.relu() for h in m.conv(x).chunk(2, 1)], 1))
    relus = [n.op for n in graph.canonical().nodes].count("relu")
    assert relus == 2
    same = graph_of(lambda m, x: torch.cat([m.conv(x.relu()), m.also(x.relu())], 1))
    assert [n.op for n in same.canonical().nodes].count("relu") == 1


def test_operands_that_are_sums_stay_apart():
    """(a + b) * c is no product of a, b and c."""

    def product(m, x):
        return (m.conv(x) + m.also(x)) * x.mean()

    graph = graph_of(product).canonical()
    assert sorted(n.op for n in graph.nodes if n.op in ("mul", "sum")) == ["mul", "sum"]


def test_several_outputs_and_inputs():
    graph = graph_of(lambda m, x: {"a": m.conv(x), "b": [m.also(x), x]})
    assert sorted(graph.nodes[s].op for s in into(graph, len(graph.nodes) - 1)) == [
        "conv_4_3x3",
        "conv_4_3x3",
        "input",
    ]

    class Pair(nn.Module):
        def forward(self, x, y):
            return x.relu() + y.sigmoid()

    graph = trace(Pair(), [(4, 8, 8), (4, 8, 8)])
    assert [n.op for n in graph.nodes] == ["input", "relu", "sigmoid", "sum", "output"]
    assert into(graph, 1) == into(graph, 2) == [0]


def test_integers_come_in_where_they_are_asked_for():
    module = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 3))
    graph = trace(module, (12,), dtype=torch.int64)
    assert [n.op for n in graph.nodes] == ["input", "embedding", "linear_3", "output"]
    assert total(graph, "params") == 400 + 27
    assert graph.nodes[2].attrs["flops"] == 12 * 8 * 3


def test_an_output_that_does_not_depend_on_the_image_is_dead():
    graph = graph_of(lambda m, x: m.conv(x.new_zeros(x.shape)))
    assert not graph.alive
    assert total(graph, "flops") == count(Lambda(lambda m, x: m.conv(x)), SHAPE).flops


def test_nothing_of_the_module_changes():
    module = NETS["resnet"]().train()
    module[1].eval()
    before = copy.deepcopy(module.state_dict())
    modes = [m.training for m in module.modules()]
    held = [id(p) for p in module.parameters()]
    fast, state = torch.backends.mha.get_fastpath_enabled(), torch.get_rng_state()
    trace(module, SHAPE)
    assert modes == [m.training for m in module.modules()]
    assert held == [id(p) for p in module.parameters()]
    assert torch.equal(state, torch.get_rng_state())
    assert fast == torch.backends.mha.get_fastpath_enabled()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_weights_take_no_memory():
    with torch.device("meta"):
        module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10**9))
    assert total(trace(module, SHAPE), "flops") == 3 * 16 * 16 * 10**9


class Remembers(nn.Module):
    """Keeps its last value, which torch.export refuses."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        self.last = self.inner(x)
        return self.last * 2


class Positive(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)


def without_gradients(m, x):
    with torch.no_grad():
        y = m.conv(x)
    return y + m.also(x)


class Rows(nn.Module):
    """Recurrence over the rows of an image."""

    def __init__(self, kind):
        super().__init__()
        self.inner = kind(48, 7, 2, batch_first=True)
        self.head = nn.Linear(7, 3)

    def forward(self, x):
        return self.head(self.inner(x.permute(0, 2, 1, 3).flatten(2))[0][:, -1])


def normed():
    return nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))


@pytest.mark.parametrize("exported", [True, False])
@pytest.mark.parametrize(
    "module",
    [
        Lambda(lambda m, x: checkpoint(lambda y: m.conv(y).relu(), x, use_reentrant=False)),
        Lambda(lambda m, x: Positive.apply(m.conv(x))),
        Lambda(without_gradients),
        Lambda(lambda m, x: F.max_pool2d(m.conv(x), 2).flatten(1).max(-1)[0]),
        nn.Sequential(normed(), nn.PReLU(), nn.ConvTranspose2d(4, 6, 2, 2, groups=2)).half(),
        Rows(nn.LSTM),
        Rows(nn.GRU),
        ViT(fused=True),
    ],
)
def test_unusual_modules(module, exported, monkeypatch):
    if not exported:
        monkeypatch.setattr(torch.export, "export", None)
    graph, cost = trace(module, SHAPE), count(module, SHAPE)
    assert total(graph, "flops") == cost.flops
    assert total(graph, "params") == cost.live_params
    assert graph.alive
    assert np.isfinite(graf([graph]).values).all()


@pytest.mark.parametrize("name", ["resnet", "mobilenet", "densenet"])
def test_torch_fx_reads_what_torch_export_refuses(name, monkeypatch):
    module = NETS[name]()
    expected = trace(module, SHAPE)
    exported = []

    def refuse(*args, **kwargs):
        exported.append(args)
        raise RuntimeError("not today")

    monkeypatch.setattr(torch.export, "export", refuse)
    graph = trace(module, SHAPE)
    assert exported
    assert ops(graph) == ops(expected)
    assert graph.edges == expected.edges
    np.testing.assert_allclose(graf([graph]).values, graf([expected]).values)
    assert total(graph, "flops") == count(module, SHAPE).flops


def test_a_module_that_keeps_its_last_value():
    graph = trace(Remembers(nn.Conv2d(3, 4, 3)), SHAPE)
    assert ops(graph)[1:-1] == ["conv"]


def test_both_reasons_are_named():
    with pytest.raises(NetworkError, match=r"Lambda cannot be .*torch\.export .*torch\.fx"):
        graph_of(lambda m, x: m.conv(x) if x.sum() > 0 else x)
    with pytest.raises(NetworkError, match=r"holds no value"):
        graph_of(lambda m, x: None)
    with pytest.raises(NetworkError, match=r"\(5, 16, 16\)"):
        graph_of(lambda m, x: m.conv(x), (5, 16, 16))


def test_lazy_parameters_are_an_error():
    with pytest.raises(NetworkError, match="lazy"):
        trace(nn.LazyLinear(3), (4,))


@pytest.mark.parametrize("shape", [(), (3, 0, 4), ((3, 4), ()), "32", (3.5, "a")])
def test_shapes_that_are_none(shape):
    with pytest.raises(UsageError, match="shape of an input"):
        trace(nn.ReLU(), shape)
