"""The file format of a table: one line, one JSON header, and memory-mapped blocks of numbers.

The line is ``foretell-table VERSION SIZE CRC``: format version, bytes of the header in ten decimal
digits, CRC-32 of the header in eight hexadecimal ones. The header holds the position of each block.
Blocks start at multiples of 64 bytes and hold little-endian numbers; a block of values is stored as
(epochs, n, seeds), so that one epoch of all architectures is contiguous.
"""

import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from foretell.benchmarks._base import Metric, TableData
from foretell.errors import MissingDataError, TableFormatError

__all__ = ["DTYPES", "VERSION", "TableFile", "write"]

VERSION = 1
DTYPES = ("float64", "float32", "float16", "uint8", "uint16", "uint32", "int32", "int64")
"""Allowed data types of a block."""
SMALL = 16 * 2**20
"""Files up to this size are verified when opened, larger ones block by block."""

_ALIGN = 64
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_LINE = re.compile(rb"foretell-table (\d{1,6}) (\d{10}) ([0-9a-f]{8})\n")


class _Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Position of a block in bytes from the end of the header, data type, shape, and CRC-32."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    crc: int

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def end(self) -> int:
        """End of the block, in bytes from the end of the header."""
        return self.offset + self.size


class _Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric and its block."""

    metric: Metric
    block: _Block


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header."""

    name: str
    space: str
    facts: dict[str, str]
    rows: int
    texts: _Block
    genes: _Block | None
    columns: list[_Column]

    def blocks(self) -> list[_Block]:
        """All blocks, in the order of the file."""
        genes = [] if self.genes is None else [self.genes]
        return [self.texts, *genes, *(c.block for c in self.columns)]


def write(data: TableData, file: IO[bytes]) -> None:
    """Write a validated table; its values have types among ``DTYPES``."""
    blocks: list[_Block] = []
    for content in _contents(data):
        offset = _aligned(blocks[-1].end if blocks else 0)
        blocks.append(_Block(offset, content.dtype.name, content.shape, zlib.crc32(content.data)))
    values = blocks[-len(data.values) :]
    header = msgspec.json.encode(
        _Header(
            name=data.name,
            space=data.space,
            facts=dict(data.facts),
            rows=len(data.texts),
            texts=blocks[0],
            genes=None if data.genes is None else blocks[1],
            columns=[_Column(data.metrics[k], b) for k, b in zip(data.values, values, strict=True)],
        )
    )
    line = b"foretell-table %d %010d %08x\n" % (VERSION, len(header), zlib.crc32(header))
    file.write(_padded(line + header))
    end = 0
    for block, content in zip(blocks, _contents(data), strict=True):
        file.write(bytes(block.offset - end))
        file.write(content.data)
        end = block.end


def _contents(data: TableData) -> Iterator[NDArray[Any]]:
    """Contents of the blocks, generated one at a time to limit memory."""
    yield np.frombuffer(msgspec.json.encode(list(data.texts)), np.uint8)
    if data.genes is not None:
        yield np.ascontiguousarray(data.genes, np.min_scalar_type(data.genes.max()))
    for values in data.values.values():
        moved = np.moveaxis(values, 2, 0)
        yield np.ascontiguousarray(moved, moved.dtype.newbyteorder("<"))


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _padded(head: bytes) -> bytes:
    return head.ljust(_aligned(len(head)))


class TableFile:
    """A table file with a validated header.

    The check sum of a block is verified on first read, or on opening in a small file.

    Args:
        content: the whole file, (bytes,) uint8.
        what: the file, for messages.

    Raises:
        TableFormatError: the content is no table, of another version, cut off or damaged.
    """

    def __init__(self, content: NDArray[np.uint8], what: str) -> None:
        """Read the header."""
        self._content, self._what = content, what
        self._verified: set[int] = set()
        self.header, self._start = self._read_header()
        self._check()
        if len(content) <= SMALL:
            self.verify()

    @classmethod
    def open(cls, path: Path) -> "TableFile":
        """Map a file into memory.

        Raises:
            MissingDataError: there is no such file.
            TableFormatError: it is no table, of another version, cut off or damaged.
        """
        if not path.is_file():
            raise MissingDataError(
                f"There is no table {str(path)!r}: give the path of a .foretell file."
            )
        if path.stat().st_size == 0:
            raise TableFormatError(f"{path.name} is empty: import or download it again.")
        return cls(np.memmap(path, np.uint8, "r"), path.name)

    def texts(self) -> list[str]:
        """Official text of each architecture."""
        raw = self._array(self.header.texts).tobytes()
        try:
            texts = msgspec.json.decode(raw, type=list[str])
        except _UNREADABLE as error:
            raise self._error(f"its texts cannot be read ({error})") from error
        if len(texts) != self.header.rows or len(set(texts)) != len(texts):
            raise self._error(f"it does not hold {self.header.rows} different texts")
        return texts

    def genes(self) -> NDArray[Any] | None:
        """Genes of each architecture, (n, genes), of an unsigned integer type."""
        return None if self.header.genes is None else self._array(self.header.genes)

    def values(self, index: int) -> NDArray[Any]:
        """Stored numbers of a metric, (epochs, n, seeds)."""
        return self._array(self.header.columns[index].block)

    def verify(self) -> None:
        """Verify the check sums of all blocks.

        Raises:
            TableFormatError: they differ.
        """
        for block in self.header.blocks():
            self._array(block)

    def _array(self, block: _Block) -> NDArray[Any]:
        raw = self._content[self._start + block.offset : self._start + block.end]
        if block.offset not in self._verified:
            if zlib.crc32(raw.data) != block.crc:
                raise self._error("its check sums do not fit its numbers")
            self._verified.add(block.offset)
        little = np.dtype(block.dtype).newbyteorder("<")
        return np.asarray(raw).view(little).reshape(block.shape)

    def _read_header(self) -> tuple[_Header, int]:
        match = _LINE.match(self._content[:_ALIGN].tobytes())
        if match is None:
            raise self._error("it does not begin as a table does")
        version, size = int(match[1]), int(match[2])
        if version != VERSION:
            advice = "install a newer foretell" if version > VERSION else "import it again"
            raise TableFormatError(
                f"{self._what} has table format {version}, but this foretell reads {VERSION}: "
                f"{advice}."
            )
        raw = self._content[match.end() : match.end() + size].tobytes()
        if len(raw) != size or zlib.crc32(raw) != int(match[3], 16):
            raise self._error("its header does not fit its check sum")
        try:
            header = msgspec.json.decode(raw, type=_Header)
        except _UNREADABLE as error:
            raise self._error(f"its header cannot be read ({error})") from error
        return header, _aligned(match.end() + size)

    def _check(self) -> None:
        """Whether the header is consistent with the content."""
        head, seen, end = self.header, set(), 0
        if head.rows < 1 or not head.columns:
            raise self._error("it holds no architecture or no metric")
        for block in head.blocks():
            if block.dtype not in DTYPES:
                raise self._error(f"a block has the type {block.dtype[:20]!r}")
            if not block.shape or not all(0 <= n <= len(self._content) for n in block.shape):
                raise self._error("a block has a shape that cannot be")
            if block.offset != _aligned(end):
                raise self._error("its blocks do not lie one behind the other")
            end = block.end
        if self._start + end != len(self._content):
            raise self._error(
                f"it should have {self._start + end:,} bytes, but has {len(self._content):,}"
            )
        if head.texts.dtype != "uint8" or len(head.texts.shape) != 1:
            raise self._error("its texts are not bytes")
        if (g := head.genes) and (
            g.dtype[0] != "u" or len(g.shape) != 2 or g.shape[0] != head.rows
        ):
            raise self._error("its genes do not fit its architectures")
        for column in head.columns:
            facts = column.metric
            wanted = (len(facts.epochs), head.rows, len(facts.seeds))
            if column.block.shape != wanted or 0 in wanted or facts.key in seen:
                raise self._error(f"the shape or the name of {facts.key!r} does not fit")
            seen.add(facts.key)

    def _error(self, why: str) -> TableFormatError:
        return TableFormatError(
            f"{self._what} is no table that can be read: {why}. Import or download it again."
        )
