"""From architectures and users' code to networks: every way in, and every way it fails."""

from pathlib import Path

import pytest
import torch
from torch import nn

from foretell.arch import Arch
from foretell.errors import (
    ArchError,
    ModuleRaisedError,
    NetworkError,
    NoParametersError,
    PluginError,
    UnknownNameError,
)
from foretell.networks import build, build_module, check_parameters
from foretell.spaces import Skeleton, get_space

SMALL = Skeleton((1, 8, 8), 3, 4, 1)

CODE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_channels=3, num_classes=10, width=4):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, width, 3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


ready = Net()


def nothing_asked():
    return Net()


def all_asked(*, input_shape, classes, in_channels, num_classes):
    assert input_shape == (1, 8, 8) and in_channels == 1 and classes == num_classes == 3
    return Net(in_channels, classes)


def anything(**kwargs):
    assert not kwargs
    return Net()


def positional_only(classes, /):
    return Net()


def raises(classes):
    raise ValueError("width must be even")


def gives_a_list():
    return [Net()]


number = 3


def choose(*, input_shape, classes, width, fail):
    if fail == "raise":
        raise RuntimeError("no such width")
    return 3 if fail == "number" else Net(input_shape[0], classes, width)


from foretell.spaces import CustomSpace

choices = {"width": (2, 4), "fail": ("no", "raise", "number")}
space = CustomSpace(choices, choose)
by_text = CustomSpace(choices, f"{__file__}:choose")
lost = CustomSpace(choices, f"{__file__}:nowhere")
uncallable = CustomSpace(choices, f"{__file__}:number")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "mine.py"
    path.write_text(CODE)
    return path


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_the_seed_alone_decides_and_no_random_state_moves() -> None:
    arch = Arch("nb201", (3, 1, 2, 4, 0, 3))
    torch.manual_seed(11)
    before = torch.rand(1)
    torch.manual_seed(11)
    first = build(arch, SMALL, seed=5)
    assert torch.equal(torch.rand(1), before)
    torch.manual_seed(12)
    assert torch.equal(weights(first), weights(build(arch, SMALL, seed=5)))
    assert not torch.equal(weights(first), weights(build(arch, SMALL, seed=6)))


def test_weights_are_pytorch_s_own() -> None:
    net = build(Arch("nb201", (3,) * 6), Skeleton(), seed=0)
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            bound = (m.in_channels * m.kernel_size[0] ** 2) ** -0.5
            assert 0.9 * bound < m.weight.abs().max() <= bound
        elif isinstance(m, nn.BatchNorm2d):
            assert (m.weight == 1).all()
            assert (m.bias == 0).all()


def test_archs_that_cannot_be_built() -> None:
    with pytest.raises(UnknownNameError):
        build(Arch("nb2001", (0,) * 6), SMALL, seed=0)
    with pytest.raises(ArchError, match="Expected 6 genes"):
        build(Arch("nb201", (0,) * 5), SMALL, seed=0)


@pytest.mark.parametrize("attribute", ["space", "by_text"])
def test_custom_spaces(file: Path, attribute: str) -> None:
    space = get_space(f"{file}:{attribute}")
    net = build(space.parse("width=4,fail=no"), SMALL, seed=0)
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    assert net.conv.out_channels == 4


def test_a_builder_that_raises_is_named_with_its_choices(file: Path) -> None:
    space = get_space(f"{file}:space")
    with pytest.raises(ModuleRaisedError) as caught:
        build(space.parse("width=2,fail=raise"), SMALL, seed=0)
    assert "RuntimeError for width=2,fail=raise: no such width" in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(NetworkError, match="returned a int for width=2,fail=number"):
        build(space.parse("width=2,fail=number"), SMALL, seed=0)


@pytest.mark.parametrize(
    ("attribute", "says"),
    [("lost", "has no attribute 'nowhere'"), ("uncallable", "not a function")],
)
def test_builders_that_are_none(file: Path, attribute: str, says: str) -> None:
    space = get_space(f"{file}:{attribute}")
    with pytest.raises(PluginError, match=says):
        build(space.parse("width=2,fail=no"), SMALL, seed=0)


def test_a_space_without_a_builder_says_so(tmp_path: Path) -> None:
    path = tmp_path / "bare.py"
    path.write_text(
        "from foretell.spaces import NB201\n"
        "class Bare(NB201):\n    network = ''\n"
        "class Wrong(NB201):\n    network = 'builtins:print'\n"
        "class Raises(NB201):\n    network = 'math:sqrt'\n"
    )
    with pytest.raises(NetworkError, match="set the class attribute network"):
        build(Arch(f"{path}:Bare", (0,) * 6), SMALL, seed=0)
    with pytest.raises(NetworkError, match="returned a NoneType"):
        build(Arch(f"{path}:Wrong", (0,) * 6), SMALL, seed=0)
    with pytest.raises(ModuleRaisedError, match="raised TypeError"):
        build(Arch(f"{path}:Raises", (0,) * 6), SMALL, seed=0)


@pytest.mark.parametrize(
    ("name", "channels", "classes"),
    [
        ("ready", 3, 10),
        ("Net", 1, 3),
        ("nothing_asked", 3, 10),
        ("all_asked", 1, 3),
        ("anything", 3, 10),
    ],
)
def test_users_modules(file: Path, name: str, channels: int, classes: int) -> None:
    state = torch.get_rng_state()
    made = [
        build_module(f"{file}:{name}", input_shape=(1, 8, 8), classes=3, seed=s) for s in (0, 0, 1)
    ]
    assert torch.equal(state, torch.get_rng_state())
    assert made[0].conv.in_channels == channels
    assert made[0].head.out_features == classes
    assert torch.equal(weights(made[0]), weights(made[1]))
    assert torch.equal(weights(made[0]), weights(made[2])) == (name == "ready")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("raises", ModuleRaisedError, "raised ValueError: width must be even"),
        ("positional_only", ModuleRaisedError, "raised TypeError"),
        ("gives_a_list", NetworkError, "returned a list, but a torch.nn.Module"),
        ("number", NetworkError, "is a int, but a torch.nn.Module"),
        ("absent", PluginError, "has no attribute 'absent'"),
    ],
)
def test_users_modules_that_fail(file: Path, name: str, error: type[Exception], says: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(error) as caught:
        build_module(f"{file}:{name}", input_shape=(1, 8, 8), classes=3, seed=0)
    assert says in str(caught.value)
    assert torch.equal(state, torch.get_rng_state())


def test_a_module_of_an_installed_package() -> None:
    net = build_module("torch.nn:Identity", input_shape=(1, 8, 8), classes=3, seed=0)
    assert isinstance(net, nn.Identity)


def test_modules_without_weights_are_refused_where_weights_are_needed() -> None:
    layer = nn.Linear(2, 2)
    assert check_parameters(layer) is layer
    with pytest.raises(NoParametersError, match="synflow needs weights, but the module Flatten"):
        check_parameters(nn.Flatten(), "synflow")
    with pytest.raises(NoParametersError):
        check_parameters(nn.Linear(2, 2).requires_grad_(False))
