"""Results as JSON: dataclasses with arrays in them, to the store and back, to the last bit."""

import base64
from collections.abc import Mapping
from typing import Any, TypeVar, get_origin

import msgspec
import numpy as np

from foretell.errors import StoreError
from foretell.types import Json

__all__ = ["pack", "unpack"]

T = TypeVar("T")


def pack(value: object) -> Json:
    """A value of dataclasses, tuples, mappings, numbers, texts and arrays as JSON.

    Raises:
        TypeError: something else is in it.
    """
    return msgspec.to_builtins(value, enc_hook=_encode)


def unpack(data: Json, kind: type[T]) -> T:
    """What ``pack`` was given.

    Args:
        data: what it returned.
        kind: class of the value.

    Raises:
        StoreError: the data are of another version of foretell.
    """
    try:
        return msgspec.convert(data, kind, dec_hook=_decode)
    except (msgspec.ValidationError, ValueError, KeyError) as error:
        raise StoreError(
            f"A stored {getattr(kind, '__name__', kind)} cannot be read ({error}): it was written "
            f"by another version of foretell."
        ) from error


def _encode(value: object) -> Json:
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value)
        return {
            "dtype": plain.dtype.str,
            "shape": list(plain.shape),
            "data": base64.b64encode(plain.tobytes()).decode(),
        }
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"A {type(value).__name__} cannot be stored.")


def _decode(kind: type[Any], data: Json) -> object:
    if (get_origin(kind) or kind) is np.ndarray:
        raw = base64.b64decode(data["data"])
        return np.frombuffer(raw, dtype=data["dtype"]).reshape(data["shape"]).copy()
    raise TypeError(f"A {kind} is not stored.")
