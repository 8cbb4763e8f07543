"""The registry class of spaces, proxies, searchers and all other named objects.

An entry is frozen and has facts (plain values) and a citation. Its target may be an object, or a
``module:attribute`` string that is imported on first use. Plug-ins are found through the
entry-point group ``foretell.<kind>`` or, wherever a name is expected, through a string such as
``my_pkg.mine:thing`` or ``path/to/mine.py:thing``.
"""

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Generic, TypeVar, cast

from foretell.errors import (
    DuplicateNameError,
    PluginError,
    UnknownNameError,
    UntrustedError,
)
from foretell.files import user_path

__all__ = ["Entry", "Registry", "resolve", "short_name", "without_code"]

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered name with its target and facts.

    Args:
        name: the name users type.
        target: the object, or a ``module:attribute`` string.
        summary: one line.
        reference: paper and section, empty for our own.
        facts: plain values such as ``needs`` or ``data``.
    """

    name: str
    target: T | str
    summary: str = ""
    reference: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def load(self) -> T:
        """The target; imported if the entry holds a string.

        Raises:
            PluginError: the string cannot be imported.
        """
        if isinstance(self.target, str):
            return cast(T, _resolve(self.target))
        return self.target


class Registry(Generic[T]):
    """Names and their entries, in order of registration.

    Args:
        kind: singular noun for messages and for the entry-point group, such as "space".
    """

    def __init__(self, kind: str) -> None:
        """Start empty; entry points are read when a name is first looked up."""
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}
        self._points: set[str] = set()
        self._scanned = False

    def add(
        self, name: str, *, summary: str = "", reference: str = "", **facts: object
    ) -> Callable[[T], T]:
        """A decorator that registers what it decorates.

        Args:
            name: the name users type.
            summary: one line; by default the first line of the docstring.
            reference: paper and section.
            facts: plain values.

        Raises:
            DuplicateNameError: the name is taken.
        """

        def register(target: T) -> T:
            line = summary or (getattr(target, "__doc__", None) or "").strip().split("\n")[0]
            self.register(name, target, summary=line, reference=reference, **facts)
            return target

        return register

    def register(
        self, name: str, target: T | str, *, summary: str = "", reference: str = "", **facts: object
    ) -> None:
        """Register an object, or a string that leads to it.

        Raises:
            DuplicateNameError: the name is taken.
        """
        if name in self._entries:
            raise DuplicateNameError(self.kind, name)
        self._entries[name] = Entry(name, target, summary, reference, MappingProxyType(dict(facts)))

    def entry(self, name: str) -> Entry[T]:
        """The entry of a name, or one made from a ``module:attribute`` string.

        Raises:
            UnknownNameError: no such name; it carries the nearest ones.
            PluginError: a string with a colon cannot be imported.
        """
        self._scan()
        if name in self._points:
            self._import_point(name)
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            target = resolve(name)
            same = (e for e in self._entries.values() if e.target is target or e.target == name)
            registered = next(same, None)
            return registered or Entry(name, cast(T, target))
        raise UnknownNameError(
            self.kind, name, difflib.get_close_matches(name, self._entries, 3, 0.5), self._entries
        )

    def __getitem__(self, name: str) -> T:
        """The target of a name."""
        return self.entry(name).load()

    def __contains__(self, name: object) -> bool:
        """Whether the name is registered."""
        self._scan()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.names())

    def __len__(self) -> int:
        """Number of names."""
        self._scan()
        return len(self._entries)

    def names(self, **facts: object) -> tuple[str, ...]:
        """Names whose facts equal those given, in order of registration."""
        self._scan()
        return tuple(
            n
            for n, e in self._entries.items()
            if all(e.facts.get(k) == v for k, v in facts.items())
        )

    def entries(self) -> tuple[Entry[T], ...]:
        """Every entry, in order of registration."""
        self._scan()
        return tuple(self._entries.values())

    def _scan(self) -> None:
        if self._scanned:
            return
        self._scanned = True
        for point in entry_points(group=f"foretell.{self.kind}"):
            there = self._entries.get(point.name)
            if there is not None and there.target is _imported(point.value):
                continue
            self.register(point.name, point.value, summary=f"from {point.value}")
            self._points.add(point.name)

    def _import_point(self, name: str) -> None:
        """Import the module of an entry point, which may register the name with its facts."""
        self._points.remove(name)
        bare = self._entries.pop(name)
        try:
            bare.load()
        finally:
            self._entries.setdefault(name, bare)


def _imported(text: str) -> object:
    """The object of ``module:attribute`` if that module is already imported, else None."""
    module, _, attribute = text.partition(":")
    return getattr(sys.modules.get(module), attribute, None)


def resolve(text: str) -> object:
    """The object that ``package.module:attribute`` or ``path/to/file.py:attribute`` names.

    A file is imported once per path and stays importable by worker processes through the same text.

    Raises:
        PluginError: no such file, module or attribute, or the import itself failed (then chained).
        UntrustedError: within ``without_code``, for everything but this library's own modules.
    """
    if (why := _refused.get()) and not text.startswith("foretell."):
        raise UntrustedError(f"{text!r} is code, which was not run because {why}.")
    return _resolve(text)


@contextmanager
def without_code(why: str) -> Iterator[None]:
    """Within the block texts lead to this library and installed plug-ins only.

    Args:
        why: what ends the sentence of the error.
    """
    token = _refused.set(why)
    try:
        yield
    finally:
        _refused.reset(token)


_refused: ContextVar[str] = ContextVar("refused", default="")


def _resolve(text: str) -> object:
    location, _, attribute = text.rpartition(":")
    if not location or not attribute:
        raise PluginError(
            f"{text!r} is neither a known name nor of the form module:attribute or "
            f"file.py:attribute."
        )
    try:
        module = (
            _import_file(Path(location)) if location.endswith(".py") else _import_name(location)
        )
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(
            f"Importing {location!r} raised {type(error).__name__}: {error}. Mend that file, then "
            f"run again."
        ) from error
    target: object = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            names = [n for n in vars(module) if not n.startswith("_")]
            near = difflib.get_close_matches(part, names, 3, 0.5) or names[:5]
            raise PluginError(
                f"{location!r} has no attribute {part!r}: it has {', '.join(near) or 'none'}."
            )
        target = getattr(target, part)
    return target


def short_name(text: str) -> str:
    """The name to show: of ``path/to/mine.py:proxy``, the part after the colon."""
    return text.rpartition(":")[2]


def _import_name(name: str) -> ModuleType:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise PluginError(
                f"No module named {name!r}: give an installed module, or a file such as "
                f"my_space.py:space."
            ) from error
        raise


def _import_file(path: Path) -> ModuleType:
    path = user_path(path).resolve()
    if not path.is_file():
        raise PluginError(f"There is no file {str(path)!r}: give the path of a Python file.")
    tag = hashlib.blake2b(str(path).encode(), digest_size=6).hexdigest()
    name = f"_foretell_file_{path.stem}_{tag}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{str(path)!r} cannot be imported as a Python file.")
    if (folder := str(path.parent)) not in sys.path:
        sys.path.append(folder)  # it may import files beside it, which hide no installed package
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
