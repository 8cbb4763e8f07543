"""The winner as files: weights, description, a training script that needs only torch, ONNX.

A folder from ``export_best`` stands on its own: ``train.py`` rebuilds the network from the sources
copied beside it, retrains it on ``data.pt`` with the same recipe and seed, and reaches the same
test accuracy; ``load_best`` gives the trained network back.
"""

import json
import math
import pprint
import string
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save
from torch import nn

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import ExportError, MissingDataError, MissingExtraError
from foretell.networks import build
from foretell.networks.to_onnx import onnx_bytes, onnx_missing
from foretell.registry import resolve
from foretell.robustness import Normalised
from foretell.spaces import Skeleton, get_space, spaces
from foretell.training import Recipe, TrainingResult, loop, tensor_task
from foretell.types import Json, Shape3

__all__ = ["export_best", "export_onnx", "load_best"]

FORMAT = 1
"""Version of ``arch.json``."""
TAKEN = ("train.py", "loop.py", "cells.py")
"""Names that a user's file cannot have beside ``train.py``."""


@dataclass(frozen=True)
class _Source:
    """How the network is built without this library.

    Args:
        target: ``module:name``, importable beside ``train.py`` or from an installed package.
        arguments: what the name is called with.
        files: name in the folder -> file to copy.
        users: whether the files are a user's, who may import this library.
    """

    target: str
    arguments: Mapping[str, object]
    files: Mapping[str, Path]
    users: bool


def export_best(
    folder: str | Path,
    module: nn.Module,
    *,
    arch: Arch,
    skeleton: Skeleton,
    task: Task,
    recipe: Recipe,
    seed: int,
    result: TrainingResult,
    onnx: bool | None = None,
) -> list[Path]:
    """Write a trained network to a folder.

    Args:
        folder: made if it is not there; files of the same names are replaced.
        module: the trained network.
        arch: what it was built from.
        skeleton: what surrounds it.
        task: what it was trained on; ``data.pt`` holds its images.
        recipe: how it was trained.
        seed: of its initial weights and of its training.
        result: what the training gave.
        onnx: whether to write ``model.onnx``; by default if the packages for it are installed.

    Returns:
        The files: ``weights.safetensors``, ``arch.json``, ``data.pt``, ``train.py`` with the
        sources it imports, and ``model.onnx``.

    Raises:
        ExportError: the folder cannot be written, or the module's weights do not fit ``arch``.
        MissingExtraError: ``onnx=True`` and the packages are not installed.
    """
    folder = Path(folder)
    source = _source(arch, skeleton)
    description = _describe(module, arch, skeleton, task, recipe, seed, result, source)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    contents = {
        "weights.safetensors": save(state, metadata={"format": "pt"}),
        "arch.json": (json.dumps(description, indent=2, allow_nan=False) + "\n").encode(),
        "train.py": _script(description, recipe, source).encode(),
        "data.pt": loop.task_to_bytes(tensor_task(task)),
        "loop.py": Path(loop.__file__).read_bytes(),
    }
    if source is not None:
        contents.update({n: p.read_bytes() for n, p in source.files.items()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / name for name in contents]
        loop.write_atomically({folder / name: content for name, content in contents.items()})
        if onnx or (onnx is None and onnx_missing() is None):
            path = folder / "model.onnx"
            try:
                export_onnx(module, path, task)
                written.append(path)
            except ExportError as error:
                if onnx:
                    raise
                warnings.warn(f"{error} The other files were written.", stacklevel=2)
    except OSError as error:
        raise ExportError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror or error}): choose "
            f"another, or make room."
        ) from error
    return written


def load_best(folder: str | Path) -> nn.Module:
    """The trained network of a folder that ``export_best`` wrote, in evaluation mode.

    It takes images with ``mean`` taken off, in units of ``std``, as ``arch.json`` has them under
    ``task``.

    Raises:
        MissingDataError: a file is missing.
        ExportError: a file cannot be read, or the weights do not fit.
    """
    folder = Path(folder)
    for name in ("arch.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise MissingDataError(
                f"There is no {name} in {str(folder)!r}: give a folder that a search wrote, such "
                f"as RUN/best."
            )
    try:
        content = json.loads((folder / "arch.json").read_text(encoding="utf-8"))
        arch = Arch(content["space"], tuple(content["genes"]))
        facts = content["skeleton"]
        skeleton = Skeleton(
            cast(Shape3, tuple(facts["input_shape"])),
            facts["classes"],
            facts["channels"],
            facts["cells"],
        )
        network, seed = content["network"], content["seed"]
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{str(folder / 'arch.json')!r} is not what export_best writes "
            f"({type(error).__name__}: {error}): export again."
        ) from error
    copied = None if network is None else folder / f"{network['target'].partition(':')[0]}.py"
    if arch.space not in spaces and copied is not None and copied.is_file():
        name = network["target"].partition(":")[2]
        maker = resolve(f"{copied}:{name}")
        arguments = {**network["arguments"], "input_shape": skeleton.input_shape}
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(seed)
            module = cast(nn.Module, cast(Any, maker)(**arguments))
    else:
        module = build(arch, skeleton, seed=seed)
    try:
        module.load_state_dict(load_file(folder / "weights.safetensors"))
    except Exception as error:
        raise ExportError(
            f"The weights in {str(folder)!r} do not fit its architecture "
            f"({type(error).__name__}): export again."
        ) from error
    return module.eval()


def export_onnx(module: nn.Module, path: str | Path, task: Task) -> Path:
    """Write a network as ONNX that takes images in [0, 1], as many at a time as one likes.

    The normalisation is inside. Input "images" (n, c, h, w) float32, output "logits" (n, classes).

    Args:
        module: takes normalised images; its mode is left as it was.
        path: the file to write.
        task: gives the shape, mean and std.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        ExportError: the network cannot be exported.
    """
    if missing := onnx_missing():
        raise MissingExtraError(missing, "onnx", "Writing ONNX")
    path = Path(path)
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    model = Normalised(module, task.mean.tolist(), task.std.tolist()).to(home)
    # two images, because a batch of one is taken for a constant
    images = torch.rand(2, *task.input_shape, generator=torch.Generator().manual_seed(0))
    with loop.eval_mode(model):
        content = onnx_bytes(model, images.to(home), any_batch=True)
    loop.write_atomically({path: content})
    return path


def _source(arch: Arch, skeleton: Skeleton) -> _Source | None:
    """What the builder's module says about building without this library."""
    space = get_space(arch.space)
    if not space.network:
        return None
    hook = f"{space.network.rpartition(':')[0]}:standalone"
    try:
        standalone = cast(Any, resolve(hook))(space, arch, skeleton)
    except Exception:  # a space from elsewhere need not say it
        return None
    if standalone is None:
        return None
    target, arguments, others = standalone
    location, _, name = target.rpartition(":")
    if not location.endswith(".py"):
        return _Source(target, arguments, {}, users=True)
    file = Path(location)
    own = Path(loop.__file__).parent.parent in file.parents
    stem = file.stem
    if not own and (file.name in TAKEN or not stem.isidentifier()):
        stem = "user_" + "".join(c if c.isalnum() else "_" for c in stem)
    files = {f"{stem}.py": file, **{Path(o).name: Path(o) for o in others}}
    return _Source(f"{stem}:{name}", arguments, files, users=not own)


def _describe(
    module: nn.Module,
    arch: Arch,
    skeleton: Skeleton,
    task: Task,
    recipe: Recipe,
    seed: int,
    result: TrainingResult,
    source: _Source | None,
) -> dict[str, Json]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "format": FORMAT,
        "space": arch.space,
        "genes": list(arch.genes),
        "text": get_space(arch.space).format(arch),
        "skeleton": asdict(skeleton),
        "network": None
        if source is None
        else {"target": source.target, "arguments": dict(source.arguments)},
        "params": sum(p.numel() for p in module.parameters()),
        "task": {
            "name": task.name,
            "input_shape": list(task.input_shape),
            "class_names": list(task.class_names),
            "mean": task.mean.tolist(),
            "std": task.std.tolist(),
            "fingerprint": task.fingerprint,
        },
        "recipe": asdict(recipe),
        "seed": seed,
        "threads": torch.get_num_threads(),
        "result": {
            "val_accuracy": number(result.val_accuracy),
            "test_accuracy": number(result.test_accuracy),
            "epochs": result.epochs,
            "seconds": round(result.seconds, 3),
        },
        "versions": {"foretell": version("foretell"), "torch": torch.__version__},
    }


def _script(description: Mapping[str, Json], recipe: Recipe, source: _Source | None) -> str:
    result = description["result"]
    if source is None:
        make = _FALLBACK.substitute(
            space=repr(description["space"]),
            genes=tuple(description["genes"]),
            skeleton={k: _tuple(v) for k, v in description["skeleton"].items()},
        )
        needs = "torch, foretell and the package of the search space"
    else:
        module, _, name = source.target.partition(":")
        make = _MAKER.substitute(
            stand_in=_STAND_IN if source.users else "",
            module=module,
            name=name,
            head=name.partition(".")[0],
            arguments=pprint.pformat(dict(source.arguments), sort_dicts=False, width=90),
        )
        needs = "torch" if source.files else f"torch and the package of {module}"
        if source.users and source.files:
            needs += f", and what {next(iter(source.files))} imports"
    return _TRAIN.substitute(
        text=_plain(description["text"]),
        params=f"{description['params']:,}",
        task=_plain(description["task"]["name"]),
        needs=needs,
        make=make,
        recipe=_call(asdict(recipe)),
        seed=description["seed"],
        threads=description["threads"],
        test=result["test_accuracy"],
        torch=description["versions"]["torch"],
    )


def _plain(text: str) -> str:
    """A text as it can stand in a docstring."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _tuple(value: Json) -> Json:
    return tuple(value) if isinstance(value, list) else value


def _call(arguments: Mapping[str, object]) -> str:
    return "Recipe(\n" + "".join(f"    {k}={v!r},\n" for k, v in arguments.items()) + ")"


_MAKER = string.Template('''\
${stand_in}from ${module} import ${head}

ARGUMENTS = ${arguments}


def make_network():
    """The network with its initial weights."""
    torch.manual_seed(SEED)
    return ${name}(**ARGUMENTS)
''')

_FALLBACK = string.Template('''\
from foretell import Arch, Skeleton
from foretell.networks import build

ARCH = Arch(${space}, ${genes})
SKELETON = Skeleton(**${skeleton})


def make_network():
    """The network with its initial weights."""
    return build(ARCH, SKELETON, seed=SEED)
''')

_STAND_IN = '''\
import importlib.abc
import importlib.machinery
import types

try:
    import foretell  # the file that builds the network may import it to declare its space
except ModuleNotFoundError:

    class StandIn(types.ModuleType):
        """Takes the place of foretell, of which building the network needs nothing."""

        __path__ = ()

        def __call__(self, *_, **__):
            return self

        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return self

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        """Finds a stand-in for foretell and whatever is below it."""

        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "foretell":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)

        def create_module(self, spec):
            return StandIn(spec.name)

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())

'''

_TRAIN = string.Template('''\
"""Train this network again, from its initial weights to its test accuracy.

Network     ${text}
Parameters  ${params}
Data        ${task}, in data.pt beside this file
Needs       ${needs}

    python train.py                       the same run; writes retrained.pt
    python train.py --epochs 100          a longer one
    python train.py --device cuda

With the same version of torch (${torch}), number of threads (${threads}) and machine, the same run
gives the very same weights. loop.py holds the training itself.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from loop import Recipe, fit, load_tensor_task

SEED = ${seed}
THREADS = ${threads}
TEST_ACCURACY = ${test}
RECIPE = ${recipe}

${make}

def main():
    parser = argparse.ArgumentParser(description="Train this network again.")
    parser.add_argument("--data", type=Path, default=HERE / "data.pt", help="images and labels")
    parser.add_argument("--out", type=Path, default=HERE / "retrained.pt", help="trained weights")
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--seed", type=int, default=SEED, help="of shuffling and augmentation")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    recipe = replace(RECIPE, epochs=arguments.epochs)
    task = load_tensor_task(arguments.data)
    network = make_network()

    def show(epoch):
        print(
            f"epoch {epoch.index + 1:3d}/{recipe.epochs}  loss {epoch.train_loss:.4f}  "
            f"validation {epoch.val_accuracy:.4f}",
            flush=True,
        )

    start = time.perf_counter()
    result = fit(
        network, task, recipe, seed=arguments.seed, device=arguments.device, on_epoch=show
    )
    torch.save(network.state_dict(), arguments.out)
    print(f"{time.perf_counter() - start:.1f} s, weights in {arguments.out}")
    print(f"recorded test accuracy {TEST_ACCURACY!r}")
    print(f"test accuracy {result.test_accuracy!r}")


if __name__ == "__main__":
    main()
''')
