"""Classes of image files by an exported network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from foretell.data.folder import list_images, read_image
from foretell.errors import ExportError, ForetellError, MissingDataError, UsageError
from foretell.export.describe import BestInfo, read_info
from foretell.files import user_path
from foretell.types import Array

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Classification", "Runtime", "classify"]

Runtime: TypeAlias = Literal["auto", "torch", "onnx"]
"""What runs the network; "auto" is onnx where file and package are there."""
_BATCH = 64


@dataclass(frozen=True)
class Classification:
    """What a network makes of n images.

    Args:
        files: (n,) their files.
        class_names: (k,) one for each output.
        probabilities: (n, k) softmax of the outputs; NaN where a file could not be read.
        failures: index of a file -> why it could not be read.
        runtime: what ran the network, "torch" or "onnx".
    """

    files: tuple[Path, ...]
    class_names: tuple[str, ...]
    probabilities: Array
    failures: "Mapping[int, str]" = field(default_factory=lambda: MappingProxyType({}))
    runtime: str = "torch"

    @property
    def best(self) -> tuple[str, ...]:
        """(n,) the most probable class of each; empty where a file could not be read."""
        return tuple(
            "" if np.isnan(row).any() else self.class_names[int(row.argmax())]
            for row in self.probabilities
        )


def classify(
    folder: str | Path,
    images: Sequence[str | Path],
    *,
    runtime: Runtime = "auto",
    trust: bool = False,
) -> Classification:
    """Classes of image files by the network of an exported folder.

    Images are resized and normalised as in training.

    Args:
        folder: that ``export_best`` wrote, or a run folder with ``best`` in it.
        images: image files, and folders of them.
        runtime: what runs the network.
        trust: see ``load_best``; an ONNX model holds no Python.

    Raises:
        MissingDataError: the folder or an image is missing, or a folder holds no image.
        ExportError: the network cannot be read, or its outputs are no numbers.
        MissingExtraError: Pillow or an ONNX runtime is not installed.
        ForetellError: an image that was named itself cannot be read; those of folders are counted.
    """
    info = read_info(folder)
    files: list[Path] = []
    named: set[Path] = set()
    for item in map(Path, images):
        path = user_path(item)
        if not path.is_dir():
            files.append(path)
            named.add(path)
        elif inside := list_images(path):
            files += inside
        else:
            raise MissingDataError(f"There is no image in the folder {str(path)!r}.")
    files = list(dict.fromkeys(files))
    if not files:
        raise UsageError("Expected image files or folders of them, but got none.")
    read: dict[int, Any] = {}
    failures: dict[int, str] = {}
    for i, file in enumerate(files):
        try:
            read[i] = read_image(file, info.skeleton.input_shape)
        except ForetellError as error:
            if file in named or len(files) == 1:
                raise
            failures[i] = str(error)
    probabilities = np.full((len(files), len(info.class_names)), np.nan)
    used = "onnx" if _uses_onnx(info, runtime) else "torch"
    if read:
        run = _onnx(info) if used == "onnx" else _torch(info, trust)
        logits = _run(run, np.stack(list(read.values())))
        if logits.shape != (len(read), len(info.class_names)) or not np.isfinite(logits).all():
            raise ExportError(
                f"Expected {len(info.class_names)} finite outputs for each image, but the network "
                f"in {str(info.folder)!r} gave {logits.shape}, or infinite ones: export again."
            )
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities[list(read)] = odds / odds.sum(axis=1, keepdims=True)
    return Classification(
        tuple(files), info.class_names, probabilities, MappingProxyType(failures), used
    )


def _uses_onnx(info: BestInfo, runtime: Runtime) -> bool:
    if runtime != "auto":
        return runtime == "onnx"
    if not (info.folder / "model.onnx").is_file():
        return False
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


Run: TypeAlias = Callable[[Any], Array]
"""Images (n, c, h, w) uint8 -> logits (n, classes)."""


def _torch(info: BestInfo, trust: bool) -> tuple[Run, int | None]:
    import torch

    from foretell.export.read import load_best

    network = load_best(info.folder, trust=trust)

    def run(images: Any) -> Array:
        try:
            with torch.inference_mode():
                logits = network(torch.from_numpy(images))
            return np.asarray(logits.double().numpy())
        except ForetellError:
            raise
        except Exception as error:  # a user's network
            raise ExportError(
                f"The network in {str(info.folder)!r} raised {type(error).__name__}: {error}"
            ) from error

    return run, None


def _onnx(info: BestInfo) -> tuple[Run, int | None]:
    from foretell.export.onnx_file import onnx_session

    path = info.folder / "model.onnx"
    if not path.is_file():
        raise MissingDataError(
            f"There is no model.onnx in {str(info.folder)!r}: take --runtime torch."
        )
    session, batch = onnx_session(str(path))

    def run(images: Any) -> Array:
        try:
            logits = session(images.astype(np.float32) / np.float32(255))
            return np.asarray(logits, dtype=np.float64)
        except Exception as error:  # the runtime's own kinds of errors
            raise ExportError(
                f"model.onnx in {str(info.folder)!r} cannot be run ({type(error).__name__}): "
                f"export again, or take --runtime torch."
            ) from error

    return run, batch


def _run(how: tuple[Run, int | None], images: Any) -> Array:
    """Logits of n images, in batches; a network that is fixed to a number of images gets that."""
    run, batch = how
    out = []
    for part, count in _batches(images, batch or _BATCH, batch is not None):
        out.append(run(part)[:count])
    return np.concatenate(out)


def _batches(images: Any, size: int, whole: bool) -> Iterator[tuple[Any, int]]:
    """Parts of n images and how many of each are meant; the last one is filled up if need be."""
    for start in range(0, len(images), size):
        part = images[start : start + size]
        count = len(part)
        if whole and count < size:
            part = np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)])
        yield part, count
