"""Costs of any module, counted in one forward pass on the meta device."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from foretell.cost.memory import Operation, peak_bytes
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError
from foretell.types import Shape3

__all__ = ["Cost", "count", "count_meta"]

_CONSTANT = frozenset(
    f"aten::{kind}"
    for kind in (
        *(f"{k}_like" for k in ("empty", "zeros", "ones", "full", "rand", "randn", "randint")),
        *(f"new_{k}" for k in ("empty", "empty_strided", "zeros", "ones", "full")),
        "zero_",
        "fill_",
    )
)
"""Operations whose result does not depend on the values of their arguments."""
_NORMALISATIONS = ("aten::native_batch_norm", "aten::_native_batch_norm_legit_no_training")


@dataclass(frozen=True)
class Cost:
    """What one network costs.

    Args:
        params: number of trainable parameters; shared ones count once.
        flops: multiply-adds of convolutions and matrix products, for one image.
        memory: peak activation bytes for one image; see ``foretell.cost.memory``.
        live_params: trainable parameters on some path from input to output.
        sum_log_params: sum over these of log elements, weights of two or more dimensions only.
        alive: whether the output depends on the input.
    """

    params: int
    flops: int
    memory: int
    live_params: int
    sum_log_params: float
    alive: bool


def count(module: nn.Module, input_shape: Shape3) -> Cost:
    """Costs of any module for one image, in eval mode and without gradients.

    A copy on the meta device is run, not the module itself. A module that cannot run there (its
    control flow depends on values, or it has tensors outside of parameters and buffers) is copied
    and run on the CPU instead.

    Args:
        module: takes (1, channels, height, width).
        input_shape: channels, height, width.

    Raises:
        ModuleRaisedError: it raised on such an image; the cause is chained.
        NetworkError: it cannot be copied, or has parameters without a shape.
    """
    if any(is_lazy(p) for p in module.parameters()):
        raise NetworkError(
            f"The module {type(module).__name__} has lazy parameters without a shape: run it once "
            f"on an image before it is measured."
        )
    try:
        return count_meta(_copy(module, "meta"), input_shape)
    except Exception:  # whatever it was, the CPU run shows it again or proves it harmless
        real = _copy(module, "cpu")
    try:
        return _run(real, input_shape, "cpu")
    except ForetellError:
        raise
    except Exception as error:
        raise ModuleRaisedError(
            f"The module {type(module).__name__} raised {type(error).__name__} on an image of "
            f"shape {tuple(input_shape)}: {error}"
        ) from error


def count_meta(module: nn.Module, input_shape: Shape3) -> Cost:
    """Costs of a module that is already on the meta device; it is set to eval mode.

    Raises:
        Exception: whatever the module raises.
    """
    return _run(module.eval(), input_shape, "meta")


def _copy(module: nn.Module, device: str) -> nn.Module:
    """A copy in eval mode; on the meta device no weight is copied."""
    memo: dict[int, Any] = {}
    if device == "meta":
        for p in module.parameters():
            empty = torch.empty_like(p, device="meta")
            memo[id(p)] = nn.Parameter(empty, requires_grad=p.requires_grad)
        for b in module.buffers():
            memo[id(b)] = torch.empty_like(b, device="meta")
    try:
        return copy.deepcopy(module, memo).to(device).eval()
    except Exception as error:
        raise NetworkError(
            f"The module {type(module).__name__} cannot be copied ({type(error).__name__}: "
            f"{error}): give a function that builds it instead."
        ) from error


def _run(module: nn.Module, input_shape: Shape3, device: str) -> Cost:
    parameters = list(module.parameters())
    dtype = next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)
    image = torch.zeros((1, *input_shape), dtype=dtype, device=device)
    recorder = _Recorder([*parameters, *module.buffers()])
    fast, state = torch.backends.mha.get_fastpath_enabled(), torch.get_rng_state()
    torch.backends.mha.set_fastpath_enabled(False)  # fused kernels hide their products
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), recorder:
            output = module(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_rng_state(state)
    results = {_key(t) for t in _tensors(output)}
    recorder.sizes[_key(image)] = image.untyped_storage().nbytes()
    trainable = {_key(p): p for p in parameters if p.requires_grad}
    alive, keys = _live(recorder.operations, _key(image), results)
    live = [p for k, p in trainable.items() if k in keys]
    return Cost(
        params=sum(p.numel() for p in trainable.values()),
        flops=recorder.flops // 2,
        memory=peak_bytes(recorder.operations, _key(image), results, recorder.sizes),
        live_params=sum(p.numel() for p in live),
        sum_log_params=float(sum(np.log(p.numel()) for p in live if p.ndim >= 2)),
        alive=alive,
    )


def _tensors(tree: object) -> list[Tensor]:
    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def _key(tensor: Tensor) -> int:
    """Key of the storage that views share."""
    return int(tensor.untyped_storage()._cdata)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what each operation reads and writes, and counts its FLOPs."""

    def __init__(self, constants: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.sizes: dict[int, int] = {}
        self.flops = 0
        self._kept: list[object] = []  # a storage that lives on keeps its key
        self._constants = {_key(t) for t in constants}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        kwargs = kwargs or {}
        out = _normalised(func, args) or func(*args, **kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.flops += formula(*args, **kwargs, out_val=out)
        reads, writes = _tensors((args, kwargs)), _tensors(out)
        self._kept += [reads, writes]
        for t in (*reads, *writes):
            if (key := _key(t)) not in self._constants:
                self.sizes[key] = t.untyped_storage().nbytes()
        name = func._schema.name
        scaled = name in ("aten::mul", "aten::mul_") and any(
            isinstance(a, int | float) and a == 0 for a in args
        )
        self.operations.append(
            Operation(
                reads=frozenset(map(_key, reads)),
                writes=frozenset(map(_key, writes)),
                depends=not scaled and name not in _CONSTANT,
            )
        )
        return out


def _normalised(func: Any, args: Any) -> tuple[Tensor, Tensor, Tensor] | None:
    """Result of a batch normalisation on the meta device, whose own kernel takes milliseconds."""
    if func._schema.name not in _NORMALISATIONS or not args[0].is_meta or args[3] is None:
        return None
    if args[0].ndim < 2 or args[0].shape[1] != args[3].numel():
        return None  # let it raise
    nothing = args[0].new_empty(0)
    return torch.empty_like(args[0]), nothing, nothing


def _live(
    operations: list[Operation], image: int, results: set[int]
) -> tuple[bool, frozenset[int]]:
    """Whether the results depend on the image, and all live storages between the two."""
    reached = {image}
    sources: dict[int, frozenset[int]] = {}  # of values that do not depend on the image
    acting: list[tuple[Operation, frozenset[int]]] = []
    for o in operations:
        beside = [k for k in o.reads if k not in reached]
        roots = frozenset().union(*(sources.get(k, frozenset({k})) for k in beside))
        if not o.depends:
            reached -= o.writes
            acting.append((o, frozenset()))
            sources |= dict.fromkeys(o.writes, frozenset())
        elif o.reads & reached:
            reached |= o.writes
            acting.append((o, roots))
        else:
            sources |= dict.fromkeys(o.writes, roots)
    needed = results & reached
    live: set[int] = set()
    for o, roots in reversed(acting):
        if not o.depends:
            needed -= o.writes
        elif o.writes & needed:
            needed |= o.reads
            live |= roots
    return bool(results & reached), frozenset(live)
