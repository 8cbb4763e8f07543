"""The graph of any module, by torch.export, or torch.fx where that fails.

Nothing is computed: a copy with parameters and buffers on the meta device is traced in eval mode
for one image.
"""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parameter import is_lazy

from foretell.errors import NetworkError, UsageError
from foretell.graph import Graph
from foretell.tracing._reader import Reader

__all__ = ["trace"]


def trace(
    module: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]],
    *,
    dtype: torch.dtype | None = None,
) -> Graph:
    """The operations of a module and how values flow between them.

    A node is a convolution, product, attention, pooling, normalisation, activation, sum, product of
    two values, concatenation, or any other operation; views, dropout, scaling and indexing are left
    out. Matrix product, softmax and matrix product in sequence are one attention.

    Each node says ``kind`` (a coarse class, see ``foretell.encodings``), ``kernel``, ``stride``,
    ``params`` (elements of its parameters, frozen ones included; a shared parameter counts where it
    is used first), ``flops`` (multiply-adds of one image), ``out_channels``, ``resolution`` (side
    length of its output; the root of the number of positions where that is no square), ``weights``
    and ``apart`` (True where the values that come in are not summed, or are parts of values).

    Args:
        module: takes one tensor, or one for each shape, with a batch as the first dimension; its
            weights, mode and the random state are not changed.
        input_shape: without the batch, such as (3, 32, 32); or several shapes.
        dtype: of the inputs; by default that of the first parameter.

    Returns:
        A graph whose first node stands for all inputs and whose last for all outputs.

    Raises:
        NetworkError: neither torch.export nor torch.fx can trace it; both reasons are named.
        UsageError: the shape is none.
    """
    shapes = _shapes(input_shape)
    if any(is_lazy(p) for p in module.parameters()):
        raise NetworkError(
            f"The module {type(module).__name__} has lazy parameters without a shape: run it once "
            f"on an image before it is traced."
        )
    reasons = []
    for name, read in (("torch.export", _exported), ("torch.fx", _symbolic)):
        try:
            with _quiet():
                mode = FakeTensorMode(allow_non_fake_inputs=True)
                return read(_fake_copy(module, mode), _fake_inputs(module, shapes, dtype, mode))
        except NetworkError:
            raise
        except Exception as error:  # whatever a user's forward pass or the tracer raises
            text = (str(error).strip().splitlines() or [""])[0][:200]
            reasons.append(f"{name} raised {type(error).__name__}: {text}")
    raise NetworkError(
        f"The module {type(module).__name__} cannot be traced for inputs of shape "
        f"{', '.join(str(s) for s in shapes)}. {'; '.join(reasons)}. Take what depends on values "
        f"out of its forward pass, or give its graph by hand."
    )


def _shapes(given: Any) -> list[tuple[int, ...]]:
    try:
        several = [given] if all(isinstance(d, int) for d in given) else given
        shapes = [tuple(int(d) for d in s) for s in several]
    except (TypeError, ValueError):
        shapes = []
    if isinstance(given, str) or not shapes or any(not s or min(s) < 1 for s in shapes):
        raise UsageError(
            f"Expected the shape of an input without the batch, such as (3, 32, 32), or several, "
            f"but got {given!r}."
        )
    return shapes


@contextmanager
def _quiet() -> Iterator[None]:
    """Without log lines, warnings and fused attention; the random state is restored."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level, state = logger.level, torch.get_rng_state()
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        logger.setLevel(logging.CRITICAL)
        torch.backends.mha.set_fastpath_enabled(False)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_rng_state(state)


def _fake_copy(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """A copy in eval mode with fake parameters and buffers."""
    memo: dict[int, Any] = {}
    with mode:
        for p in module.parameters():
            empty = torch.empty(p.shape, dtype=p.dtype)
            memo[id(p)] = nn.Parameter(empty, requires_grad=p.requires_grad)
        for b in module.buffers():
            memo[id(b)] = torch.empty(b.shape, dtype=b.dtype)
    return copy.deepcopy(module, memo).eval()


def _fake_inputs(
    module: nn.Module,
    shapes: Sequence[tuple[int, ...]],
    dtype: torch.dtype | None,
    mode: FakeTensorMode,
) -> tuple[Tensor, ...]:
    if dtype is None:
        floats = (p.dtype for p in module.parameters() if p.is_floating_point())
        dtype = next(floats, torch.float32)
    with mode:
        return tuple(torch.empty((1, *s), dtype=dtype) for s in shapes)


def _exported(module: nn.Module, inputs: tuple[Tensor, ...]) -> Graph:
    program = torch.export.export(module, inputs, strict=False)
    signature = program.graph_signature
    reader = Reader(module, program.graph_module)
    for name, path in signature.inputs_to_parameters.items():
        reader.name_parameter(name, path)
    return reader.graph(signature.user_inputs)


def _symbolic(module: nn.Module, inputs: tuple[Tensor, ...]) -> Graph:
    traced = fx.symbolic_trace(module)
    _Shapes(traced).run(*inputs)
    holders = [n.name for n in traced.graph.nodes if n.op == "placeholder"]
    return Reader(module, traced).graph(holders[: len(inputs)])


class _Shapes(fx.Interpreter):
    """Runs nodes on fake tensors, and records their outputs."""

    def run_node(self, n: fx.Node) -> Any:
        n.meta["val"] = value = super().run_node(n)
        return value
