"""Run folders whose rows were changed or damaged: a sentence instead of whatever they break."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from foretell.errors import RunFolderError

__all__ = ["refuses_damage"]

R = TypeVar("R")
_BROKEN = (
    TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RecursionError,
    msgspec.MsgspecError,
)  # fmt: skip


def refuses_damage(read: Callable[[Path | str], R]) -> Callable[[Path | str], R]:
    """The same reader of a run folder, but rows of another shape are a ``RunFolderError``.

    What a study wrote is read by its own code, so that anything else in a row is damage.

    Args:
        read: what the rows of a folder say.
    """

    @functools.wraps(read)
    def reads(out: Path | str) -> R:
        try:
            return read(out)
        except _BROKEN as error:
            raise RunFolderError(
                f"{str(out)!r} holds a damaged row in study.db ({type(error).__name__}: "
                f"{str(error)[:100]}): restore it from a copy, or choose another run folder."
            ) from error

    return reads
