"""Networks of the two benchmarks, against a plain forward that runs every operation."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from foretell.networks import cells, nb201, size
from foretell.networks.cells import Cell, ResidualReduction, live_edges
from foretell.networks.nb201 import NB201Network
from foretell.networks.size import SizeNetwork
from foretell.spaces import NB201, SizeSpace

genes = st.tuples(*[st.integers(0, 4)] * 6)
MIXED = (3, 1, 2, 4, 0, 3)


def norm(x: Tensor, m: nn.BatchNorm2d, training: bool) -> Tensor:
    mean = x.mean((0, 2, 3)) if training else m.running_mean
    var = x.var((0, 2, 3), unbiased=False) if training else m.running_var
    x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5) ** 0.5
    return x * m.weight[:, None, None] + m.bias[:, None, None]


def relu_conv_norm(x: Tensor, block: nn.Module, stride: int, training: bool) -> Tensor:
    k = block.conv.weight.shape[-1]
    x = F.conv2d(x.clamp(min=0), block.conv.weight, stride=stride, padding=(k - 1) // 2)
    return norm(x, block.norm, training)


def average(x: Tensor) -> Tensor:
    """3x3, stride 1, borders divided by what is inside."""
    ones = F.pad(torch.ones_like(x[:1, :1]), (1, 1, 1, 1))
    total = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).sum((-1, -2))
    return total / ones.unfold(2, 3, 1).unfold(3, 3, 1).sum((-1, -2))


def whole_cell(x: Tensor, chosen: tuple[int, ...], cell: Cell, training: bool) -> Tensor:
    """Every edge runs; ``none`` multiplies by zero."""
    nodes = {0: x}
    like = torch.zeros(x.shape[0], cell.c_out, *x.shape[2:], dtype=x.dtype)
    for e, (source, target) in enumerate(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))):
        v, op = nodes[source], cell.edges[e]
        if chosen[e] == 0:
            v = like * 0.0
        elif chosen[e] in (2, 3):
            v = relu_conv_norm(v, op, 1, training)
        elif chosen[e] == 4:
            if v.shape[1] != cell.c_out:
                v = relu_conv_norm(v, op[0], 1, training)
            v = average(v)
        elif v.shape[1] != cell.c_out:
            v = norm(F.conv2d(v, op.conv.weight), op.norm, training)
        nodes[target] = nodes.get(target, 0.0) + v
    return nodes[3]


def whole_network(x: Tensor, chosen: tuple[int, ...], net: nn.Module, training: bool) -> Tensor:
    x = norm(F.conv2d(x, net.stem[0].weight, padding=1), net.stem[1], training)
    for layer in net.layers:
        if isinstance(layer, Cell):
            x = whole_cell(x, chosen, layer, training)
        else:
            y = relu_conv_norm(x, layer.first, 2, training)
            y = relu_conv_norm(y, layer.second, 1, training)
            x = y + F.conv2d(F.avg_pool2d(x, 2), layer.shortcut.weight)
    x = norm(x, net.last[0], training).clamp(min=0).mean((2, 3))
    return x @ net.head.weight.T + net.head.bias


def randomised(net: nn.Module) -> nn.Module:
    """Double precision, and normalisations that do something."""
    generator = torch.Generator().manual_seed(3)
    net = net.double()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            for t in (m.weight.data, m.bias.data, m.running_mean, m.running_var):
                t.copy_(torch.rand(t.shape, generator=generator) + 0.5)
    return net


def images(*shape: int) -> Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return made


@given(genes, st.booleans())
@settings(max_examples=40)
def test_only_live_edges_run_and_nothing_else_changes(
    chosen: tuple[int, ...], training: bool
) -> None:
    """But for one thing, silenced here: an operation that sees only zeros is not run, though its
    normalisation would add its bias, which is zero until it is trained.
    """
    net = randomised(NB201Network(chosen, 2, 1, 3, 4)).train(training)
    for cell in net.layers:
        if isinstance(cell, Cell):
            silence(cell, chosen)
    x = images(3, 3, 8, 8)
    with torch.no_grad():
        expected = whole_network(x, chosen, net, training)
        assert torch.allclose(net(x), expected, rtol=1e-9, atol=1e-12)


def silence(cell: Cell, chosen: tuple[int, ...]) -> None:
    """Operations that see only zeros give zero: their normalisation must not add its bias."""
    for op, lives in zip(cell.edges, live_edges(chosen), strict=True):
        for m in op.modules():
            if isinstance(m, nn.BatchNorm2d) and not lives:
                m.weight.data.zero_()
                m.bias.data.zero_()


@given(genes, st.integers(1, 3), st.integers(1, 3))
@settings(max_examples=40)
def test_cells_that_change_their_channels(chosen: tuple[int, ...], c_in: int, c_out: int) -> None:
    cell = randomised(Cell(chosen, c_in, c_out)).eval()
    silence(cell, chosen)
    x = images(2, c_in, 5, 4)
    with torch.no_grad():
        assert torch.allclose(cell(x), whole_cell(x, chosen, cell, False), atol=1e-12)


def test_the_size_network_runs_as_its_definition() -> None:
    space = SizeSpace()
    net = randomised(SizeNetwork((8, 8, 16, 24, 8), classes=5)).eval()
    x = images(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.allclose(net(x), whole_network(x, space.cell, net, False), atol=1e-12)
    kinds = [type(m).__name__ for m in net.layers]
    assert kinds == ["Cell", "ResidualReduction", "Cell", "ResidualReduction", "Cell"]


@given(genes)
def test_live_edges_are_the_closed_form_s(chosen: tuple[int, ...]) -> None:
    space = NB201()
    arch = space.parse(".".join(map(str, chosen)))
    assert list(live_edges(chosen)) == space.live_edges([arch])[0].tolist()


def test_dead_operations_keep_weights_and_get_no_gradient() -> None:
    net = NB201Network((3, 0, 0, 2, 0, 0), 4, 1, 3, 4)  # 0->1 leads nowhere
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    cell = net.layers[0]
    assert cell.edges[0].conv.weight.grad is None
    assert cell.edges[3].conv.weight.grad.abs().sum() > 0


def test_a_dead_network_says_the_same_of_every_image() -> None:
    net = randomised(NB201Network((3, 3, 0, 0, 0, 0), 4, 2, 3, 4)).eval()
    with torch.no_grad():
        logits = net(images(5, 3, 8, 8))
    assert torch.equal(logits, logits[:1].expand(5, 4))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 5), (2, 9, 2), (4, 33, 17)])
@pytest.mark.parametrize("classes", [2, 7])
def test_any_image_and_any_number_of_classes(shape: tuple[int, ...], classes: int) -> None:
    for net in (
        NB201Network(MIXED, 4, 1, shape[0], classes),
        SizeNetwork((8, 16, 8, 8, 16), in_channels=shape[0], classes=classes),
    ):
        assert net.eval()(torch.randn(2, *shape)).shape == (2, classes)


def test_reductions_round_odd_sizes_up_and_even_sizes_as_defined() -> None:
    block = ResidualReduction(2, 4)
    assert block(torch.randn(2, 2, 7, 5)).shape == (2, 4, 4, 3)
    plain = nn.AvgPool2d(2)
    x = torch.randn(2, 2, 8, 6)
    assert torch.equal(block.pool(x), plain(x))


def test_the_stem_has_no_activation_and_the_head_pools_after_one() -> None:
    net = NB201Network((1,) * 6, 4, 1, 1, 3).eval()
    x = torch.randn(2, 1, 8, 8)
    assert (net.stem(x) < 0).any()
    assert (net.features(x) >= 0).all()
    assert torch.allclose(net(x), net.head(net.features(x).mean((2, 3))))


@pytest.mark.parametrize("module", [cells, nb201, size])
def test_files_need_nothing_but_torch(module: object) -> None:
    """At module level, apart from one another: they are copied beside an exported script."""
    tree = ast.parse(Path(module.__file__).read_text())
    names = [n.module for n in tree.body if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
    assert {n.split(".")[0] for n in names} <= {"torch", *sys.stdlib_module_names}


def test_copies_run_where_the_library_is_not(tmp_path: Path) -> None:
    for module in (cells, nb201, size):
        shutil.copy(module.__file__, tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.modules['foretell'] = None\n"
        "import torch\n"
        "from nb201 import NB201Network; from size import SizeNetwork\n"
        "print(NB201Network((3,)*6, 2, 1, 1, 4)(torch.zeros(2, 1, 8, 8)).shape)\n"
        "print(SizeNetwork((8,)*5, classes=4)(torch.zeros(2, 3, 8, 8)).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stdout.count("torch.Size([2, 4])") == 2, done.stderr
