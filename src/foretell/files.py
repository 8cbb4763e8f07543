"""Paths as users write them, and atomic writing of files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell.errors import UsageError

__all__ = ["user_path", "whole"]


def user_path(text: Path | str) -> Path:
    """The path that a user wrote, with ``~`` as a home folder.

    Raises:
        UsageError: it is empty, holds a NUL character, or names an unknown user's home.
    """
    if not str(text):
        raise UsageError("A path is empty: give the name of a file or folder, or . for this one.")
    if "\0" in str(text):
        raise UsageError(
            f"The path {str(text)!r} holds a NUL character, which no name can: leave it out."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"There is no home folder {Path(text).parts[0]!r}: write the path from the root, or "
            f"./{text} for a name that begins with a tilde."
        ) from error


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
