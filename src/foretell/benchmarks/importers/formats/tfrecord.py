"""Reading TFRecord files without TensorFlow: framed records, each with two checksums."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from foretell.benchmarks.importers._base import Progress
from foretell.errors import TableFormatError

__all__ = ["crc32c", "masked", "read_records"]

_LONGEST = 1 << 16
_BATCH = 4096
_WIDEST_BATCH = 1 << 25


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


_TABLE = _table()
_LIST = _TABLE.tolist()


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum of a few bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    state = 0xFFFFFFFF
    for byte in data:
        state = _LIST[(state ^ byte) & 255] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """The checksum as the format stores it: rotated, and moved by a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c_of_all(records: list[bytes]) -> list[int]:
    """Checksums of many records at once: one numpy step per byte position."""
    order = sorted(range(len(records)), key=lambda i: -len(records[i]))
    lengths = np.array([len(records[i]) for i in order])
    widest = int(lengths[0]) if len(lengths) else 0
    padded = np.zeros((widest, len(records)), dtype=np.uint8)
    for column, i in enumerate(order):
        padded[: lengths[column], column] = np.frombuffer(records[i], np.uint8)
    state = np.full(len(records), 0xFFFFFFFF, dtype=np.uint32)
    active = np.searchsorted(-lengths, -np.arange(widest), side="left")
    for position in range(widest):
        part = state[: active[position]]
        index = (part ^ padded[position, : active[position]]) & 255
        state[: active[position]] = _TABLE[index] ^ (part >> 8)
    checksums = np.empty(len(records), dtype=np.uint32)
    checksums[order] = state ^ np.uint32(0xFFFFFFFF)
    return [int(v) for v in checksums]


def read_records(path: Path, progress: Progress) -> Iterator[bytes]:
    """All records of the file, in order, with verified checksums.

    Args:
        path: of the file; it is read a few MiB at a time.
        progress: called with bytes.

    Raises:
        TableFormatError: a checksum is wrong, or the file is truncated.
    """
    total = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while batch := _batch(file, path.name, done):
            checksums = _crc32c_of_all([record for record, _ in batch])
            for (record, expected), crc in zip(batch, checksums, strict=True):
                if masked(crc) != expected:
                    raise _damaged(path.name, done)
                done += len(record) + 16
                yield record
            progress(done, total)


def _batch(file: IO[bytes], what: str, start: int) -> list[tuple[bytes, int]]:
    """Up to some thousand records and their stored checksums."""
    records: list[tuple[bytes, int]] = []
    size = widest = 0
    while len(records) < _BATCH and widest * len(records) < _WIDEST_BATCH:
        head = file.read(12)
        if not head:
            break
        offset = start + size
        if len(head) < 12 or masked(crc32c(head[:8])) != struct.unpack("<I", head[8:])[0]:
            raise _damaged(what, offset)
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LONGEST:
            raise TableFormatError(f"{what}: a record of {length} bytes at {offset} is too long.")
        body = file.read(length + 4)
        if len(body) < length + 4:
            raise TableFormatError(f"{what} is cut off in the record at byte {offset}.")
        records.append((body[:length], struct.unpack("<I", body[length:])[0]))
        size += length + 16
        widest = max(widest, length)
    return records


def _damaged(what: str, place: int) -> TableFormatError:
    return TableFormatError(
        f"{what}: the checksum of the record at byte {place} is wrong, so the file is damaged or "
        f"no TFRecord file: get it again."
    )
