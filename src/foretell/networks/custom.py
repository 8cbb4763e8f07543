"""Networks of a user's own space."""

import sys
from collections.abc import Callable
from typing import cast

from torch import nn

from foretell.arch import Arch
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError, PluginError
from foretell.registry import resolve
from foretell.spaces import CustomSpace, Skeleton, Space

__all__ = ["build", "standalone"]


def build(space: Space, arch: Arch, skeleton: Skeleton) -> nn.Module:
    """What the user's builder returns for an architecture.

    Raises:
        PluginError: the builder's text leads nowhere, or to something that cannot be called.
        ModuleRaisedError: the builder raised; the sentence names the choices.
        NetworkError: it returned no module.
    """
    custom = cast(CustomSpace, space)
    builder = resolve(custom.build) if isinstance(custom.build, str) else custom.build
    if not callable(builder):
        raise PluginError(f"{custom.build!r} is a {type(builder).__name__}, not a function.")
    values = custom.values(arch)
    try:
        module = cast(Callable[..., object], builder)(
            input_shape=skeleton.input_shape, classes=skeleton.classes, **values
        )
    except ForetellError:
        raise
    except Exception as error:
        raise ModuleRaisedError(
            f"The builder of {custom.name!r} raised {type(error).__name__} for "
            f"{custom.format(arch)}: {error}"
        ) from error
    if not isinstance(module, nn.Module):
        raise NetworkError(
            f"The builder of {custom.name!r} returned a {type(module).__name__} for "
            f"{custom.format(arch)}, but a torch.nn.Module is expected."
        )
    return module


def standalone(
    space: Space, arch: Arch, skeleton: Skeleton
) -> tuple[str, dict[str, object], tuple[str, ...]] | None:
    """How an exported ``train.py`` builds the same network: target, arguments, other files.

    The target is ``file.py:name`` for a builder in a file of its own, and ``module:name`` for one
    in a package. None if the builder has no name that could be imported.
    """
    custom = cast(CustomSpace, space)
    builder = resolve(custom.build) if isinstance(custom.build, str) else custom.build
    name = getattr(builder, "__qualname__", "")
    module = sys.modules.get(getattr(builder, "__module__", ""))
    file = getattr(module, "__file__", None)
    target: object = module
    for part in name.split("."):
        target = getattr(target, part, None)
    if module is None or file is None or target is not builder:
        return None
    arguments: dict[str, object] = {
        "input_shape": skeleton.input_shape,
        "classes": skeleton.classes,
        **custom.values(arch),
    }
    return f"{module.__name__ if module.__package__ else file}:{name}", arguments, ()
