"""Networks of a user's own space."""

from collections.abc import Callable
from typing import cast

from torch import nn

from foretell.arch import Arch
from foretell.errors import ForetellError, ModuleRaisedError, NetworkError, PluginError
from foretell.registry import resolve
from foretell.spaces import CustomSpace, Skeleton, Space

__all__ = ["build"]


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
