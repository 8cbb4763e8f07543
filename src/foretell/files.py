"""Paths as users write them, and atomic writing of files."""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell.errors import UsageError

__all__ = ["standard_output_to", "user_path", "whole"]


def user_path(text: Path | str) -> Path:
    """The path that a user wrote, with ``~`` as a home folder.

    Raises:
        UsageError: it is empty, holds a NUL character, names an unknown user's home, or leads to a
            device, a pipe, or a link that leads to itself.
    """
    if not str(text):
        raise UsageError("A path is empty: give the name of a file or folder, or . for this one.")
    if "\0" in str(text):
        raise UsageError(
            f"The path {str(text)!r} holds a NUL character, which no name can: leave it out."
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"There is no home folder {Path(text).parts[0]!r}: write the path from the root, or "
            f"./{text} for a name that begins with a tilde."
        ) from error
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # not there, or not to be seen: its reader says so
        if getattr(error, "errno", None) == errno.ELOOP:
            raise UsageError(
                f"The path {str(text)!r} is a link that leads to itself: name the file that it "
                f"should lead to."
            ) from error
        return path
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UsageError(
            f"{str(text)!r} is a device or a pipe: give a file or a folder; what a pipe gives can "
            f"be saved to a file first."
        )
    return path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file that replaces a file when the block ends without an error.

    Args:
        path: of the file, in an existing folder.

    Yields:
        Path of the temporary file, which is removed in any case.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def standard_output_to(file: int) -> Iterator[None]:
    """Lead what this process and its children print elsewhere, past Python as well.

    Args:
        file: number of an open file. Where there is no standard output, nothing is led.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    copy = None
    with contextlib.suppress(OSError):  # a process without these files
        copy = os.dup(1)
        os.dup2(file, 1)
    try:
        yield
    finally:
        if copy is not None:
            os.dup2(copy, 1)
            os.close(copy)
