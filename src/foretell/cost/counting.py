"""Costs of any module, counted in one forward pass on the meta device."""

import copy
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from foretell.cost.memory import Operation, peak_bytes
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError, UncountedError
from foretell.networks.watching import Watching
from foretell.tracing.products import name_of, product
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
        params: elements of all trainable parameters: one that several layers share counts once, a
            frozen one not, one under a mask of pruning in full.
        flops: multiply-adds of convolutions, matrix products, attention, recurrent layers, bilinear
            forms and distances, for one image; products of weights with weights alone do not count.
        memory: peak activation bytes for one image; see ``foretell.cost.memory``.
        live_params: trainable parameters on some path from input to output.
        sum_log_params: sum over live layers of the log of the number of their weights. A layer is
            a trainable parameter, or what is computed from some, that such a product multiplies
            with what is no weight; however often and in however many parts, it is one.
        alive: whether the output depends on the input.
        uncounted: operations without a formula, for which ``flops`` leaves something out.
    """

    params: int
    flops: int
    memory: int
    live_params: int
    sum_log_params: float
    alive: bool
    uncounted: tuple[str, ...] = ()


def count(
    module: nn.Module, input_shape: Shape3, *, partial: bool = False, run_itself: bool = False
) -> Cost:
    """Costs of any module for one image, in eval mode and without gradients.

    A copy on the meta device is run, not the module itself. A module that cannot run there (its
    control flow depends on values, or it has tensors outside of parameters and buffers) is copied
    and run on the CPU instead; the counts are the same.

    Args:
        module: takes (1, channels, height, width).
        input_shape: channels, height, width.
        partial: return what could be counted, and name the rest in ``uncounted``.
        run_itself: a module that cannot be copied is run itself, with its parameters, copies of its
            buffers, and its mode restored.

    Raises:
        ModuleRaisedError: it raised on such an image; the cause is chained.
        UncountedError: an operation has no count of multiply-adds.
        NetworkError: it cannot be copied, or has parameters without a shape.
    """
    if any(is_lazy(p) for p in module.parameters()):
        raise NetworkError(
            f"The module {type(module).__name__} has lazy parameters without a shape: run it once "
            f"on an image, where it is built, before it is measured."
        )
    try:
        run = _run(_copy(module, "meta"), input_shape, "meta")
    except Exception:  # whatever it was, the CPU run shows it again or proves it harmless
        run = _run_on_cpu(module, input_shape, run_itself)
    return _cost(run, type(module).__name__, partial)


def count_meta(module: nn.Module, input_shape: Shape3) -> Cost:
    """Costs of a module that is already on the meta device; it is set to eval mode.

    Raises:
        UncountedError: an operation has no count of multiply-adds.
        Exception: whatever the module raises.
    """
    run = _run(module.eval(), input_shape, "meta")
    return _cost(run, type(module).__name__, partial=False)


def _run_on_cpu(module: nn.Module, input_shape: Shape3, run_itself: bool) -> "_Run":
    try:
        real = _copy(module, "cpu")
    except NetworkError:
        if not run_itself:
            raise
        real = module
    try:
        with _eval(real):
            forward = _with_own_buffers(real) if real is module else real
            return _run(real, input_shape, "cpu", forward)
    except ForetellError:
        raise
    except Exception as error:
        raise ModuleRaisedError(
            f"The module {type(module).__name__} raised {type(error).__name__} on an image of "
            f"shape {tuple(input_shape)}: {error}"
        ) from error


def _copy(module: nn.Module, device: str) -> nn.Module:
    """A copy in eval mode; on the meta device no weight is copied."""
    memo: dict[int, Any] = {}
    for p in module.parameters():
        if device == "meta":
            empty = torch.empty_like(p, device="meta")
            memo[id(p)] = nn.Parameter(empty, requires_grad=p.requires_grad)
        elif type(p) is nn.Parameter:  # with memory of its own, also where it is a view
            memo[id(p)] = nn.Parameter(p.detach().clone(), requires_grad=p.requires_grad)
    if device == "meta":
        for b in module.buffers():
            memo[id(b)] = torch.empty_like(b, device="meta")
    try:
        try:
            twin = copy.deepcopy(module, dict(memo))
        except RuntimeError:  # results that it holds, such as weights under a mask
            held = [
                t
                for m in module.modules()
                for t in _tensors(dict(vars(m)))
                if t.grad_fn is not None
            ]
            if not held:
                raise
            memo |= {
                id(t): torch.empty_like(t, device="meta")
                if device == "meta"
                else t.detach().clone()
                for t in held
            }
            twin = copy.deepcopy(module, memo)
        return twin.to(device).eval()
    except Exception as error:
        raise NetworkError(
            f"The module {type(module).__name__} cannot be copied ({type(error).__name__}: "
            f"{error}): give a function that builds it instead."
        ) from error


@contextmanager
def _eval(module: nn.Module) -> Iterator[None]:
    before = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, was in before.items():
            m.training = was


def _with_own_buffers(module: nn.Module) -> Callable[[Tensor], Any]:
    """The module with copies of its buffers."""
    buffers = {name: b.detach().clone() for name, b in module.named_buffers()}
    return lambda image: functional_call(module, buffers, (image,), tie_weights=True)


@contextmanager
def _plainly() -> Iterator[None]:
    """Fused kernels and compiled code hide their products: neither runs."""
    fast, state = torch.backends.mha.get_fastpath_enabled(), torch.get_rng_state()
    onednn = torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)
    try:
        with ExitStack() as stack:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
        torch.set_rng_state(state)


@dataclass(frozen=True)
class _Run:
    """One recorded forward.

    Args:
        parameters: of the module that ran.
        image: its input.
        output: its result.
        recorder: what it did.
    """

    parameters: list[nn.Parameter]
    image: Tensor
    output: object
    recorder: "_Recorder"


def _run(
    module: nn.Module,
    input_shape: Shape3,
    device: str,
    forward: Callable[[Tensor], Any] | None = None,
) -> _Run:
    parameters = list(module.parameters())
    dtype = next((p.dtype for p in parameters if p.is_floating_point()), torch.float32)
    image = torch.zeros((1, *input_shape), dtype=dtype, device=device)
    recorder = _Recorder(image, [*parameters, *module.buffers()])
    with torch.no_grad(), _plainly(), recorder:
        output = (forward or module)(image)
    return _Run(parameters, image, output, recorder)


def _cost(run: _Run, name: str, partial: bool) -> Cost:
    recorder, image = run.recorder, _key(run.image)
    if recorder.uncounted and not partial:
        raise UncountedError(name, sorted(recorder.uncounted))
    results = {_key(t) for t in _tensors(run.output)}
    sizes = recorder.sizes | {image: _bytes(run.image)}
    trainable = [p for p in run.parameters if p.requires_grad]
    alive, keys, factors = _live(recorder.operations, image, results)
    return Cost(
        params=sum(p.numel() for p in trainable),
        flops=recorder.flops,
        memory=peak_bytes(recorder.operations, image, results, sizes),
        live_params=sum(p.numel() for p in trainable if _key(p) in keys),
        sum_log_params=math.fsum(map(math.log, _layers(trainable, factors).values())),
        alive=alive,
        uncounted=tuple(sorted(recorder.uncounted)),
    )


def _layers(trainable: Iterable[Tensor], factors: "Iterable[_Factor]") -> dict[frozenset[int], int]:
    """Number of weights of each layer, by the parameters that it is made of."""
    sizes = {_key(p): p.numel() for p in trainable}
    layers: dict[frozenset[int], int] = {}
    for key, elements, roots in factors:
        if own := roots.intersection(sizes):
            layers[own] = max(layers.get(own, 0), sizes.get(key, elements))
    return layers


def _tensors(tree: object) -> list[Tensor]:
    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def _key(tensor: Tensor) -> int:
    """Key of the storage that views share; a tensor without a storage has its own."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and opaque tensors
        return -id(tensor)


def _bytes(tensor: Tensor) -> int:
    if _key(tensor) < 0:
        return tensor.numel() * tensor.element_size()
    return tensor.untyped_storage().nbytes()


class _Recorder(Watching):
    """Records what each operation reads and writes, and counts its multiply-adds."""

    supports_higher_order_operators = True

    def __init__(self, image: Tensor, constants: Iterable[Tensor]) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.sizes: dict[int, int] = {}
        self.flops = 0
        self.uncounted: set[str] = set()
        self._kept: list[object] = []  # a storage that lives on keeps its key
        self._constants = {_key(t) for t in constants}
        self._after = {_key(image)}  # what an operation made of the image, were it only its shape
        self._made = set(self._constants)  # parameters, buffers and what is made of them alone

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        kwargs = kwargs or {}
        if (
            torch.is_inference_mode_enabled()
        ):  # there, operations arrive before they are taken apart
            with self:
                if (apart := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return apart
        out = _normalised(func, args) or func(*args, **kwargs)
        reads, writes = _tensors((args, kwargs)), _tensors(out)
        self._kept += [reads, writes]
        for t in (*reads, *writes):
            if (key := _key(t)) not in self._constants:
                self.sizes[key] = _bytes(t)
        name = name_of(func)
        scaled = name in ("aten::mul", "aten::mul_") and any(
            isinstance(a, int | float) and a == 0 for a in args
        )
        operation = Operation(
            reads=frozenset(map(_key, reads)),
            writes=frozenset(map(_key, writes)),
            depends=not scaled and name not in _CONSTANT,
        )
        if made := product(func, args, kwargs, out):
            factors = tuple((_key(t), t.numel()) for t in made.factors)
            if not self._made.issuperset([k for k, _ in factors] or operation.reads):
                operation = replace(operation, factors=factors)
                self.flops += made.flops or 0
                self.uncounted |= {name} if made.flops is None else set()
        if operation.reads & self._after:
            self._after |= operation.writes
        elif operation.reads & self._made:
            self._made |= operation.writes
        self.operations.append(operation)
        return out


def _normalised(func: Any, args: Any) -> tuple[Tensor, Tensor, Tensor] | None:
    """Result of a batch normalisation on the meta device, whose own kernel takes milliseconds."""
    if name_of(func) not in _NORMALISATIONS or not args[0].is_meta or args[3] is None:
        return None
    if args[0].ndim < 2 or args[0].shape[1] != args[3].numel():
        return None  # let it raise
    nothing = args[0].new_empty(0)
    return torch.empty_like(args[0]), nothing, nothing


_Factor: TypeAlias = tuple[int, int, frozenset[int]]
"""A storage that a product multiplies, its elements, and the storages that it is made of."""


def _live(
    operations: list[Operation], image: int, results: set[int]
) -> tuple[bool, frozenset[int], list[_Factor]]:
    """Whether the results depend on the image, and what acts between the two.

    Returns:
        Whether they do; the storages beside the path that act on it; the factors among those.
    """
    reached = {image}
    sources: dict[int, frozenset[int]] = {}  # of values that do not depend on the image
    acting: list[tuple[Operation, frozenset[int], list[_Factor]]] = []
    beside: list[_Factor] = []  # of products whose result may act as a constant
    for o in operations:
        made_of = {k: sources.get(k, frozenset({k})) for k in o.reads if k not in reached}
        roots = frozenset().union(*made_of.values())
        factors = [(k, n, made_of[k]) for k, n in o.factors if k in made_of]
        if not o.depends:
            reached -= o.writes
            acting.append((o, frozenset(), []))
            sources |= dict.fromkeys(o.writes, frozenset())
        elif o.reads & reached:
            reached |= o.writes
            acting.append((o, roots, factors))
        else:
            sources |= dict.fromkeys(o.writes, roots)
            beside += factors
    needed = results & reached
    live: set[int] = set()
    layers: list[_Factor] = []
    for o, roots, factors in reversed(acting):
        if not o.depends:
            needed -= o.writes
        elif o.writes & needed:
            needed |= o.reads
            live |= roots
            layers += factors
    layers += [f for f in beside if f[2] & live]
    return bool(results & reached), frozenset(live), layers
