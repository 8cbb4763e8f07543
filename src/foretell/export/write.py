"""The winner as files: weights, description, a training script that needs only torch, ONNX.

A folder from ``export_best`` stands on its own: ``train.py`` rebuilds the network from the sources
copied beside it, retrains it on ``data.pt`` with the same recipe and seed, and reaches the same
test accuracy; ``load_best`` gives the trained network back.
"""

import copy
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import ExportError, ExportWarning
from foretell.export.describe import FORMAT, image_facts
from foretell.export.onnx_file import export_onnx
from foretell.export.script import train_script
from foretell.export.signed import sign_sources
from foretell.export.sources import Source, source_of
from foretell.networks.cells import CellNetwork
from foretell.networks.to_onnx import onnx_missing
from foretell.spaces import Skeleton, get_space
from foretell.training import Recipe, TrainingResult, loop, tensor_task
from foretell.types import Json

__all__ = ["export_best"]

LOOP = "loop.py"
"""The file beside ``train.py`` that trains."""


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

    Operations of a cell that do not reach its output are left out of the weights.

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
    source = source_of(arch, skeleton)
    module = _pruned(module)
    description = _describe(module, arch, skeleton, task, recipe, seed, result, source)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    contents = {
        "weights.safetensors": save(state, metadata={"format": "pt"}),
        "arch.json": b"",
        "train.py": train_script(description, recipe, source, LOOP).encode(),
        "data.pt": loop.task_to_bytes(tensor_task(task)),
        LOOP: Path(loop.__file__).read_bytes(),
    }
    folders = []
    if source is not None:
        for name, copied in source.copies.items():
            if source.files[name].is_dir():
                folders.append(copied)
            else:
                contents[copied] = source.files[name].read_bytes()
        description["network"] = sign_sources(description["network"], contents)
    contents["arch.json"] = (json.dumps(description, indent=2, allow_nan=False) + "\n").encode()
    try:
        _write(folder, contents, folders)
        written = [folder / name for name in contents]
        if onnx or (onnx is None and onnx_missing() is None):
            try:
                written.append(export_onnx(module, folder / "model.onnx", task))
            except ExportError as error:
                if onnx:
                    raise
                warnings.warn(ExportWarning(f"{error} The other files were written."), stacklevel=2)
    except OSError as error:
        raise ExportError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror or error}): choose "
            f"another, or make room."
        ) from error
    return written


def _write(folder: Path, contents: dict[str, bytes], folders: Sequence[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in contents:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    loop.write_atomically({folder / name: content for name, content in contents.items()})


def _pruned(module: nn.Module) -> nn.Module:
    """A network of cells without what does not reach its output; any other as it is."""
    if not isinstance(module, CellNetwork):
        return module
    small = copy.deepcopy(module)
    small.prune()
    return small


def _describe(
    module: nn.Module,
    arch: Arch,
    skeleton: Skeleton,
    task: Task,
    recipe: Recipe,
    seed: int,
    result: TrainingResult,
    source: Source | None,
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
        else {
            "target": source.target,
            "arguments": dict(source.arguments),
            "space": source.space,
            "builder": source.builder,
            "files": source.copies,
        },
        "pruned": isinstance(module, CellNetwork),
        "params": sum(p.numel() for p in module.parameters()),
        "task": {
            "name": task.name,
            "input_shape": list(task.input_shape),
            "class_names": list(task.class_names),
            "mean": task.mean.tolist(),
            "std": task.std.tolist(),
            "fingerprint": task.fingerprint,
        },
        "images": image_facts(task),
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
