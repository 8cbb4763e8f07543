"""Building networks: from an architecture, or from a user's code."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import nn

from foretell.arch import Arch
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError, NoParametersError
from foretell.networks.lazy import materialised
from foretell.registry import resolve
from foretell.spaces import Skeleton, Space, get_space
from foretell.types import Shape3

__all__ = ["build", "build_module", "check_parameters"]

Builder = Callable[[Space, Arch, Skeleton], nn.Module]


def build(arch: Arch, skeleton: Skeleton, *, seed: int) -> nn.Module:
    """The network of an architecture, with PyTorch's own initial weights.

    Args:
        arch: the architecture; its space names the builder.
        skeleton: the fixed part of the network.
        seed: of the initial weights; the caller's random state is not changed.

    Raises:
        ArchError: the architecture is not of its space.
        NetworkError: the space has no builder, or the builder returns no module.
        ModuleRaisedError: the builder raised; the cause is chained.
    """
    space = get_space(arch.space)
    space.check(arch)
    builder = cast(Builder, resolve(space.builder()))
    with _seeded(seed):
        try:
            module = builder(space, arch, skeleton)
        except ForetellError:
            raise
        except Exception as error:
            raise ModuleRaisedError(
                f"Building {space.format(arch)} raised {type(error).__name__}: {error}"
            ) from error
        return _ready(
            _check_module(module, f"The builder {space.network!r}"), skeleton.input_shape,
            f"Building {space.format(arch)}",
        )  # fmt: skip


def build_module(text: str, *, input_shape: Shape3, classes: int, seed: int) -> nn.Module:
    """A user's own network.

    Args:
        text: ``file.py:name`` or ``module:name`` of a module, a module class, or a function that
            returns a module. A class or function gets those of the keyword arguments
            ``input_shape``, ``classes``, ``in_channels`` and ``num_classes`` that it accepts.
        input_shape: channels, height, width of one image.
        classes: number of outputs.
        seed: of the initial weights, those of lazy layers included; the caller's random state is
            not changed. An existing module keeps the weights that it has.

    Raises:
        PluginError: the text cannot be imported.
        ModuleRaisedError: the class or function raised; the cause is chained.
        NetworkError: the result is no module.
    """
    with _seeded(seed):
        target = resolve(text)
        if isinstance(target, nn.Module):
            return _ready(target, input_shape, text)
        if not callable(target):
            raise NetworkError(
                f"{text!r} is a {type(target).__name__}, but a torch.nn.Module is expected, or a "
                f"function that returns one."
            )
        arguments = {
            "input_shape": tuple(input_shape),
            "classes": classes,
            "in_channels": input_shape[0],
            "num_classes": classes,
        }
        try:
            accepted = _accepted(target)
            module = target(**{k: v for k, v in arguments.items() if k in accepted})
        except ForetellError:
            raise
        except Exception as error:
            raise ModuleRaisedError(f"{text} raised {type(error).__name__}: {error}") from error
        return _ready(_check_module(module, repr(text)), input_shape, text)


def check_parameters(module: nn.Module, purpose: str = "This") -> nn.Module:
    """The same module, if it has parameters to train.

    Raises:
        NoParametersError: it has none.
    """
    if not any(p.requires_grad and p.numel() for p in module.parameters()):
        raise NoParametersError(
            f"{purpose} needs weights, but the module {type(module).__name__} has no trainable "
            f"parameters: assign its layers to attributes, or use nn.ModuleList instead of a list."
        )
    return module


def _accepted(function: Callable[..., object]) -> set[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return set()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name for p in parameters if p.kind in kinds}


def _ready(module: nn.Module, input_shape: Shape3, what: str) -> nn.Module:
    """The module, its lazy layers with weights: two black images are shown to it then.

    Raises:
        ModuleRaisedError: it raised on them.
    """
    try:
        return materialised(module, torch.zeros(2, *input_shape))
    except Exception as error:
        raise ModuleRaisedError(
            f"{what} gave lazy layers, and their first image raised {type(error).__name__}: {error}"
        ) from error


def _check_module(module: object, what: str) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"{what} returned a {type(module).__name__}, but a torch.nn.Module is expected."
        )
    return module


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """PyTorch's CPU generator with a seed; its state is restored."""
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(state)
