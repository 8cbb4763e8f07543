"""Shape inference of an ONNX model for one image, with constant folding of shapes."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import NetworkError
from foretell.tracing._limits import (
    check_functions,
    check_ranks,
    check_values,
    folded_elements,
)
from foretell.tracing._vocabulary import words

__all__ = ["with_shapes"]

_SMALL = 4096
"""Maximum number of elements of a constant that can determine a shape or an axis."""
_ROUNDS = 64
_VISITS = 400_000
"""Nodes that inference may visit in all rounds together."""
_FOLDED = words(
    "Add Cast Concat ConstantOfShape Div Equal Expand Flatten Gather Identity Max Min Mod Mul Neg "
    "ReduceProd Reshape Size Slice Split Squeeze Sub Transpose Unsqueeze Where"
)
"""Operations by which exporters compute one shape from another."""
_PLAIN = {
    "value_int": ("i", np.int64),
    "value_ints": ("ints", np.int64),
    "value_float": ("f", np.float32),
    "value_floats": ("floats", np.float32),
}
"""Attribute of a constant node -> field and type."""
_CONTENT = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data")


def with_shapes(model: Any, input_shape: Sequence[int] | None) -> Any:
    """A model for one image, local functions inlined, with the shapes of all values.

    Args:
        model: a ModelProto; its large weights lose their content.
        input_shape: of the first input without the batch, where it is open in the model.

    Raises:
        NetworkError: there is no input, or a size is open.
    """
    from onnx.inliner import inline_local_functions
    from onnx.shape_inference import infer_shapes

    check_functions(model)
    if model.functions:
        model = inline_local_functions(model)
    _lift(model.graph)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > _SMALL:  # inference copies the model
            for name in _CONTENT:
                tensor.ClearField(name)
    _close(model.graph, input_shape)
    visits = 0
    for _ in range(_ROUNDS):
        visits += len(model.graph.node)
        if visits > _VISITS:
            break
        check_ranks(model.graph)
        bounded = check_values(model.graph, _SMALL)
        del model.graph.value_info[:]
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        model = infer_shapes(model, data_prop=bounded)
        if not _fold(model):
            break
    return model


def _close(graph: Any, input_shape: Sequence[int] | None) -> None:
    """Fix the sizes of all inputs; an open batch size becomes 1."""
    constants = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in constants]
    if not inputs:
        raise NetworkError("the network has no input.")
    for index, value in enumerate(inputs):
        dims = value.type.tensor_type.shape.dim
        given = input_shape if index == 0 else None
        if given is not None and len(given) + 1 != len(dims):
            raise NetworkError(
                f"expected {len(dims) - 1} sizes for the input {value.name!r}, but got "
                f"{tuple(given)}."
            )
        for axis, dim in enumerate(dims):
            if axis and given is not None:
                dim.dim_value = int(given[axis - 1])
            elif dim.dim_value < 1 and axis:
                raise NetworkError(
                    f"size {axis} of the input {value.name!r} is left open: give the input's shape."
                )
            elif dim.dim_value < 1:
                dim.dim_value = 1


def _lift(graph: Any) -> None:
    """Replace constant nodes by initializers."""
    from onnx.numpy_helper import from_array

    for node in [n for n in graph.node if n.op_type == "Constant"]:
        held = node.attribute[0]
        if held.name == "value":
            graph.initializer.add().CopyFrom(held.t)
            graph.initializer[-1].name = node.output[0]
        elif held.name in _PLAIN:
            field, kind = _PLAIN[held.name]
            array = np.array(getattr(held, field), dtype=kind)
            graph.initializer.append(from_array(array, node.output[0]))
        else:
            continue
        graph.node.remove(node)


def _fold(model: Any) -> bool:
    """Replace values that are determined by shapes by initializers; whether there were any."""
    from onnx.numpy_helper import from_array, to_array
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    constants: dict[str, NDArray[Any]] = {
        t.name: to_array(t)
        for t in graph.initializer
        if math.prod(t.dims) <= _SMALL and not t.external_data
    }
    shapes = {t.name: np.array(t.dims, dtype=np.int64) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        sizes = [d.dim_value for d in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.HasField("shape") and all(d > 0 for d in sizes):
            shapes[value.name] = np.array(sizes, dtype=np.int64)
    ends = {o.name for o in graph.output}
    folded = False
    for node in list(graph.node):
        names = [name for name in node.input if name]
        made: Any = None
        if node.op_type == "Shape" and names[0] in shapes:
            cut = {a.name: a.i for a in node.attribute}
            made = [shapes[names[0]][cut.get("start", 0) : cut.get("end")]]
        elif node.op_type in _FOLDED and all(name in constants for name in names):
            given = {name: constants[name] for name in names}
            if folded_elements(node, given) <= _SMALL:
                made = ReferenceEvaluator(node).run(None, given)
        if made is None or ends & set(node.output) or any(m.size > _SMALL for m in made):
            continue
        folded = True
        constants |= dict(zip(node.output, made, strict=True))
        graph.initializer.extend(from_array(m, n) for m, n in zip(made, node.output, strict=True))
        graph.node.remove(node)
    return folded
