"""Plain data in files that torch.save wrote, in its zip form and in its form before torch 1.6.

Tables hold no tensors, so torch is not needed, and not even the objects that its ``weights_only``
loading would build are built: a file that asks for a tensor is refused by that name.
"""

import mmap
import zipfile
import zlib
from pathlib import Path
from typing import Any

from foretell.errors import DataError, TableFormatError, UnsafePickleError
from foretell.unpickle import Watch, load_plain_bytes

__all__ = ["read_torch"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_LIMIT = 8 << 30


def read_torch(path: Path, watch: Watch | None = None) -> Any:
    """What was saved.

    Args:
        path: of the file.
        watch: see ``load_plain_bytes``.

    Raises:
        TableFormatError: the file is damaged, cut off or no file of torch.
        UnsafePickleError: it asks for more than plain data; nothing was run.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    try:
        return _zipped(path, watch) if zipped else _plain(path, watch)
    except UnsafePickleError:
        raise
    except DataError as error:
        raise TableFormatError(str(error)) from error


def _zipped(path: Path, watch: Watch | None) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            inner = [i for i in archive.infolist() if i.filename.endswith("/data.pkl")]
            if len(inner) != 1 or inner[0].compress_type != zipfile.ZIP_STORED:
                raise TableFormatError(f"{path.name} is a zip file, but none that torch wrote.")
            if inner[0].file_size > min(_LIMIT, path.stat().st_size):
                raise TableFormatError(f"{path.name} claims to hold more than it can.")
            raw = archive.read(inner[0])
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        OSError,
    ) as error:
        raise TableFormatError(
            f"{path.name} cannot be read as a zip file ({error}): get it again."
        ) from error
    return load_plain_bytes(raw, path.name, 0, watch)[0]


def _plain(path: Path, watch: Watch | None) -> Any:
    if not path.stat().st_size:
        raise TableFormatError(f"{path.name} is empty: get it again.")
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        magic, at = load_plain_bytes(data, path.name)
        protocol, at = load_plain_bytes(data, path.name, at)
        if magic != _MAGIC or protocol != _PROTOCOL:
            raise TableFormatError(f"{path.name} was not written by torch: use the official file.")
        _, at = load_plain_bytes(data, path.name, at)
        content, at = load_plain_bytes(data, path.name, at, watch)
        storages, at = load_plain_bytes(data, path.name, at)
        if storages != [] or at != len(data):
            raise TableFormatError(f"{path.name} holds more than a table: use the official file.")
        return content
