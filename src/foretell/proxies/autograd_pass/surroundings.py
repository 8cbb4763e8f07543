"""What is around a forward: the module runs as it is written, and nothing of it changes."""

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from foretell.networks import lazy as networks
from foretell.proxies.autograd_pass.restore import seeded

__all__ = ["Parts", "as_written", "materialised", "parts_of", "twin_with"]


@contextmanager
def as_written(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Forwards without compiler, checkpoints and fused kernels, with gradients.

    Attention is computed by its formula, which has a second derivative; parametrised weights are
    computed once a forward, so that a layer that is called twice has one weight.

    Args:
        modules: that will run.
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
        if any(isinstance(m, nn.RNNBase) for m in modules):  # one operation a product
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


@dataclass(frozen=True)
class Parts:
    """What a module is made of.

    Args:
        modules: all of its parts, itself first.
        parameters: by name; one that has several has the first.
        buffers: the same.
        tied: some parameter or buffer has several names.
    """

    modules: list[nn.Module]
    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    tied: bool


def parts_of(module: nn.Module) -> Parts:
    """The parts of a module, in one walk."""
    modules: dict[int, nn.Module] = {}
    parameters: dict[int, tuple[str, nn.Parameter]] = {}
    buffers: dict[int, tuple[str, Tensor]] = {}
    names = 0
    for prefix, part in module.named_modules(remove_duplicate=False):
        modules.setdefault(id(part), part)
        prefix += "." if prefix else ""
        for name, p in part._parameters.items():
            if p is not None:
                parameters.setdefault(id(p), (prefix + name, p))
                names += 1
        for name, b in part._buffers.items():
            if b is not None:
                buffers.setdefault(id(b), (prefix + name, b))
                names += 1
    tied = names != len(parameters) + len(buffers)
    return Parts(list(modules.values()), dict(parameters.values()), dict(buffers.values()), tied)


def materialised(module: nn.Module, x: Tensor, seed: int) -> nn.Module:
    """The module, or a copy whose lazy layers have met an image.

    Args:
        module: any.
        x: (n, ...) images.
        seed: of the lazy layers' initial weights.
    """
    with seeded(seed, x):
        return networks.materialised(module, x)


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
