"""What runs a network while its latency is measured."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from foretell.errors import ExportError, MissingExtraError
from foretell.networks.to_onnx import EXPORTERS, onnx_bytes, onnx_missing, unknown_operation
from foretell.registry import Registry

__all__ = ["Runtime", "runtimes"]

Runtime: TypeAlias = Callable[[nn.Module, Tensor, int], Callable[[], object]]
"""From a module in evaluation mode on the CPU, images (n, c, h, w) and a number of threads to a
function that runs the module on the images once. The module is a copy: it may be changed."""

runtimes: Registry[Runtime] = Registry("runtime")
"""Runtimes that latency is measured in, by name."""


@runtimes.add("torch")
def eager(module: nn.Module, images: Tensor, threads: int) -> Callable[[], object]:
    """Eager torch on the CPU: operation by operation, without gradients."""
    return lambda: module(images)


@runtimes.add("onnxruntime")
def onnxruntime(module: nn.Module, images: Tensor, threads: int) -> Callable[[], object]:
    """The CPU provider of onnxruntime, with all its graph optimisations.

    The network is exported for this batch size, by torch's TorchScript exporter and, where that
    cannot, by the slower dynamo exporter. Its outputs are compared with the module's.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        ExportError: the network cannot be exported, onnxruntime cannot run it, or the outputs
            differ.
    """
    try:
        import onnxruntime as package
    except ImportError as error:
        raise MissingExtraError(
            "onnxruntime", "latency", "Measuring latency@onnxruntime"
        ) from error
    if missing := onnx_missing("torchscript"):
        raise MissingExtraError(missing, "latency", "Measuring latency@onnxruntime")
    if images.dtype == torch.bfloat16:
        raise ExportError(
            "onnxruntime's Python interface takes no bfloat16: measure a float32 network, or "
            "another runtime, such as latency@torch."
        )
    first: ExportError | None = None
    for exporter in EXPORTERS:
        if onnx_missing(exporter):
            continue
        try:
            content = onnx_bytes(module, images, exporter=exporter)
            session = _session(package, content, threads, images.dtype)
            _compare(session, module, images)
        except ExportError as error:
            first = first or error
            continue
        feed = {session.get_inputs()[0].name: images.numpy()}
        return lambda: session.run(None, feed)
    assert first is not None
    raise first


def _session(package: Any, content: bytes, threads: int, dtype: torch.dtype) -> Any:
    options = package.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return package.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common base
        name = unknown_operation(error)
        precision = str(dtype).removeprefix("torch.")
        reason = (
            f"raised {type(error).__name__} on the exported network"
            if name is None
            else f"has no operation {name} for {precision}"
        )
        raise ExportError(
            f"onnxruntime {reason}: measure another runtime, such as latency@torch."
        ) from error


def _compare(session: Any, module: nn.Module, images: Tensor) -> None:
    """Compare outputs on images that the export has not seen.

    Raises:
        ExportError: they differ, although the module repeats its own.
    """
    others = -images.flip(-1)
    expected, again = _outputs(module, others), _outputs(module, others)
    if not _close(again, expected):
        return  # it draws random numbers
    try:
        name = session.get_inputs()[0].name
        got = [torch.from_numpy(o) for o in session.run(None, {name: others.numpy()})]
    except Exception as error:
        raise ExportError(
            f"onnxruntime raised {type(error).__name__} on the exported network: measure another "
            f"runtime, such as latency@torch."
        ) from error
    if not _close(got, expected):
        raise ExportError(
            "The network as ONNX gives other outputs than the module, as one does whose program "
            "depends on the values of its input: measure another runtime, such as latency@torch."
        )


def _outputs(module: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return [t for t in tree_leaves(module(images.clone())) if isinstance(t, Tensor)]


def _close(got: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    if len(got) != len(expected):
        return False
    for a, b in zip(got, expected, strict=True):
        if a.shape != b.shape:
            return False
        largest = float(b.double().abs().nan_to_num(0.0, 0.0).max()) if b.numel() else 0.0
        relative = 1e-3 if b.dtype in (torch.float32, torch.float64) else 5e-2
        allowed = relative * max(largest, math.ulp(1.0))
        if not torch.allclose(a.double(), b.double(), rtol=0.0, atol=allowed, equal_nan=True):
            return False
    return True
