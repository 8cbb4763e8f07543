"""The trained network of an exported folder, normalisation included."""

import contextlib
import importlib
import importlib.machinery
import itertools
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from foretell.arch import Arch
from foretell.errors import (
    ExportError,
    ForetellError,
    MissingDataError,
    UntrustedError,
    UsageError,
)
from foretell.export.describe import BestInfo, read_info
from foretell.export.imports import Sources
from foretell.export.signed import check_sources
from foretell.networks import build
from foretell.networks.cells import CellNetwork
from foretell.networks.lazy import materialised
from foretell.registry import resolve
from foretell.spaces import Space, get_space, spaces
from foretell.training.loop import normalise
from foretell.types import Json, Shape3

__all__ = ["ImageNetwork", "load_best"]

_TOLERANCE = 1e-3
"""How far outside [0, 1] a pixel may be."""
_NUMBER = itertools.count()


class ImageNetwork(nn.Module):
    """A trained network that takes images as they are: its normalisation is inside.

    Args:
        module: takes normalised images.
        mean: of each channel in [0, 1].
        std: of each channel.
        input_shape: channels, height, width of one image.
        class_names: one for each output.
    """

    def __init__(
        self,
        module: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        input_shape: Shape3,
        class_names: tuple[str, ...],
    ) -> None:
        """Keep the network as it is."""
        super().__init__()
        self.module = module
        self.mean, self.std = mean, std
        self.input_shape, self.class_names = input_shape, class_names

    def forward(self, images: Tensor) -> Tensor:
        """(n, c, h, w), uint8 or floats in [0, 1] -> logits (n, classes).

        Raises:
            UsageError: the images are neither, such as images that were normalised before.
        """
        _check_range(images)
        y: Tensor = self.module(normalise(images, self.mean, self.std))
        return y


def load_best(folder: str | Path, *, trust: bool = False) -> ImageNetwork:
    """The trained network of a folder that ``export_best`` wrote, in evaluation mode.

    It takes images as they are, uint8 or floats in [0, 1]; the normalisation is inside. Of files,
    only those inside the folder are imported; a space of an installed package is imported from
    there.

    Args:
        folder: that ``export_best`` wrote, or a run folder with ``best`` in it.
        trust: whether you vouch for the Python files of a folder that you did not export here.

    Raises:
        MissingDataError: a file is missing.
        ExportError: a file cannot be read, leads outside the folder, or the weights do not fit.
        UntrustedError: it would run files of somebody else.
    """
    info = read_info(folder)
    path = info.folder / "weights.safetensors"
    if not path.is_file():
        raise MissingDataError(
            f"There is no weights.safetensors in {str(info.folder)!r}: give a folder that a search "
            f"wrote, such as RUN/best."
        )
    held = _held(path)
    with torch.device("meta"):
        too_large = _size(info, trust) > held
    if too_large:
        raise ExportError(
            f"The architecture in {str(info.folder)!r} asks for more than the {held:,} weights "
            f"that are stored beside it: export again."
        )
    module = _build(info, trust)
    if info.pruned and isinstance(module, CellNetwork):
        module.prune()
    try:
        module.load_state_dict(load_file(path))
    except Exception as error:
        raise ExportError(
            f"The weights in {str(info.folder)!r} do not fit its architecture "
            f"({type(error).__name__}): export again."
        ) from error
    return ImageNetwork(
        module, info.mean, info.std, info.skeleton.input_shape, info.class_names
    ).eval()


def _held(path: Path) -> float:
    """How many values a file of weights holds; infinity for one that is damaged.

    What is wrong with that is said when it is read.
    """
    try:
        with safe_open(path, "pt") as file:
            return float(sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys()))  # noqa: SIM118
    except Exception:  # a class of its own, which safetensors may change
        return math.inf


def _size(info: BestInfo, trust: bool) -> int:
    """How many parameters the network has; 0 where it needs real tensors to be built.

    Raises:
        UntrustedError: it would run files of somebody else.
    """
    if info.arch.space in spaces:
        space = get_space(info.arch.space)
        with contextlib.suppress(ForetellError):  # said where it is built
            table = space.costs([space.check(info.arch)], info.skeleton)
            if table is not None:
                return int(table.live_params[0])
    try:
        module = _build(info, trust)
    except UntrustedError:
        raise
    except ExportError:  # said again where it is built for good, unless the builder wants values
        return 0
    if info.pruned and isinstance(module, CellNetwork):
        module.prune()
    return sum(p.numel() for p in module.parameters())


def _build(info: BestInfo, trust: bool) -> nn.Module:
    """The network with its initial weights.

    Raises:
        ExportError: it cannot be built from what the folder and installed packages hold.
        UntrustedError: it would run files of somebody else.
    """
    network = info.network
    try:
        if info.arch.space in spaces:
            return build(info.arch, info.skeleton, seed=info.seed)
        files = {} if network is None else _files(info.folder, network)
        if not files:
            _check_package(info)
            return build(info.arch, info.skeleton, seed=info.seed)
        assert network is not None
        if not trust:
            check_sources(info.folder, network, files)
        with _importing(files, info.folder), torch.random.fork_rng([]):
            torch.default_generator.manual_seed(info.seed)
            module: object = _from_files(info, network, files)
            if isinstance(module, nn.Module):
                images = torch.zeros(2, *info.skeleton.input_shape)
                module = materialised(module, images)
    except (ExportError, UntrustedError):
        raise
    except Exception as error:  # the folder's own code
        why = str(error) if isinstance(error, ForetellError) else f"{type(error).__name__}: {error}"
        raise ExportError(
            f"The network in {str(info.folder)!r} cannot be built again ({why.rstrip('.')}): "
            f"export again with the files that its builder needs."
        ) from error
    if not isinstance(module, nn.Module):
        raise ExportError(
            f"The network in {str(info.folder)!r} was built as a {type(module).__name__}, but a "
            f"torch.nn.Module is expected: export again."
        )
    return module


def _from_files(info: BestInfo, network: Mapping[str, Json], files: Mapping[str, str]) -> object:
    if not network.get("space"):
        arguments = {**network["arguments"], "input_shape": info.skeleton.input_shape}
        return _named(network["target"], files)(**arguments)
    space: Any = _named(network["space"], files)
    if not isinstance(space, Space):
        space = space()
    builder = network.get("builder")
    function: Any = _named(builder, files) if builder else resolve(space.builder())
    return function(space, Arch(space.name, info.arch.genes), info.skeleton)


def _named(target: str, files: Mapping[str, str]) -> Any:
    """The object of ``module:name``, of a module in the table only."""
    module, _, name = target.partition(":")
    if module not in files:
        raise ExportError(f"{target!r} is in none of the files of the folder: export again.")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _files(folder: Path, network: Mapping[str, Json]) -> dict[str, str]:
    """Module -> file below the folder.

    Raises:
        ExportError: a file is outside the folder, or is not there.
    """
    stem = str(network["target"]).partition(":")[0]
    files: Mapping[str, Json] = network.get("files") or (
        {stem: f"{stem}.py"} if (folder / f"{stem}.py").is_file() else {}
    )
    root = folder.resolve()
    for name, file in files.items():
        named = all(part.isidentifier() for part in name.split("."))
        path = (folder / str(file)).resolve()
        if not named or not path.is_relative_to(root):
            raise ExportError(
                f"{str(folder / 'arch.json')!r} names the file {str(file)!r} of the module "
                f"{name!r}, but only files inside the folder are imported: export again."
            )
        if not path.exists():
            raise MissingDataError(
                f"There is no {str(file)!r} in {str(folder)!r}, from which the network is built: "
                f"export again."
            )
    return {name: str(file) for name, file in files.items()}


def _check_package(info: BestInfo) -> None:
    """Refuse a space of a file, or of a module that lies in the current directory.

    Raises:
        ExportError: nothing inside the folder or installed holds it.
    """
    location = info.arch.space.rpartition(":")[0]
    if not location or location in sys.modules or location == "memory":
        return
    here = str(Path.cwd())
    path = [p for p in sys.path if p and str(Path(p).absolute()) != here]
    top = location.partition(".")[0]
    installed = top.isidentifier() and not location.endswith(".py")
    if not installed or importlib.machinery.PathFinder.find_spec(top, path) is None:
        raise ExportError(
            f"The space {info.arch.space!r} is outside the folder {str(info.folder)!r} and in no "
            f"installed package, and only files inside the folder are imported: install its "
            f"package, or give the builder a name at the top of a file and export again."
        )


@contextmanager
def _importing(files: Mapping[str, str], folder: Path) -> Iterator[None]:
    """While it lasts, modules of the table come from the folder; afterwards all is as before.

    The modules stay importable under a name of their own, which their classes have.
    """
    prefix = f"_foretell_best_{next(_NUMBER)}_"
    tops = {name.partition(".")[0] for name in files}

    def ours() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in tops]

    before = {name: sys.modules.pop(name) for name in ours()}
    finder = Sources(files, str(folder.resolve()), prefix)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            sys.modules[prefix + name] = sys.modules.pop(name)
        sys.modules.update(before)


def _check_range(images: Tensor) -> None:
    if images.dtype == torch.uint8 or images.is_meta or torch.compiler.is_compiling():
        return
    if not images.is_floating_point():
        raise UsageError(
            f"Expected images as uint8 or as floats in [0, 1], but got {images.dtype}."
        )
    if torch._C._get_tracing_state() or not images.numel():
        return
    low, high = 0.0, 1.0
    with contextlib.suppress(RuntimeError, TypeError):  # values are not known inside vmap
        low, high = images.detach().amin().item(), images.detach().amax().item()
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        raise UsageError(
            f"Expected images as uint8 or as floats in [0, 1], but their values run from {low:.4g} "
            f"to {high:.4g}: the normalisation is inside the network, so leave it out."
        )
