"""Run folders whose rows were changed or damaged: a sentence instead of whatever they break."""

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from foretell.errors import RunFolderError

__all__ = ["damage_in", "refuses_damage"]

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
            raise _refusal(out, error) from error

    return reads


def damage_in(out: Path | str, error: BaseException) -> RunFolderError | None:
    """What to raise where going on with a study failed as damaged rows make it fail.

    Args:
        out: the run folder.
        error: raised in a folder that an earlier call had left; one that a user's code raised, such
            as a progress function, is none.
    """
    if not isinstance(error, _BROKEN):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parents[2]
    inner = Path(frames[-1].filename) if frames else ours
    return _refusal(out, error) if inner.is_relative_to(ours) else None


def _refusal(out: Path | str, error: BaseException) -> RunFolderError:
    return RunFolderError(
        f"{str(out)!r} holds a damaged row in study.db ({type(error).__name__}: "
        f"{str(error)[:100]}): restore it from a copy, or choose another run folder."
    )
