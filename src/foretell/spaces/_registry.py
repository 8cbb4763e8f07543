"""The registry of spaces, and ``get_space``."""

import copy
from functools import lru_cache
from pathlib import Path

from foretell.errors import PluginError
from foretell.registry import Registry
from foretell.spaces._base import Space

__all__ = ["get_space", "name_of", "spaces"]

spaces: Registry[Space] = Registry("space")
"""Search spaces by name."""


def get_space(name: str) -> Space:
    """The space of a name; its ``.name`` is the given text.

    Args:
        name: a registered name, or ``file.py:attribute`` or ``module:attribute`` that leads to a
            space, a subclass of ``Space`` or a function without arguments that returns one.

    Raises:
        UnknownNameError: no space of that name is registered.
        PluginError: the text cannot be imported, or is no space.
    """
    if name in _IN_MEMORY:
        return _IN_MEMORY[name]
    location = name.rpartition(":")[0]
    return _load(name, str(Path(location).resolve()) if location.endswith(".py") else location)


def name_of(space: Space) -> str:
    """The name under which ``get_space`` finds a space that is in memory.

    A space that was loaded by its name keeps it, and so does one whose name is free: this process
    registers it, replacing an earlier one of that name. Other processes have to call this with the
    same space.
    """
    name = space.name
    if name in spaces:
        if get_space(name) == space:
            return name
        name = f"memory:{name}"
        space = copy.copy(space)
        object.__setattr__(space, "name", name)
    elif ":" in name and name not in _IN_MEMORY:
        return name
    _IN_MEMORY[name] = space
    return name


_IN_MEMORY: dict[str, Space] = {}


@lru_cache(maxsize=256)
def _load(name: str, location: str) -> Space:
    """The space of a name; ``location`` tells files of the same relative path apart."""
    target: object = spaces[name]
    if not isinstance(target, Space) and callable(target):
        try:
            target = target()
        except Exception as error:
            raise PluginError(
                f"Calling {name!r} raised {type(error).__name__}: {error}. It should be a space, "
                f"or a function without arguments that returns one."
            ) from error
    if not isinstance(target, Space):
        raise PluginError(
            f"{name!r} is a {type(target).__name__}, but a foretell.Space is expected: write "
            f"space = CustomSpace(choices=..., build=...) there."
        )
    if target.name == name:
        return target
    renamed = copy.copy(target)
    object.__setattr__(renamed, "name", name)
    return renamed
