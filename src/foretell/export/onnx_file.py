"""A network as an ONNX file: normalisation inside, facts in its metadata, checked against torch."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from foretell.data import Task
from foretell.errors import ExportError, ExportWarning, MissingExtraError
from foretell.export.describe import image_facts
from foretell.networks.to_onnx import EXPORTERS, onnx_bytes, onnx_missing
from foretell.robustness import Normalised
from foretell.training import loop
from foretell.types import Array

__all__ = ["COUNTS", "export_onnx", "onnx_session"]

COUNTS = (1, 2, 7)
"""Numbers of images that a file is checked with."""
_TOLERANCE = 1e-3
"""Largest difference of an output from torch's, as a share of the largest output."""
Session: TypeAlias = Callable[[Any], Any]
"""Images (n, c, h, w) float32 -> logits (n, classes)."""


def export_onnx(module: nn.Module, path: str | Path, task: Task) -> Path:
    """Write a network as ONNX that takes images in [0, 1], as many at a time as one likes.

    The normalisation is inside. Input "images" (n, c, h, w) float32, output "logits" (n, classes).
    The metadata hold class names, input shape, resizing and batch size. The outputs are compared
    with torch's on 1, 2 and 7 images; a network that is fixed to one number of images is written
    for that number, with a warning.

    Args:
        module: takes normalised images; its mode is left as it was.
        path: the file to write.
        task: gives shape, mean, std and class names.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        ExportError: the network cannot be exported, or the file gives other outputs.
    """
    if missing := onnx_missing():
        raise MissingExtraError(missing, "onnx", "Writing ONNX")
    path = Path(path)
    home = next((p.device for p in module.parameters()), torch.device("cpu"))
    model = Normalised(module, task.mean.tolist(), task.std.tolist()).to(home)
    with loop.eval_mode(model), torch.no_grad():
        content, batch = _checked(model, task, home)
    loop.write_atomically({path: _with_facts(content, task, batch)})
    return path


def onnx_session(content: bytes | str) -> tuple[Session, int | None]:
    """What runs an ONNX file, onnxruntime or else onnx's own evaluator.

    Args:
        content: of the file, or its path.

    Returns:
        A function of images, and the number of images it is fixed to, None for any.

    Raises:
        MissingExtraError: neither is installed.
        ExportError: the file cannot be read.
    """
    try:
        import onnxruntime
    except ImportError:
        return _reference(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session: Any = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the runtime's own kinds of errors
        raise ExportError(
            f"The ONNX file cannot be read ({type(error).__name__}): export again."
        ) from error
    return _runner(session), _fixed(session.get_inputs()[0].shape[0])


def _reference(content: bytes | str) -> tuple[Session, int | None]:
    try:
        import onnx
        from onnx.reference import ReferenceEvaluator
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "latency", "Running ONNX") from error
    try:
        model = onnx.load(content) if isinstance(content, str) else onnx.load_from_string(content)
        first = model.graph.input[0].type.tensor_type.shape.dim[0]
        return _runner(ReferenceEvaluator(model)), _fixed(first.dim_value)
    except Exception as error:
        raise ExportError(
            f"The ONNX file cannot be read ({type(error).__name__}): export again."
        ) from error


def _fixed(count: object) -> int | None:
    return count if isinstance(count, int) and count > 0 else None


def _runner(session: Any) -> Session:
    def run(images: Any) -> Any:
        return np.asarray(session.run(None, {"images": images})[0])

    return run


def _checked(model: nn.Module, task: Task, home: torch.device) -> tuple[bytes, int | None]:
    """The file's bytes, and the number of images it is fixed to, None for any."""
    torch_out: dict[int, Array] = {}
    why = ""
    for count in COUNTS:
        try:
            torch_out[count] = _forward(model, _images(count, task).to(home), count)
        except Exception as error:  # the user's network
            why = why or f"{count} image{'s' * (count > 1)}: {type(error).__name__}: {error}"
    if not torch_out:
        raise ExportError(
            f"The network cannot be written as ONNX: it fails with {why.splitlines()[0]}."
        )
    refused: ExportError | None = None
    for exporter in () if why else EXPORTERS:
        try:
            # two images, because a batch of one is taken for a constant
            content = onnx_bytes(
                model, _images(2, task).to(home), exporter=exporter, any_batch=True
            )
            why = _differs(content, torch_out, task, model, home)
            if not why:
                return content, None
        except ExportError as error:
            refused, why = error, str(error)
    batch = min(torch_out)
    try:
        content = onnx_bytes(model, _images(batch, task).to(home))
    except ExportError as error:
        raise refused or error from error
    if wrong := _differs(content, {batch: torch_out[batch]}, task, model, home):
        raise ExportError(f"The network cannot be written as ONNX: {wrong}.")
    warnings.warn(
        ExportWarning(
            f"model.onnx takes exactly {batch} image{'s' * (batch > 1)} at a time, because the "
            f"network is fixed to a batch ({why.splitlines()[0].rstrip('.')})."
        ),
        stacklevel=3,
    )
    return content, batch


def _images(count: int, task: Task) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, *task.input_shape, generator=generator)


def _forward(model: nn.Module, images: Tensor, count: int) -> Array:
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.ndim < 1 or len(logits) != count:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ExportError(f"{count} images give {shape} instead of {count} rows")
    return np.asarray(logits.detach().float().cpu().numpy())


def _differs(
    content: bytes, expected: dict[int, Array], task: Task, model: nn.Module, home: torch.device
) -> str:
    """How the file's outputs differ from torch's; empty if they do not."""
    session, _ = onnx_session(content)
    for count, logits in expected.items():
        images = _images(count, task)
        try:
            got = session(images.numpy())
        except Exception as error:  # the runtime's own kinds of errors
            return f"the file fails with {count} images ({type(error).__name__})"
        if got.shape != logits.shape:
            return f"{count} images give {got.shape} in the file and {logits.shape} in torch"
        scale = max(1.0, float(np.abs(logits).max(initial=0.0)))
        if np.allclose(got, logits, rtol=0, atol=_TOLERANCE * scale, equal_nan=True):
            continue
        if not np.array_equal(_forward(model, images.to(home), count), logits, equal_nan=True):
            return ""  # torch does not repeat itself: nothing can be compared
        gap = float(np.abs(got - logits).max())
        return f"with {count} images its outputs differ from torch's by up to {gap:.2g}"
    return ""


def _with_facts(content: bytes, task: Task, batch: int | None) -> bytes:
    """The same file with what a user must know of images and classes in its metadata."""
    import onnx

    model = onnx.load_from_string(content)
    facts = {
        "class_names": list(task.class_names),
        **image_facts(task),
        "mean": task.mean.tolist(),
        "std": task.std.tolist(),
        "batch": "any" if batch is None else batch,
    }
    onnx.helper.set_model_props(
        model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in facts.items()}
    )
    return bytes(model.SerializeToString())
