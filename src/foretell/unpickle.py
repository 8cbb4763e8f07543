"""Safe reading of pickles of plain data.

A pickle is a program for a small stack machine. This machine implements only the instructions that
build dictionaries, lists, tuples, sets, numbers, texts, bytes and numeric numpy arrays; Python's
own unpickler is not used. Anything else is refused by name, nothing is executed, and memory is
bounded by the size of the file. So is the time of whoever reads the result: containers that a file
names again and again may not unfold to many times its size, and keys may not collide.
"""

import codecs
import struct
import time
from collections.abc import Callable, Sequence
from typing import IO, Any, TypeAlias

import numpy as np

from foretell.errors import DataError, ForetellError, UnsafePickleError

__all__ = ["load_plain", "load_plain_bytes"]

Watch: TypeAlias = Callable[[Any, Any], None]
"""Called with every complete (key, dictionary) pair with an integer key."""


def load_plain(file: IO[bytes], what: str) -> Any:
    """The plain data in a pickle; texts written by Python 2 are bytes.

    Args:
        file: open for reading.
        what: for messages, such as a file's name.

    Raises:
        UnsafePickleError: the pickle contains more than plain data; nothing was run.
        DataError: the file is no pickle, or truncated.
    """
    return load_plain_bytes(file.read(), what)[0]


def load_plain_bytes(
    data: Any, what: str, start: int = 0, watch: Watch | None = None
) -> tuple[Any, int]:
    """The plain data of one of several consecutive pickles, and the offset of the next.

    Args:
        data: bytes, or a memory map of a file.
        what: for messages, such as a file's name.
        start: offset of the pickle.
        watch: called with each complete entry of a dictionary of dictionaries with integer keys; it
            may empty the value to limit memory.

    Raises:
        UnsafePickleError: the pickle contains more than plain data; nothing was run.
        DataError: the bytes are no pickle, or truncated.
    """
    machine = _Machine(data, start, watch)
    try:
        return machine.run(), machine.at
    except UnsafePickleError as error:
        raise UnsafePickleError(error.found, what) from None
    except ForetellError:
        raise  # of whoever watches
    except _RefusedError as error:
        raise DataError(f"{what} was not read: it holds {error}; use the official file.") from None
    except Exception as error:
        raise DataError(
            f"{what} cannot be read as a pickle of arrays ({type(error).__name__}): download it "
            f"again."
        ) from error


class _RefusedError(ValueError):
    """Plain data that would take far more time or memory than the file's size suggests."""


class _Name:
    """Placeholder of a function or class that the pickle names, and its replacement."""

    def __init__(self, name: str, call: "Callable[..., Any] | None") -> None:
        self.name, self.call = name, call


class _Dtype:
    """Placeholder of numpy.dtype, with type code and byte order."""

    def __init__(self, code: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        self.order = "="

    def build(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else order
        if self.order not in ("<", ">", "|", "="):
            raise ValueError("a byte order that is none")

    def real(self) -> np.dtype[Any]:
        if self.code not in _CODES:
            raise UnsafePickleError(f"an array of the type {str(self.code)[:40]!r}")
        return np.dtype(self.code).newbyteorder(">" if self.order == ">" else "<")


_CODES = {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"} | {"b1", "?"}


class _Array:
    """Placeholder of an array before its content is read, and its memo indices."""

    def __init__(self) -> None:
        self.places: list[int] = []

    @staticmethod
    def real(shape: Any, dtype: Any, fortran: Any, raw: Any) -> Any:
        if not isinstance(dtype, _Dtype):
            raise TypeError("an array without a type")
        flat = np.frombuffer(raw, dtype.real()) if len(raw) else np.empty(0, dtype.real())
        if not len(raw) and max(shape, default=0) > _LONGEST_EMPTY:
            raise _RefusedError("an array without content that claims a huge length")
        return flat.reshape(tuple(shape), order="F" if fortran else "C")


class _Arguments(tuple[Any, ...]):
    """A tuple that contains a placeholder; valid only as arguments or state."""

    __slots__ = ()


_STAND_INS = frozenset((_Name, _Dtype, _Array, _Arguments))
_SIMPLE = frozenset((str, int, bytes, float, bool, type(None)))
_SALTED = frozenset((str, bytes))
"""Types whose hashes nobody can choose."""
_CONTAINERS = frozenset((list, dict, tuple, set, np.ndarray))
_LONGEST_EMPTY = 1_000_000
_KEY_PARTS = 10_000
_SMALL_TABLE, _CHUNK = 64, 256
_SECONDS_PER_KEY, _SPARE_SECONDS = 2e-6, 0.5
"""CPU time to store a key that is not suspicious, about 20 times the usual; and the excess of all
keys of a file from which it is refused."""
_UNFOLDED, _UNFOLDED_PER_BYTE = 2_000_000, 20
"""Elements to which a pickle may unfold, where a shared container counts each time."""


def _dtype(machine: "_Machine", code: Any, *_: Any) -> _Dtype:
    return _Dtype(code)


def _reconstruct(machine: "_Machine", *_: Any) -> _Array:
    return _Array()


def _from_buffer(machine: "_Machine", raw: Any, dtype: Any, shape: Any, order: Any) -> Any:
    return _Array.real(shape, dtype, order in ("F", b"F"), raw)


def _scalar(machine: "_Machine", dtype: Any, raw: Any) -> Any:
    return _Array.real((), dtype, False, raw).item()


def _latin1(machine: "_Machine", text: Any, *_: Any) -> bytes:
    machine.spend(len(text))
    return str(text).encode("latin1")


def _ordered(machine: "_Machine", pairs: Any = ()) -> dict[Any, Any]:
    machine.spend(len(pairs))
    made: dict[Any, Any] = {}
    machine.store(made, [part for key, value in pairs for part in (key, value)])
    return made


def _set(machine: "_Machine", items: Any = ()) -> set[Any]:
    machine.spend(len(items))
    made: set[Any] = set()
    machine.add(made, items)
    return made


def _no_bytes(machine: "_Machine") -> bytes:
    return b""


_CORES = ("core", "_core")
_ALLOWED: dict[str, Any] = {
    "numpy.dtype": _dtype,
    "numpy.ndarray": None,
    "_codecs.encode": _latin1,
    "collections.OrderedDict": _ordered,
    **{f"{module}.set": _set for module in ("__builtin__", "builtins")},
    **{f"{module}.bytes": _no_bytes for module in ("__builtin__", "builtins")},
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in _CORES},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in _CORES},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in _CORES},
}


def _name(module: str, name: str) -> _Name:
    full = f"{module}.{name}"
    if full not in _ALLOWED:
        raise UnsafePickleError(full[:200])
    return _Name(full, _ALLOWED[full])


def _plain(items: Any) -> None:
    if not _STAND_INS.isdisjoint(map(type, items)):
        value = next(v for v in items if type(v) in _STAND_INS)
        raise UnsafePickleError(value.name if isinstance(value, _Name) else type(value).__name__)


class _Machine:
    """The stack machine; ``_OPS`` maps bytes to instructions."""

    def __init__(self, data: Any, start: int, watch: Watch | None) -> None:
        self.data, self.at, self.watch = data, start, watch
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.budget = 2 * len(data) + 1024
        self.key_parts = 16 * len(data) + _KEY_PARTS
        self.seconds = _SPARE_SECONDS
        self.shared = False

    def run(self) -> Any:
        data, memo, stack, at = self.data, self.memo, self.stack, self.at
        float_at = _F8.unpack_from
        while (code := data[at]) != 0x2E:  # STOP
            at += 1
            # the few instructions that make up most of a long file, without a call
            if code == 0x47:
                stack.append(float_at(data, at)[0])
                at += 8
            elif code == 0x4B:
                stack.append(data[at])
                at += 1
            elif code == 0x8C:
                end = at + 1 + data[at]
                if end > len(data):
                    raise EOFError("cut off")
                stack.append(_text(data[at + 1 : end]))
                at = end
            elif code == 0x68:
                value = memo[data[at]]
                if type(value) in _CONTAINERS:
                    self.shared = True
                stack.append(value)
                at += 1
            elif code == 0x94 and type(stack[-1]) is not _Array:
                memo[len(memo)] = stack[-1]
            else:
                self.at = at
                op = _OPS.get(code)
                if op is None:
                    word = _REFUSED.get(code)
                    raise UnsafePickleError(word) if word else ValueError(f"no such code: {code}")
                op(self)
                stack, at = self.stack, self.at
        self.at = at + 1
        value = stack.pop()
        _plain((value,))
        self.check_unfolded(value)
        return value

    def get(self, index: int) -> Any:
        """A memoised value."""
        value = self.memo[index]
        if type(value) in _CONTAINERS:
            self.shared = True
        return value

    def check_unfolded(self, value: Any) -> None:
        """Refuse a value that unfolds to far more than the file's size, or without end."""
        if not self.shared:
            return
        limit = _UNFOLDED + _UNFOLDED_PER_BYTE * len(self.data)
        if _unfolded(value, limit) > limit:
            raise _RefusedError(f"a value that unfolds to more than {limit} elements")

    def store(self, target: dict[Any, Any], items: list[Any]) -> None:
        """Put alternating keys and values into a dictionary."""
        keys = items[::2]
        salted = self.check_keys(keys)
        _plain(items)
        values = items[1::2]
        if salted or len(target) + len(keys) <= _SMALL_TABLE:
            target.update(zip(keys, values, strict=True))
            return
        for s in range(0, len(keys), _CHUNK):
            part, start = slice(s, s + _CHUNK), time.thread_time()
            target.update(zip(keys[part], values[part], strict=True))
            self.charge(time.thread_time() - start, len(keys[part]))

    def add(self, target: set[Any], items: Any) -> None:
        """Put items into a set."""
        keys = list(items)
        _plain(keys)
        if self.check_keys(keys) or len(target) + len(keys) <= _SMALL_TABLE:
            target.update(keys)
            return
        for s in range(0, len(keys), _CHUNK):
            start = time.thread_time()
            target.update(keys[s : s + _CHUNK])
            self.charge(time.thread_time() - start, len(keys[s : s + _CHUNK]))

    def charge(self, seconds: float, keys: int) -> None:
        """Count the time of storing keys beyond the usual."""
        self.seconds -= max(0.0, seconds - keys * _SECONDS_PER_KEY)
        if self.seconds < 0:
            raise _RefusedError("keys that were chosen to collide")

    def check_keys(self, keys: list[Any]) -> bool:
        """Whether all keys are texts or bytes, whose hashes nobody can choose.

        Others are numbers, or tuples of a bounded number of scalars.
        """
        kinds = set(map(type, keys))
        if kinds <= _SALTED:
            return True
        if not kinds <= _SIMPLE:
            for key in keys:
                self.check_key(key)
        elif int in kinds:
            whole = [k for k in keys if type(k) is int] if len(kinds) > 1 else keys
            if max(whole).bit_length() > 64 or min(whole).bit_length() > 64:
                self.spend_parts(sum(k.bit_length() for k in whole) >> 6)
        return False

    def spend_parts(self, parts: int) -> None:
        """Count what hashing a key takes, in scalars or words of long numbers."""
        self.key_parts -= parts
        if self.key_parts < 0:
            raise _RefusedError("keys that take too long to hash")

    def check_key(self, key: Any) -> None:
        """Keys are scalars, or tuples of a bounded number of them, so that hashing terminates."""
        waiting, parts = [key], 0
        while waiting:
            value, parts = waiting.pop(), parts + 1
            if parts > _KEY_PARTS:
                raise _RefusedError("a key without end")
            if type(value) is tuple:
                waiting.extend(value)
            elif type(value) not in _SIMPLE:
                raise TypeError(f"a key of the type {type(value).__name__}")
            elif type(value) is int:
                parts += value.bit_length() >> 6
        self.spend_parts(parts)

    def spend(self, size: int) -> None:
        """Count memory that is allocated beyond the file's content."""
        self.budget -= size
        if self.budget < 0:
            raise ValueError("more data than the file can hold")

    def number(self, form: struct.Struct) -> Any:
        (value,) = form.unpack_from(self.data, self.at)
        self.at += form.size
        return value

    def sized(self, form: struct.Struct) -> bytes:
        size = self.number(form)
        if not 0 <= size <= len(self.data) - self.at:
            raise EOFError("cut off")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise EOFError("cut off")
        start, self.at = self.at, end + 1
        return bytes(self.data[start:end])

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def put(self, index: int) -> None:
        top = self.stack[-1]
        if type(top) is _Array:
            top.places.append(index)
        self.memo[index] = top

    def make_tuple(self, items: list[Any]) -> None:
        simple = _STAND_INS.isdisjoint(map(type, items))
        self.stack.append(tuple(items) if simple else _Arguments(items))

    def top_items(self, count: int) -> list[Any]:
        items = self.stack[-count:]
        if len(items) < count:
            raise IndexError("nothing there")
        del self.stack[-count:]
        return items

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        _plain(items)
        if type(target) is list:
            target.extend(items)
        elif type(target) is set:
            self.add(target, items)
        else:
            raise TypeError("no list to append to")

    def assign(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            raise TypeError("no dictionary to fill")
        self.store(target, items)
        if self.watch is not None:
            for key, value in zip(items[::2], items[1::2], strict=True):
                if type(key) is int and type(value) is dict:
                    self.check_unfolded(value)
                    self.watch(key, value)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not _Name or function.call is None:
            raise UnsafePickleError(f"a call of a {type(function).__name__}")
        if not isinstance(arguments, tuple):
            raise TypeError("arguments that are no tuple")
        self.stack.append(function.call(self, *arguments))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is _Dtype:
            target.build(state)
        elif type(target) is _Array:
            _, shape, dtype, fortran, raw = state
            made = target.real(shape, dtype, fortran, raw)
            for index in target.places:
                self.memo[index] = made
            self.stack[-1] = made
        else:
            raise UnsafePickleError(f"a state for a {type(target).__name__}")

    def stack_global(self) -> None:
        module, name = self.top_items(2)
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        self.stack.append(_name(module, name))


def _pushes(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def op(machine: _Machine) -> None:
        value = make(machine)
        machine.stack.append(value)

    return op


def _list(items: list[Any]) -> list[Any]:
    _plain(items)
    return items


def _dict(machine: _Machine, items: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    machine.store(made, items)
    return made


def _unfolded(value: Any, limit: int) -> int:
    """Elements of a value where shared containers count each time; limit + 1 at most, or so.

    One container may be in itself: whoever follows it comes to no end, but not to ever more.
    """
    sizes: dict[int, int] = {}
    entered: set[int] = set()
    waiting, loops = [value], 0
    while waiting:
        top = waiting[-1]
        if id(top) in sizes:
            waiting.pop()
            continue
        inner = [v for v in _children(top) if type(v) in _CONTAINERS]
        if id(top) not in entered:
            entered.add(id(top))
            missing = [v for v in inner if id(v) not in sizes]
            loops += sum(id(v) in entered for v in missing)
            if loops > 1:
                raise _RefusedError("values that contain themselves")
            missing = [v for v in missing if id(v) not in entered]
            waiting += missing
            if missing:
                continue
        own = top.size if type(top) is np.ndarray else len(_children(top))
        sizes[id(top)] = min(limit + 1, 1 + own + sum(sizes.get(id(v), 0) for v in inner))
        waiting.pop()
    return sizes[id(value)]


def _children(value: Any) -> Sequence[Any]:
    if type(value) is dict:
        return [*value, *value.values()]
    return list(value) if type(value) in (list, tuple, set) else ()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def _long(raw: bytes) -> int:
    return int.from_bytes(raw, "little", signed=True)


def _quoted(line: bytes) -> bytes:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text without quotes")
    decoded: tuple[bytes, int] = codecs.escape_decode(line[1:-1])
    return decoded[0]


def _whole(line: bytes) -> int | bool:
    return line == b"01" if line in (b"00", b"01") else int(line)


_U1, _U2, _U4, _U8 = (struct.Struct(f"<{c}") for c in "BHIQ")
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")
_NUMBERS = {0x4B: _U1, 0x4D: _U2, 0x4A: _I4, 0x47: _F8}
_SIZED: dict[int, tuple[struct.Struct, Callable[[bytes], Any]]] = {
    0x55: (_U1, bytes), 0x54: (_I4, bytes),  # texts of Python 2
    0x58: (_U4, _text), 0x8C: (_U1, _text), 0x8D: (_U8, _text),
    0x43: (_U1, bytes), 0x42: (_U4, bytes), 0x8E: (_U8, bytes), 0x96: (_U8, bytearray),
    0x8A: (_U1, _long), 0x8B: (_I4, _long),
}  # fmt: skip
_LINES: dict[int, Callable[[bytes], Any]] = {
    0x46: float,
    0x49: _whole,
    0x4C: lambda line: int(line.rstrip(b"L")),
    0x53: _quoted,
    0x56: lambda line: line.decode("raw-unicode-escape"),
}
_OPS: dict[int, Callable[[_Machine], None]] = {
    **{c: _pushes(lambda m, f=f: m.number(f)) for c, f in _NUMBERS.items()},  # type: ignore[misc]
    **{c: _pushes(lambda m, f=f, d=d: d(m.sized(f))) for c, (f, d) in _SIZED.items()},  # type: ignore[misc]
    **{c: _pushes(lambda m, d=d: d(m.line())) for c, d in _LINES.items()},  # type: ignore[misc]
    0x4E: _pushes(lambda m: None),
    0x88: _pushes(lambda m: True),
    0x89: _pushes(lambda m: False),
    0x5D: _pushes(lambda m: []),
    0x7D: _pushes(lambda m: {}),
    0x29: _pushes(lambda m: ()),
    0x8F: _pushes(lambda m: set()),
    0x28: _Machine.mark,
    0x74: lambda m: m.make_tuple(m.since_mark()),
    0x85: lambda m: m.make_tuple(m.top_items(1)),
    0x86: lambda m: m.make_tuple(m.top_items(2)),
    0x87: lambda m: m.make_tuple(m.top_items(3)),
    0x6C: _pushes(lambda m: _list(m.since_mark())),
    0x64: _pushes(lambda m: _dict(m, m.since_mark())),
    0x61: lambda m: m.extend(m.top_items(1)),
    0x65: lambda m: m.extend(m.since_mark()),
    0x90: lambda m: m.extend(m.since_mark()),
    0x73: lambda m: m.assign(m.top_items(2)),
    0x75: lambda m: m.assign(m.since_mark()),
    0x70: lambda m: m.put(int(m.line())),
    0x71: lambda m: m.put(m.number(_U1)),
    0x72: lambda m: m.put(m.number(_U4)),
    0x94: lambda m: m.put(len(m.memo)),
    0x67: _pushes(lambda m: m.get(int(m.line()))),
    0x68: _pushes(lambda m: m.get(m.number(_U1))),
    0x6A: _pushes(lambda m: m.get(m.number(_U4))),
    0x63: _pushes(lambda m: _name(_text(m.line()), _text(m.line()))),
    0x93: _Machine.stack_global,
    0x52: _Machine.reduce,
    0x62: _Machine.build,
    0x80: lambda m: m.number(_U1),
    0x95: lambda m: m.number(_U8),
}
_REFUSED = {
    0x50: "a persistent object", 0x51: "a persistent object",
    0x69: "an instance of a class", 0x6F: "an instance of a class",
    0x81: "an instance of a class", 0x92: "an instance of a class",
    0x82: "an extension", 0x83: "an extension", 0x84: "an extension",
    0x97: "a buffer outside the file", 0x98: "a read-only buffer",
    0x30: "a discarded value", 0x31: "a discarded value", 0x32: "a doubled value",
    0x91: "a frozen set",
}  # fmt: skip
