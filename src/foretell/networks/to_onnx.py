"""A network as the bytes of an ONNX file. Needs the extra ``onnx``.

torch has two exporters. "dynamo" follows the program and refuses what depends on values; it takes
seconds, and its import some more. "torchscript" records one run; it is some ten times faster and
takes whichever branch the recorded run took, so where the batch size is left open it is used only
for networks in which nothing that Python decides on depends on values or on the number of images.
"""

import io
import logging
import os
import re
import warnings
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.jit._trace import TracerWarning

from foretell.errors import ExportError
from foretell.files import standard_output_to
from foretell.networks.watching import Watching

__all__ = ["EXPORTERS", "Exporter", "onnx_bytes", "onnx_missing", "unknown_operation"]

Exporter: TypeAlias = Literal["dynamo", "torchscript"]
"""Which of torch's exporters writes the file."""
EXPORTERS: tuple[Exporter, ...] = ("torchscript", "dynamo")
"""Both, the faster one first."""
OPSET = 17
"""Version of the operators that "torchscript" writes: the first with LayerNormalization."""

_OPERATION = (
    re.compile(r"[Ee]xporting the operator '([\w:.]+)'"),
    re.compile(r"No ONNX function found for <OpOverload\(op='([\w.:]+)'"),
    re.compile(r"Could not find an implementation for ([\w.:]+)\("),
    re.compile(r"([\w.:]+)\(-?\d+\) is not a registered function/op"),
)


def onnx_bytes(
    module: nn.Module,
    images: Tensor,
    *,
    exporter: Exporter = "dynamo",
    any_batch: bool = False,
) -> bytes:
    """Write a network as ONNX: input "images", first output "logits".

    Args:
        module: in evaluation mode.
        images: (n, c, h, w) an example on the module's device.
        exporter: which of torch's exporters.
        any_batch: leave the batch size open. n must then be at least 2, because a batch of one is
            taken for a constant.

    Raises:
        ExportError: the network cannot be exported; the sentence names the operation if torch does.
            With "torchscript" and any batch also where the network, in Python, reads a value of a
            tensor or decides on the number of images.
    """
    noisy = logging.getLogger("torch.onnx")
    level = noisy.level
    try:
        noisy.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if exporter == "dynamo":
                return _dynamo(module, images, any_batch)
            return _torchscript(module, images, any_batch)
    except Exception as error:
        raise ExportError(
            f"The network cannot be written as ONNX: torch.onnx.export raised "
            f"{type(error).__name__}{_named(error)}."
        ) from error
    finally:
        noisy.setLevel(level)


def onnx_missing(exporter: Exporter = "dynamo") -> str | None:
    """The first package that an exporter needs and that is not installed."""
    for package in ("onnx", "onnxscript")[: 2 if exporter == "dynamo" else 1]:
        if find_spec(package) is None:  # importing onnxscript takes a second
            return package
    return None


def unknown_operation(error: BaseException) -> str | None:
    """The operation that an exporter or a runtime names as the one it does not know."""
    cause: BaseException | None = error
    while cause is not None:
        for pattern in _OPERATION:
            if match := pattern.search(str(cause)):
                return match[1]
        cause = cause.__cause__
    return None


def _named(error: BaseException) -> str:
    name = unknown_operation(error)
    return "" if name is None else f" at the operation {name}"


def _dynamo(module: nn.Module, images: Tensor, any_batch: bool) -> bytes:
    program = torch.onnx.export(
        module,
        (images,),
        dynamo=True,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("n")},) if any_batch else None,
        verbose=False,
    )
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def _torchscript(module: nn.Module, images: Tensor, any_batch: bool) -> bytes:
    if any_batch:
        with _NoValues():
            module(images)
    content = io.BytesIO()
    # a failed export prints its whole graph, past Python
    with (
        open(os.devnull, "wb") as nowhere,
        standard_output_to(nowhere.fileno()),
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always", TracerWarning)
        torch.onnx.export(
            module,
            (images,),
            cast(Any, content),  # a file as well, whatever the hints say
            dynamo=False,
            input_names=["images"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}} if any_batch else None,
        )
    # a size or value that left the recording as a number of Python
    left = next((w.message for w in told if issubclass(w.category, TracerWarning)), None)
    if any_batch and left is not None:
        raise left if isinstance(left, Warning) else ValueError(left)
    return content.getvalue()


class _NoValues(Watching):
    """Refuses operations that give Python a value of a tensor."""

    def __torch_dispatch__(
        self,
        func: OpOverload[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, bool | int | float | complex):
            raise ValueError("the network reads a value of a tensor")
        return result
