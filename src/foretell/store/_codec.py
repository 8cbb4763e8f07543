"""JSON texts and blocks of scores as bytes."""

import json
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foretell.errors import StoreError, UsageError
from foretell.types import Array, Json

__all__ = ["Block", "damaged", "dump", "load", "pack", "unpack"]


class Block(NamedTuple):
    """Rows of scores, one column after the other.

    Args:
        types: one letter for each column: "f" little-endian float32, "d" float64.
        data: the columns.
    """

    types: str
    data: bytes


def dump(value: Json, what: str, *, sort: bool = False) -> str:
    """A value as JSON; numpy scalars become numbers, NaN and infinities are supported.

    Args:
        value: what to write.
        what: its name, for the message.
        sort: whether equal mappings give equal texts.

    Raises:
        UsageError: the value is not made of mappings, sequences, texts, numbers, bools and None.
    """
    try:
        return json.dumps(value, sort_keys=sort, separators=(",", ":"), default=_scalar)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"The {what} cannot be stored as JSON ({error}): give plain mappings, lists, texts "
            f"and numbers."
        ) from error


def load(text: str | None) -> Json:
    """The value that ``dump`` wrote; None for None.

    Raises:
        StoreError: the text is no JSON: the row is damaged.
    """
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(f"{str(text)[:40]!r} is no JSON") from error


def damaged(what: str) -> StoreError:
    """The error of a row that nobody here wrote.

    Args:
        what: is wrong, as a part of a sentence.
    """
    return StoreError(
        f"The store has a damaged row ({what}): restore study.db from a copy, or choose another "
        f"run folder."
    )


def _scalar(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"found {type(value).__name__}")


def pack(values: Array, *, exact: bool = False) -> Block:
    """A block of scores, each column in the smallest type that holds it.

    A column is float32 unless that would overflow, underflow, lose precision (subnormals), or round
    integers: counts such as flops stay exact.

    Args:
        values: (n, p).
        exact: whether every column is kept as float64.
    """
    columns = np.ascontiguousarray(values.T, dtype="<f8")
    if exact:
        return Block("d" * len(columns), columns.tobytes())
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = columns.astype("<f4")
        wide = _lossy(columns, single)
    if not wide.any():
        return Block("f" * len(columns), single.tobytes())
    parts = [(columns if w else single)[i].tobytes() for i, w in enumerate(wide)]
    return Block("".join("d" if w else "f" for w in wide), b"".join(parts))


_ROUNDING = float(np.finfo(np.float32).eps) / 2
"""The largest relative error of a number that float32 holds in full precision."""


def _lossy(columns: Array, single: NDArray[np.float32]) -> NDArray[np.bool_]:
    if not columns.size:
        return np.zeros(len(columns), dtype=bool)
    error = single - columns
    np.abs(error, out=error)
    bound = np.abs(columns)
    bound *= _ROUNDING
    # inf - inf and NaN - NaN are NaN: those numbers are kept by float32 and compare False here.
    lossy: NDArray[np.bool_] = np.any(error > bound, axis=1)
    moved = error > 0
    first = moved.argmax(axis=1)
    for i in np.flatnonzero(~lossy):
        value = columns[i, first[i]]
        if moved[i, first[i]] and value == np.rint(value):
            finite = columns[i][np.isfinite(columns[i])]
            lossy[i] = (finite == np.rint(finite)).all()
    return lossy


def unpack(block: Block, out: Array) -> None:
    """Write a block's rows into ``out``, (n, p) float64."""
    rows, width = out.shape
    if block.types == "f" * width:
        out[:] = np.frombuffer(block.data, "<f4").reshape(width, rows).T
        return
    offset = 0
    for i, kind in enumerate(block.types):
        dtype = np.dtype("<f8" if kind == "d" else "<f4")
        out[:, i] = np.frombuffer(block.data, dtype, count=rows, offset=offset)
        offset += rows * dtype.itemsize
