"""Reading pickles of plain data without running anything in them.

Only dictionaries, lists, tuples, numbers, texts, bytes and numeric numpy arrays can come out.
NumPy's own unpickling code is not run either: stand-ins record what the file says about an array,
and the array is then made from the bytes.
"""

import pickle
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import DataError, UnsafePickleError

__all__ = ["load_plain"]


class _Dtype:
    """Stand-in for numpy.dtype: remembers the letter code and the byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.decode() if isinstance(code, bytes) else str(code)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else str(order)

    def real(self) -> np.dtype[Any]:
        found = np.dtype(self.code)
        if found.kind not in "biuf":
            raise UnsafePickleError(f"an array of the type {self.code!r}")
        return found.newbyteorder(">" if self.order == ">" else "<")


class _NdArray:
    """Stand-in for numpy.ndarray: remembers shape, type, order and bytes."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def real(self) -> NDArray[Any]:
        _, shape, dtype, fortran, raw = self.state
        flat = np.frombuffer(raw, dtype.real())
        return flat.reshape(tuple(shape), order="F" if fortran else "C")


def _reconstruct(*_: Any) -> _NdArray:
    return _NdArray()


def _latin1(text: Any, *_: Any) -> bytes:
    return str(text).encode("latin1")


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _NdArray:
    made = _NdArray()
    made.state = (1, shape, dtype, order in ("F", b"F"), raw)
    return made


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _NdArray,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UnsafePickleError(f"{module}.{name}") from None


def load_plain(file: IO[bytes], what: str) -> Any:
    """The plain data in a pickle; texts written by Python 2 come as bytes.

    Args:
        file: open for reading.
        what: for messages, such as a file's name.

    Raises:
        UnsafePickleError: the pickle asks for anything but plain data; nothing was run.
        DataError: the file is no pickle, or is cut off.
    """
    try:
        return _plain(_PlainUnpickler(file, encoding="bytes").load())
    except UnsafePickleError as error:
        raise UnsafePickleError(error.found, what) from None
    except Exception as error:
        raise DataError(
            f"{what} cannot be read as a pickle of arrays ({type(error).__name__}): download it "
            f"again."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, _NdArray | _Dtype):
        return value.real()
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
        return value
    raise UnsafePickleError(type(value).__name__)
