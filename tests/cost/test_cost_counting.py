"""Counting on the meta device: against closed forms, arithmetic and PyTorch's own counter."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.flop_counter import FlopCounterMode

from foretell.arch import Arch
from foretell.cost import Cost, costs, count
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError
from foretell.networks import build
from foretell.spaces import CostTable, CustomSpace, Skeleton, get_space

SHAPES = [(3, 32, 32), (1, 8, 8), (2, 7, 11), (3, 1, 1), (4, 2, 9), (1, 17, 3)]


def same(table: CostTable, i: int, counted: Cost) -> None:
    for name in CostTable.__dataclass_fields__:
        assert getattr(table, name)[i] == pytest.approx(getattr(counted, name), rel=1e-12), name


@pytest.mark.parametrize("space", ["nb201", "size"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_closed_form_is_what_is_counted(space: str, shape: tuple[int, int, int]) -> None:
    """Parameters, multiply-adds and peak memory, exactly; dead cells and one channel included."""
    rng = np.random.default_rng([*shape, len(space)])
    found = get_space(space)
    for i in range(8):
        arch = found.sample(rng)
        if space == "nb201" and i % 3 == 0:
            arch = Arch(space, (*arch.genes[:3], 0, *arch.genes[4:]))
        skeleton = Skeleton(shape, int(rng.integers(1, 150)), int(rng.integers(1, 8)), 1 + i % 2)
        table = found.costs([arch], skeleton)
        same(table, 0, count(build(arch, skeleton, seed=0), shape))


@pytest.mark.parametrize("genes", [(0,) * 6, (1,) * 6, (3,) * 6, (4,) * 6, (3, 3, 3, 0, 0, 0)])
def test_extreme_cells(genes: tuple[int, ...]) -> None:
    arch = Arch("nb201", genes)
    for preset in ("full", "small"):
        skeleton = get_space("nb201").skeleton((3, 32, 32), 10, preset)
        same(costs([arch], skeleton), 0, count(build(arch, skeleton, seed=0), (3, 32, 32)))


def test_a_skeleton_without_cells() -> None:
    skeleton = Skeleton((1, 8, 8), 3, 4, 0)
    arch = Arch("nb201", (0,) * 6)  # of which there is none
    same(costs([arch], skeleton), 0, count(build(arch, skeleton, seed=0), (1, 8, 8)))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(2).transpose(1, 2))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(8, 5, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x[:, 0])[0]


@pytest.mark.parametrize(
    ("module", "shape", "params", "flops"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(48, 5)), (3, 4, 4), 245, 240),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 9, 7), 222, 4 * 6 * 9 * 5 * 4),
        (nn.Conv2d(4, 8, 3, groups=4, dilation=2), (4, 8, 8), 80, 8 * 9 * 16),
        (nn.ConvTranspose2d(4, 2, 2, stride=2, bias=False), (4, 3, 3), 32, 4 * 2 * 4 * 9),
        (nn.BatchNorm2d(3), (3, 5, 5), 6, 0),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Dropout()), (3, 4, 4), 0, 0),
        (Attention(), (16, 3, 3), 2224, 9 * (4 * 256 + 2 * 512) + 2 * 2 * 81 * 8),
        (Recurrent(), (1, 8, 8), 300, 8 * 20 * 13),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else None,
)
def test_modules_of_all_kinds(
    module: nn.Module, shape: tuple[int, int, int], params: int, flops: int
) -> None:
    found = count(module, shape)
    assert found.params == sum(p.numel() for p in module.parameters()) == params
    assert found.flops == flops


def test_flops_are_half_of_pytorch_s_own() -> None:
    net = build(Arch("nb201", (3, 4, 2, 1, 0, 3)), Skeleton(), seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, 3, 32, 32))
    assert count(net, (3, 32, 32)).flops * 2 == counter.get_total_flops()


class Residual(nn.Module):
    """x lives until the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.conv(x))


class Lasting(nn.Module):
    """Keeps every value in a list, as Python would keep it alive."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(5):
            self.kept.append(x)
            x = torch.relu(x)
        return x


class Parts(nn.Module):
    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        return {"halves": [x[:, :1] * 2, x * 3]}


CONV = nn.Conv2d(2, 4, 1)
N = 2 * 4 * 4 * 4  # bytes of one (2, 4, 4) image


@pytest.mark.parametrize(
    ("module", "values"),
    [
        (nn.Identity(), 1),
        (nn.Flatten(), 1),
        (nn.ReLU(), 2),
        (nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU()), 2),
        (nn.ReLU(inplace=True), 1),
        (nn.Sequential(CONV, nn.ReLU()), 4),
        (nn.Sequential(CONV, nn.ReLU(inplace=True)), 3),
        (nn.Sequential(CONV, nn.BatchNorm2d(4), nn.ReLU()), 4),
        (nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Unflatten(1, (2, 4, 4)), nn.Tanh()), 2),
        (nn.MaxPool2d(2), 1.25),
        (Residual(), 3),
        (Lasting(), 2),
        (Parts(), 2.5),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else None,
)
def test_peak_memory_by_hand(module: nn.Module, values: float) -> None:
    """In sizes of the image: 2 values of 2 channels, or 1 + 2 where the channels double."""
    assert count(module, (2, 4, 4)).memory == values * N


def test_half_precision_halves_the_memory() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    assert count(net.half(), (3, 8, 8)).memory * 2 == count(net.float(), (3, 8, 8)).memory


def test_larger_images_and_wider_networks_need_more() -> None:
    arch = Arch("nb201", (3, 4, 2, 1, 0, 3))
    sizes = [costs([arch], Skeleton((3, s, s), 10, 8, 1)).memory[0] for s in (8, 16, 32)]
    widths = [costs([arch], Skeleton((3, 8, 8), 10, c, 1)).memory[0] for c in (4, 8, 16)]
    assert sizes == sorted(set(sizes))
    assert widths == sorted(set(widths))


class Branches(nn.Module):
    """Which of its layers act depends on how they are joined."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.used, self.other = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y, z = self.used(x), self.other(x)
        return {
            "both": lambda: y + z,
            "ignored": lambda: y,
            "times zero": lambda: y + z * 0.0,
            "zero times": lambda: y + 0 * z,
            "only zeros": lambda: torch.zeros_like(y) + torch.zeros(1, device=y.device),
            "new zeros": lambda: y + self.other(x.new_zeros(x.shape)),
            "cleared": lambda: y + z.zero_(),
        }[self.kind]()


@pytest.mark.parametrize(
    ("kind", "live", "alive"),
    [
        ("both", 32, True),
        ("ignored", 16, True),
        ("times zero", 16, True),
        ("zero times", 16, True),
        ("only zeros", 0, False),
        ("new zeros", 16 + 16, True),  # a weight beside the path acts on it as a constant
        ("cleared", 16, True),
    ],
)
def test_what_acts_between_input_and_output(kind: str, live: int, alive: bool) -> None:
    found = count(Branches(kind), (2, 3, 4))
    assert (found.params, found.live_params, found.alive) == (32, live, alive)
    assert found.sum_log_params == pytest.approx(live / 16 * np.log(16))


def test_weights_made_of_parameters_act() -> None:
    net = nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(8, 4)), nn.ReLU())
    found = count(net, (2, 2, 2))
    assert found.live_params == found.params == 4 + 4 + 32


def test_shared_parameters_count_once_and_frozen_ones_not() -> None:
    layer = nn.Linear(4, 4)
    assert count(nn.Sequential(layer, layer), (1, 1, 4)).params == 20
    assert count(nn.Sequential(layer, layer), (1, 1, 4)).flops == 32
    frozen = nn.Linear(4, 4).requires_grad_(False)
    assert count(nn.Sequential(layer, frozen), (1, 1, 4)).params == 20


class LooksAtValues(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.table = torch.ones(4)  # neither parameter nor buffer

    def forward(self, x: Tensor) -> Tensor:
        if x.sum().item() == 0:
            x = self.layer(x * self.table)
        return x + torch.rand(4)


def test_modules_that_look_at_values_are_counted_on_the_cpu() -> None:
    module, state = LooksAtValues(), torch.get_rng_state()
    found = count(module, (1, 3, 4))
    assert (found.params, found.flops, found.alive) == (20, 48, True)
    assert torch.equal(state, torch.get_rng_state())


class FusedAttention(nn.Module):
    """Scaled dot products, with or without a look at values, which sends the count to the CPU."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks
        self.mix = nn.Linear(12, 36)

    def forward(self, x: Tensor) -> Tensor:
        if self.looks and float(x.sum()) > 1e9:
            return x
        q, k, v = self.mix(x.flatten(1).reshape(len(x), -1, 12)).chunk(3, -1)
        return nn.functional.scaled_dot_product_attention(q, k, v)


def test_fused_attention_counts_the_same_on_the_cpu() -> None:
    onmeta, oncpu = (count(FusedAttention(looks), (3, 8, 8)) for looks in (False, True))
    assert onmeta == oncpu
    assert onmeta.flops == 16 * 12 * 36 + 2 * 16 * 16 * 12


def test_the_module_stays_as_it_is() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), Lasting())
    before = copy.deepcopy(net.state_dict())
    net.train()
    net[2].eval()
    count(net, (3, 8, 8))
    assert [m.training for m in net] == [True, True, False, True]
    assert net[3].kept == []
    assert all(p.grad is None and p.device.type == "cpu" for p in net.parameters())
    for k, v in net.state_dict().items():
        assert torch.equal(v, before[k])


def test_modules_that_cannot_be_counted() -> None:
    with pytest.raises(ModuleRaisedError, match=r"on an image of shape \(3, 8, 8\)") as caught:
        count(nn.Conv2d(4, 4, 3), (3, 8, 8))
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(ModuleRaisedError):  # the shortcut for normalisations lets it raise
        count(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)), (3, 8, 8))
    with pytest.raises(NetworkError, match="lazy parameters"):
        count(nn.LazyLinear(4), (3, 8, 8))
    stuck = nn.Linear(4, 4)
    stuck.lock = (i for i in range(3))  # generators cannot be copied
    with pytest.raises(NetworkError, match="cannot be copied"):
        count(stuck, (1, 1, 4))


CODE = """
import torch
from torch import nn
from foretell.spaces import CustomSpace


def build(*, input_shape, classes, width, kind):
    if kind == "raises":
        raise ValueError("no")
    if kind == "values":
        assert float(torch.ones(1)) == 1
    head = nn.Linear(width if kind != "unfit" else width + 1, classes)
    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head
    )


space = CustomSpace({"width": (2, 4), "kind": ("plain", "values", "raises", "unfit")}, build)
"""


class TestTables:
    """costs(): closed forms, counted spaces, both at once, and failures."""

    @pytest.fixture(scope="class")
    def space(self, tmp_path_factory: pytest.TempPathFactory) -> CustomSpace:
        path = tmp_path_factory.mktemp("cost") / "mine.py"
        path.write_text(CODE)
        found = get_space(f"{path}:space")
        assert isinstance(found, CustomSpace)
        return found

    def test_nothing(self) -> None:
        table = costs([], Skeleton())
        assert len(table) == 0
        assert table.params.dtype == np.int64
        assert table.alive.dtype == np.bool_

    def test_several_spaces_at_once(self, space: CustomSpace) -> None:
        skeleton = Skeleton((3, 8, 8), 4, 4, 1)
        archs = [
            get_space("size").parse("8:16:8:8:24"),
            space.arch(width=4, kind="plain"),
            Arch("nb201", (3,) * 6),
            space.arch(width=2, kind="values"),
        ]
        table = costs(archs, skeleton)
        for i, arch in enumerate(archs):
            same(table, i, count(build(arch, skeleton, seed=0), (3, 8, 8)))
        assert table.params[3] == 3 * 2 * 9 + 2 + 2 * 4 + 4

    @pytest.mark.parametrize("kind", ["raises", "unfit"])
    def test_failures(self, space: CustomSpace, kind: str) -> None:
        archs = [space.arch(width=2, kind="plain"), space.arch(width=2, kind=kind)]
        with pytest.raises(ModuleRaisedError):
            costs(archs, Skeleton((3, 8, 8), 4))
        failures: dict[int, ForetellError] = {}
        table = costs(archs, Skeleton((3, 8, 8), 4), failures=failures)
        assert list(failures) == [1]
        assert isinstance(failures[1], ModuleRaisedError)
        assert table.alive.tolist() == [True, False]
        assert table.params[1] == 0
