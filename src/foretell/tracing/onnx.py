"""The graph of an ONNX file; nothing is run, and no other file is opened.

Only the shapes of initializers are read. Needs the extra ``onnx``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from foretell.errors import MissingExtraError, NetworkError
from foretell.files import user_path
from foretell.graph import Graph
from foretell.tracing._onnx_shapes import with_shapes
from foretell.tracing._steps import Step, assemble
from foretell.tracing._vocabulary import NORMS, PRODUCTS, RECURRENT, plain_word

__all__ = ["read_onnx"]

_BY_NUMBER = {"sub", "div", "pow", "clamp", "where", "maximum", "minimum", "mod", "equal"}
"""Operations for which a constant operand is no parameter."""
_OTHER_WORDS = {"Sum": "add", "Mean": "add", "Max": "maximum", "Min": "minimum"}
"""Elementwise in ONNX; the normalised names are reductions elsewhere."""


def read_onnx(path: Path | str, input_shape: Sequence[int] | None = None) -> Graph:
    """The operations of an ONNX file and how values flow between them.

    Nodes and their attributes are those of ``foretell.tracing.module``. Exporters may have folded
    normalisations into convolutions, merged equal constants or split operations; and a file does
    not distinguish parameters from buffers, so that every constant of more than one element that is
    added or multiplied counts as a parameter.

    Args:
        path: the file; weights in files beside it are not needed.
        input_shape: of the first input without the batch, such as (3, 32, 32), where it is open in
            the file.

    Returns:
        A graph whose first node stands for all inputs and whose last for all outputs.

    Raises:
        MissingExtraError: onnx is not installed.
        NetworkError: the file cannot be read, is broken, has open sizes that are needed, or has
            control flow.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", "onnx", "Reading ONNX") from error
    path = user_path(path)
    if not path.is_file():
        raise NetworkError(f"There is no file {str(path)!r} to read a network from.")
    try:
        model = onnx.load(str(path), load_external_data=False)
        if not model.graph.node or not model.graph.output:
            raise ValueError("it holds no network")
        for node in model.graph.node:
            if any(a.type in _SUBGRAPHS for a in node.attribute):
                raise NetworkError(f"the control flow {node.op_type!r} is not read.")
        return _File(with_shapes(model, input_shape)).graph()
    except NetworkError as error:
        raise NetworkError(f"{path.name}: {error}") from error
    except Exception as error:  # a broken file can fail in protobuf, onnx or the reader alike
        words = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise NetworkError(
            f"{str(path)!r} cannot be read as an ONNX network ({words}): export it again."
        ) from error


class _File:
    """Converts the nodes of a model to steps.

    Args:
        model: with the shapes of all values.
    """

    def __init__(self, model: Any) -> None:
        self.model = model.graph
        self.shapes: dict[str, tuple[int, ...]] = {}
        for value in (*self.model.input, *self.model.value_info, *self.model.output):
            tensor = value.type.tensor_type
            if tensor.HasField("shape"):
                self.shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
        self.constants = {t.name: t for t in self.model.initializer}
        self.shapes |= {name: tuple(t.dims) for name, t in self.constants.items()}
        self.inputs = {
            i.name: self.shapes.get(i.name, ())
            for i in self.model.input
            if i.name not in self.constants
        }
        self.batch = max(next((s[0] for s in self.inputs.values() if s), 1), 1)

    def graph(self) -> Graph:
        defined = {*self.inputs, *self.constants}
        steps: list[Step] = []
        for node in self.model.node:
            outputs = [name for name in node.output if name]
            if missing := [name for name in node.input if name and name not in defined]:
                raise NetworkError(f"the value {missing[0]!r} is used before it is made.")
            defined.update(outputs)
            if not outputs:
                continue
            steps.append(self._step(node, outputs[0]))
            steps += [Step(name, "getitem", (outputs[0],)) for name in outputs[1:]]
        outputs = [o.name for o in self.model.output]
        if missing := [name for name in outputs if name not in defined]:
            raise NetworkError(f"nothing makes the output {missing[0]!r}.")
        shapes = {name: self._one(shape) for name, shape in self.inputs.items()}
        weights = {n: t for n, t in self.constants.items() if t.data_type in _WEIGHTS}
        return assemble(steps, shapes, outputs, {n: math.prod(t.dims) for n, t in weights.items()})

    def _step(self, node: Any, name: str) -> Step:
        attributes = {a.name: a for a in node.attribute}
        if any(a.type in _SUBGRAPHS for a in attributes.values()):
            raise NetworkError(f"the control flow {node.op_type!r} is not read.")
        word = _OTHER_WORDS.get(node.op_type, plain_word(node.op_type))
        given = [i for i in node.input if i]
        if word == "gather" and given[0] in self.constants and given[1] not in self.constants:
            word = "embedding"
        kernel = _largest(attributes, "kernel_shape")
        if word.startswith("conv"):
            kernel = max(self.shapes[given[1]][2:], default=1)
        shape = self.shapes.get(name, ())
        return Step(
            name=name,
            word=word,
            inputs=tuple(self._read(word, given)),
            shape=self._one(shape),
            kernel=kernel,
            stride=_largest(attributes, "strides"),
            dilation=_largest(attributes, "dilations"),
            groups=attributes["group"].i if "group" in attributes else 1,
            flops=self._flops(node, word, given, shape),
            details=" ".join(f"{k} {_text(a)}" for k, a in sorted(attributes.items())),
        )

    def _read(self, word: str, given: Sequence[str]) -> Iterator[str]:
        """Names of the values a node reads; empty for constants that are no parameters."""
        weighs = word in PRODUCTS | NORMS | RECURRENT | {"prelu", "embedding"}
        for position, name in enumerate(given):
            constant = name in self.constants
            running = word == "batchnorm" and position > 2
            number = not weighs and math.prod(self.shapes.get(name, ())) == 1
            yield "" if constant and (running or number or word in _BY_NUMBER) else name

    def _one(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape for one image, also if the file has a fixed batch size."""
        if self.batch == 1:
            return shape
        fits = [i for i, d in enumerate(shape) if d == self.batch]
        fits += [i for i, d in enumerate(shape) if d % self.batch == 0]
        return (
            shape
            if not fits
            else tuple(d // self.batch if i == fits[0] else d for i, d in enumerate(shape))
        )

    def _flops(self, node: Any, word: str, given: Sequence[str], shape: tuple[int, ...]) -> int:
        """Multiply-adds for one image.

        Raises:
            NetworkError: a required size is unknown.
        """
        if word not in PRODUCTS | RECURRENT | {"attention"}:
            return 0
        sides = [self.shapes.get(name, ()) for name in given]
        if any(d < 1 for s in (shape, *sides[:2]) for d in s) or not shape or not sides[0]:
            raise NetworkError(
                f"the sizes of {node.op_type} {node.name or given[0]!r} do not follow from the "
                f"input: export it with fixed sizes."
            )
        first, second = sides[0], sides[1]
        size = math.prod(shape)
        if word == "conv":
            flops = size * math.prod(second[1:])
        elif word == "convtranspose":
            flops = math.prod(first) * math.prod(second[1:])
        elif word == "linear":
            transposed = any(a.name == "transA" and a.i for a in node.attribute)
            flops = size * first[0 if transposed else -1]
        elif word == "matmul":
            flops = size * first[-1]
        elif word == "attention":
            flops = (math.prod(first) + size) * second[-2]
        elif word == "einsum":
            text = next(a.s.decode() for a in node.attribute if a.name == "equation")
            letters = zip(text.split("->")[0].replace(" ", "").split(","), sides, strict=True)
            lengths = {c: d for term, side in letters for c, d in zip(term, side, strict=True)}
            flops = math.prod(lengths.values())
        else:
            flops = first[0] * first[1] * sum(math.prod(s) for s in sides[1:3])
        return flops // self.batch


def _largest(attributes: Mapping[str, Any], name: str) -> int:
    return max(attributes[name].ints, default=1) if name in attributes else 1


def _text(attribute: Any) -> str:
    """A short text of an attribute's numbers."""
    plain: Mapping[int, str] = {1: "f", 2: "i", 3: "s", 6: "floats", 7: "ints"}
    return str(getattr(attribute, plain[attribute.type])) if attribute.type in plain else ""


_WEIGHTS = frozenset({1, 2, 3, 10, 11, 16})
"""TensorProto's numbers for float, uint8, int8, float16, double and bfloat16."""
_SUBGRAPHS = frozenset({5, 10})
"""AttributeProto's numbers for a graph and several."""
