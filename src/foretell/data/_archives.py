"""Bounded reading of archives and array files: nothing is unfolded before its size was checked."""

import bz2
import gzip
import io
import lzma
import math
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import DataError

__all__ = ["read_arrays", "read_file", "read_members"]

MOST_BYTES = 512 << 20
"""Of all members of a tar archive; the official ones of CIFAR unfold to 180 MB."""
MOST_AT_ONCE = 256 << 20
"""Of one member."""
MOST_MEMBERS = 10_000
SPARE_BYTES, MOST_RATIO = 256 << 20, 30
"""An array file may unfold to this size, or to this multiple of its own."""
HEADER = 1 << 16
"""Bytes in which the header of an array must end."""
MOST_AXES = 32
BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError)


class _Bounded:
    """A file for reading that refuses to give more bytes than expected."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.name, self.at = file, name, 0

    def read(self, size: int) -> bytes:
        self._check(size if size <= MOST_AT_ONCE else MOST_BYTES + 1)
        raw = self.file.read(size)
        self.at += len(raw)
        return raw

    def tell(self) -> int:
        return self.at

    def seek(self, position: int) -> int:
        self._check(position - self.at)
        self.at = self.file.seek(position)
        return self.at

    def _check(self, size: int) -> None:
        if size < 0 or self.at + size > MOST_BYTES:
            raise DataError(
                f"{self.name} unfolds to more than {MOST_BYTES >> 20} MB, which no official "
                f"archive does: download it again."
            )


def read_members(path: Path, requested: set[str]) -> dict[str, bytes]:
    """The requested files of a tar archive, by their names without folders.

    Raises:
        DataError: it is no intact tar archive, or unfolds to far more than an official one.
    """
    files: dict[str, bytes] = {}
    try:
        with _decompressed(path) as plain:
            bounded: Any = _Bounded(plain, path.name)
            with tarfile.open(fileobj=bounded, mode="r:") as archive:
                for number, member in enumerate(archive):
                    if number >= MOST_MEMBERS:
                        raise DataError(
                            f"{path.name} holds more than {MOST_MEMBERS} files: use the official "
                            f"archive."
                        )
                    name = PurePosixPath(member.name).name
                    if name in requested and member.isfile() and not member.issparse():
                        stream = archive.extractfile(member)
                        assert stream is not None
                        bounded._check(member.offset_data + member.size - bounded.at)
                        files[name] = stream.read()
    except (tarfile.TarError, ValueError, *BROKEN) as error:
        raise DataError(
            f"{path.name} cannot be read as a tar archive ({error}): download it again."
        ) from error
    return files


def _decompressed(path: Path) -> Any:
    """The file itself, or what is compressed in it."""
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if head.startswith(b"BZh"):
        return bz2.open(path)
    if head == b"\xfd7zXZ\0":
        return lzma.open(path)
    return path.open("rb")


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: it is larger than any official one.
    """
    if path.stat().st_size > MOST_AT_ONCE:
        raise DataError(
            f"{path.name} has more than {MOST_AT_ONCE >> 20} MB, which no official file has: "
            f"download it again."
        )
    return path.read_bytes()


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The plain arrays of an ``.npz`` file.

    Raises:
        DataError: a single array, objects, another file, a header that is not that of its content,
            or content that unfolds to far more than the file's size.
    """
    limit = max(SPARE_BYTES, MOST_RATIO * path.stat().st_size)
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise DataError(f"{path.name} holds a single array: save x and y with np.savez.")
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            if sum(m.file_size for m in members) > limit:
                raise DataError(
                    f"{path.name} has {path.stat().st_size / 1e6:.1f} MB but unfolds to "
                    f"{sum(m.file_size for m in members) / 1e6:.0f} MB: save fewer or plainer "
                    f"images, or without compression."
                )
            return {m.filename.removesuffix(".npy"): _array(archive, m) for m in members}
    except (ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, *BROKEN) as error:
        raise DataError(
            f"{path.name} cannot be read as an npz file of plain arrays ({type(error).__name__}: "
            f"{str(error)[:200]}): save it again with np.savez."
        ) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, allocated only if its header agrees with the size of its content."""
    with archive.open(member) as opened:
        stream: Any = opened
        head = io.BytesIO(stream.read(HEADER))
        version = np.lib.format.read_magic(head)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if reader is None:
            raise ValueError(f"array format {version}")
        shape, fortran, dtype = reader(head)
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        if dtype.itemsize == 0 or len(shape) > MOST_AXES or min(shape, default=0) < 0:
            raise ValueError(f"an array of the shape {str(shape)[:60]} and type {dtype}")
        size = math.prod(shape) * dtype.itemsize
        if head.tell() + size != member.file_size:
            raise ValueError(
                f"{member.filename} says {size} bytes but holds {member.file_size - head.tell()}"
            )
        raw = bytearray(size)
        first = head.read()
        raw[: len(first)] = first
        view, at = memoryview(raw), len(first)
        while at < size:
            read = stream.readinto(view[at:])
            if not read:
                raise EOFError("cut off")
            at += read
    flat = np.frombuffer(raw, dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")
