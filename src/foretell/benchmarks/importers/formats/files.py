"""Readers of compressed and pickled files, with limits on the decompressed size."""

import bz2
import io
import json
import re
from pathlib import Path
from typing import Any

from foretell.errors import DataError, MissingDataError, TableFormatError, UnsafePickleError
from foretell.types import Json
from foretell.unpickle import load_plain

__all__ = ["only_file", "read_json", "read_pickle", "read_pickle_bz2"]


def read_pickle_bz2(path: Path, limit: int) -> Any:
    """The plain data in a pickle that bzip2 packed.

    Args:
        path: of the file.
        limit: maximum decompressed bytes.

    Raises:
        TableFormatError: corrupt, truncated, or larger than that.
        UnsafePickleError: it contains code; nothing was run.
    """
    unpacker = bz2.BZ2Decompressor()
    try:
        raw = unpacker.decompress(path.read_bytes(), limit + 1)
    except OSError as error:
        raise TableFormatError(
            f"{path.name} is no intact bzip2 file ({error}): get it again."
        ) from error
    if len(raw) > limit:
        raise TableFormatError(
            f"{path.name} unfolds to more than {limit >> 20} MiB, which no official file does: "
            f"get it again."
        )
    if not unpacker.eof:
        raise TableFormatError(f"{path.name} is cut off: get it again.")
    return _plain(raw, path.name)


def read_pickle(path: Path) -> Any:
    """The plain data in a pickle.

    Raises:
        TableFormatError: damaged or cut off.
        UnsafePickleError: it contains code; nothing was run.
    """
    return _plain(path.read_bytes(), path.name)


def _plain(raw: bytes, what: str) -> Any:
    try:
        return load_plain(io.BytesIO(raw), what)
    except UnsafePickleError:
        raise
    except DataError as error:
        raise TableFormatError(str(error)) from error


def read_json(path: Path) -> Json:
    """The content of a JSON file.

    Raises:
        TableFormatError: it is no JSON, or too deeply nested.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TableFormatError(
            f"{path.name} cannot be read as JSON ({str(error)[:200]}): get it again."
        ) from error


def only_file(path: Path, pattern: str, what: str) -> Path:
    """The path itself, or the one file of a folder with a matching name.

    Raises:
        MissingDataError: the folder holds none, or several.
    """
    if not path.is_dir():
        return path
    matching = sorted(p for p in path.iterdir() if re.fullmatch(pattern, p.name) and p.is_file())
    if len(matching) != 1:
        names = ", ".join(p.name for p in matching[:5]) or "none"
        raise MissingDataError(f"{str(path)!r} should hold {what}, but there are: {names}.")
    return matching[0]
