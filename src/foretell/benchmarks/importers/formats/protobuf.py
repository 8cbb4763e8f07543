"""The fields of a protocol-buffer message, without a schema."""

import struct
from collections.abc import Iterator

__all__ = ["fields"]


def fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and content of each field.

    A variable-length integer comes as int (unsigned), eight bytes as a double, four as a float,
    and text, bytes and messages as bytes.

    Raises:
        ValueError: the bytes are no message.

    >>> list(fields(bytes([0x08, 0x96, 0x01])))
    [(1, 150)]
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            whole, at = _varint(data, at)
            yield number, whole
        elif kind == 1:
            yield number, _real("<d", data, at)
            at += 8
        elif kind == 5:
            yield number, _real("<f", data, at)
            at += 4
        elif kind == 2:
            size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("a field is cut off")
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"no such kind of field: {kind}")


def _real(form: str, data: bytes, at: int) -> float:
    try:
        values: tuple[float] = struct.unpack_from(form, data, at)
    except struct.error as error:
        raise ValueError("a field is cut off") from error
    return values[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number is too long")
