"""Writing files so that at any moment each is either the old one or the new one, whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["whole"]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft beside a file, which takes the file's place once the block has ended well.

    Args:
        path: of the file; its folder is there.

    Yields:
        The draft's path, to be written to. It is gone afterwards, whatever happened.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
