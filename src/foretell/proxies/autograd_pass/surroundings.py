"""What is around a forward: the module runs as it is written, and nothing of it changes."""

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

__all__ = ["as_written", "has_scripted", "materialised", "seeded", "twin_with", "unchanged"]


@contextmanager
def as_written(module: nn.Module) -> Iterator[None]:
    """Forwards without compiler, checkpoints and fused kernels, with gradients.

    Attention is computed by its formula, which has a second derivative; parametrised weights are
    computed once a forward, so that a layer that is called twice has one weight.

    Args:
        module: that will run.
    """
    jit: Any = torch.jit
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(jit.optimized_execution(False))  # else results hide what made them
        torch.backends.mha.set_fastpath_enabled(False)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if "torch.utils.checkpoint" in sys.modules:
            stack.enter_context(_not_checkpointed())
        if "torch.nn.utils.parametrize" in sys.modules:
            stack.enter_context(torch.nn.utils.parametrize.cached())
        if any(isinstance(m, nn.RNNBase) for m in module.modules()):  # one operation a product
            stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        yield


class _Direct:
    """Takes the part of a reentrant checkpoint that runs the function."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        """Run it as if there were no checkpoint."""
        return function(*args)


def _direct(*args: Any, **kwargs: Any) -> Iterator[None]:
    """Takes the part of a checkpoint that is not reentrant: nothing around the function."""
    yield


@contextmanager
def _not_checkpointed() -> Iterator[None]:
    """Checkpointed functions keep their activations: a pass needs the whole graph."""
    module: Any = sys.modules["torch.utils.checkpoint"]
    swaps = {
        "CheckpointFunction": _Direct,
        "_checkpoint_without_reentrant_generator": _direct,
    }
    before = {name: getattr(module, name) for name in swaps if hasattr(module, name)}
    for name in before:
        setattr(module, name, swaps[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


@contextmanager
def unchanged(module: nn.Module, *, train: bool) -> Iterator[None]:
    """Run a module in train or eval mode; afterwards its attributes are those of before.

    Args:
        module: any.
        train: the mode.
    """
    before = [
        (m, dict(m.__dict__)) for m in module.modules() if not isinstance(m, torch.jit.ScriptModule)
    ]
    module.train(train)
    try:
        yield
    finally:
        for m, attributes in before:
            now = m.__dict__
            if len(now) != len(attributes) or any(
                now.get(name, m) is not value for name, value in attributes.items()
            ):
                now.clear()
                now.update(attributes)


@contextmanager
def seeded(seed: int, x: Tensor) -> Iterator[None]:
    """Dropout draws from a stream of its own; the caller's random state comes back."""
    devices: list[Any] = [x.device] if x.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if x.is_cuda:
            torch.cuda.manual_seed(seed)
        yield


def has_scripted(module: nn.Module) -> bool:
    """Whether a part of the module is TorchScript."""
    return any(isinstance(m, torch.jit.ScriptModule) for m in module.modules())


def materialised(module: nn.Module, x: Tensor, seed: int) -> nn.Module:
    """The module, or a copy whose lazy layers have met an image.

    Args:
        module: any.
        x: (n, ...) images.
        seed: of the lazy layers' initial weights.
    """
    if not any(is_lazy(p) for p in (*module.parameters(), *module.buffers())):
        return module
    memo: dict[int, Any] = {}
    for p in (*module.parameters(), *module.buffers()):
        if is_lazy(p):
            empty = type(p).__new__(type(p))
            memo[id(p)] = empty
    ready = copy.deepcopy(module, memo)
    with torch.no_grad(), seeded(seed, x):
        for train in (False, True):
            if any(is_lazy(p) for p in ready.parameters()):
                ready.train(train)(x)
    return ready.train(module.training)


def twin_with(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy with other values: TorchScript takes no tensors from outside.

    Args:
        module: any.
        state: name of a parameter or buffer -> value.
    """
    with torch.no_grad():  # else the copies are results
        twin = copy.deepcopy(module)
    for name, tensor in (*twin.named_parameters(), *twin.named_buffers()):
        if name in state:
            tensor.data = state[name].detach()
            if tensor.is_floating_point():
                tensor.requires_grad_(state[name].requires_grad)
    return twin
