"""What ``arch.json`` says of a folder, and what every model file says of its images; no torch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from foretell.arch import Arch
from foretell.data import Task
from foretell.errors import ExportError, MissingDataError
from foretell.files import user_path
from foretell.spaces import Skeleton
from foretell.types import Json, Shape3

__all__ = ["FORMAT", "BestInfo", "image_facts", "read_info"]

FORMAT = 2
"""Version of ``arch.json``."""
_LARGEST_FILE = 16 << 20
_LARGEST_IMAGE, _MOST_CHANNELS, _MOST_CELLS = 1 << 24, 1 << 16, 999
"""Values of an image, channels of a skeleton and its cells in a stage: far beyond what is built."""


@dataclass(frozen=True)
class BestInfo:
    """A trained network as its folder describes it.

    Args:
        folder: that holds it.
        arch: what it was built from.
        skeleton: what surrounds it.
        text: the architecture, as its space formats it.
        class_names: one for each output.
        mean: of each channel in [0, 1], taken off inside the network.
        std: of each channel.
        network: how it is built from the folder's files; None through the library.
        pruned: whether operations that do not reach the output are left out of the weights.
        seed: of its initial weights.
    """

    folder: Path
    arch: Arch
    skeleton: Skeleton
    text: str
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    network: Mapping[str, Json] | None
    pruned: bool
    seed: int


def image_facts(task: Task) -> dict[str, Json]:
    """What a user of the network must know of its images, for JSON."""
    c, h, w = task.input_shape
    return {
        "shape": [c, h, w],
        "channels": {1: "grey", 3: "RGB"}.get(c, f"{c} channels"),
        "layout": "(n, c, h, w)",
        "range": "floats in [0, 1]; divide bytes by 255",
        "resize": f"to {w} x {h} pixels (width x height), bilinear, without keeping the aspect",
        "normalisation": "inside the network: (x - mean) / std",
    }


def read_info(folder: str | Path) -> BestInfo:
    """What the ``arch.json`` of a folder says.

    Args:
        folder: that ``export_best`` wrote, or a run folder with ``best`` in it.

    Raises:
        MissingDataError: there is no such file.
        ExportError: it is none that ``export_best`` writes.
    """
    folder = user_path(folder)
    if not (folder / "arch.json").is_file() and (folder / "best" / "arch.json").is_file():
        folder = folder / "best"
    path = folder / "arch.json"
    if not path.is_file():
        raise MissingDataError(
            f"There is no arch.json in {str(folder)!r}: give a folder that a search wrote, such as "
            f"RUN/best."
        )
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
        facts, task = content["skeleton"], content["task"]
        shape = tuple(int(n) for n in facts["input_shape"])
        skeleton = Skeleton(
            cast(Shape3, shape), int(facts["classes"]), int(facts["channels"]), int(facts["cells"])
        )
        mean, std = (tuple(float(v) for v in task[k]) for k in ("mean", "std"))
        names = tuple(str(n) for n in task["class_names"])
        network = content["network"]
        if len(shape) != 3 or not len(mean) == len(std) == shape[0]:
            raise ValueError("mean and std do not fit input_shape")
        if len(names) != skeleton.classes or min(*shape, skeleton.classes) < 1:
            raise ValueError("class_names do not fit classes")
        if math.prod(shape) > _LARGEST_IMAGE:
            raise ValueError(f"input_shape has more than {_LARGEST_IMAGE:,} values")
        if not 1 <= skeleton.channels <= _MOST_CHANNELS or not 0 <= skeleton.cells <= _MOST_CELLS:
            raise ValueError(
                f"channels must be 1 to {_MOST_CHANNELS:,} and cells at most {_MOST_CELLS:,}"
            )
        if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise ValueError("mean must be finite and std finite and above 0")
        if network is not None and not isinstance(network["target"], str):
            raise ValueError("network has no target")
        return BestInfo(
            folder,
            Arch(str(content["space"]), tuple(int(g) for g in content["genes"])),
            skeleton,
            str(content.get("text", "")),
            names,
            mean,
            std,
            network,
            bool(content.get("pruned", False)),
            int(content["seed"]),
        )
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, OSError,
    ) as error:  # fmt: skip
        raise ExportError(
            f"{str(path)!r} is not what export_best writes ({type(error).__name__}: {error}): "
            f"export again."
        ) from error
