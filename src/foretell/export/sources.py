"""The files from which a network can be built again: its builder's, and what that imports."""

import ast
import contextlib
import importlib.machinery
import importlib.util
import keyword
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from foretell.arch import Arch
from foretell.errors import ForetellError
from foretell.files import user_path
from foretell.registry import resolve
from foretell.spaces import Skeleton, Space, get_space
from foretell.training import loop

__all__ = ["FOLDER", "Source", "source_of"]

FOLDER = "source"
"""The folder beside ``train.py`` that holds a user's files."""
_OWN = ("train", "loop", "cells")
"""Names of modules that a builder's file cannot have."""


@dataclass(frozen=True)
class Source:
    """How a network is built from files alone.

    Either ``target`` is called with ``arguments``; or, where the builder has no name of its own,
    ``space`` leads to the search space and ``builder`` to what it calls.

    Args:
        target: ``module:name``, in ``files`` or in an installed package; empty with ``space``.
        arguments: what the target is called with.
        files: name of a module -> the file to copy.
        users: whether the files are a user's, who may import this library.
        space: ``module:name`` of the space, in ``files``; empty with ``target``.
        builder: ``module:name`` of its network's function; empty for the one the space names.
        roots: folders from which the files were imported.
    """

    target: str = ""
    arguments: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    files: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    users: bool = True
    space: str = ""
    builder: str = ""
    roots: tuple[Path, ...] = ()

    @property
    def copies(self) -> dict[str, str]:
        """Name of a module -> its copy's file below the exported folder."""
        if not self.users:
            return {name: file.name for name, file in self.files.items()}
        return {name: f"{FOLDER}/{_place(name, file)}" for name, file in self.files.items()}


def _place(name: str, file: Path) -> str:
    path = name.replace(".", "/")
    if file.is_dir():
        return path
    return f"{path}/__init__.py" if file.name == "__init__.py" else f"{path}.py"


def source_of(arch: Arch, skeleton: Skeleton) -> Source | None:
    """How the network of an architecture is built without this library, or at least from files.

    None for a space of an installed package that does not say it, and for one that no file holds.
    """
    space = get_space(arch.space)
    if not space.network:
        return None
    hook = f"{space.network.rpartition(':')[0]}:standalone"
    standalone: Any = None
    with contextlib.suppress(ForetellError):  # a space from elsewhere need not say it
        standalone = cast(Any, resolve(hook))(space, arch, skeleton)
    if standalone is None:
        return _of_space(space)
    target, arguments, others = standalone
    location, _, name = target.rpartition(":")
    if not location.endswith(".py"):
        return Source(target, arguments)
    file = Path(location)
    if Path(loop.__file__).parent.parent in file.parents:
        files = {Path(f).stem: Path(f) for f in (location, *others)}
        return Source(f"{file.stem}:{name}", arguments, files, users=False)
    module, files, roots = _gather(file)
    for other in map(Path, others):
        files.setdefault(other.stem, other)
    return Source(f"{module}:{name}", arguments, files, roots=roots)


def _of_space(space: Space) -> Source | None:
    """The space itself, where a file holds it: its builder has no name, or takes the space."""
    location, _, name = space.name.rpartition(":")
    if not location.endswith(".py") or not user_path(location).is_file():
        return None
    module, files, roots = _gather(user_path(location).resolve())
    place, _, function = space.builder().rpartition(":")
    if not place.endswith(".py"):
        return Source(files=files, space=f"{module}:{name}", roots=roots)
    builder, more, further = _gather(user_path(place).resolve())
    return Source(
        files={**more, **files},
        space=f"{module}:{name}",
        builder=f"{builder}:{function}",
        roots=tuple(dict.fromkeys((*roots, *further))),
    )


def _gather(file: Path) -> tuple[str, dict[str, Path], tuple[Path, ...]]:
    """A file and every file of the user's that it imports, directly or by way of others.

    Returns:
        The file's name as a module, module -> file, and the folders that they were imported from.
    """
    own = _name_for(file)
    files = {own: file}
    roots = {file.parent}
    todo = [(own, file)]
    while todo:
        module, path = todo.pop()
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for name in _imported(path, package):
            found = None if name in files else _users_file(name, file.parent)
            if found is None:
                continue
            files[name] = found
            depth = name.count(".") + (found.name == "__init__.py" or found.is_dir())
            roots.add(found.parents[depth] if not found.is_dir() else found.parents[depth - 1])
            if found.is_file():
                todo.append((name, found))
    return own, files, tuple(sorted(roots))


def _name_for(file: Path) -> str:
    """The name of a builder's file as a module: its own, unless that is taken or no name at all."""
    stem = file.stem
    usable = stem.isidentifier() and not keyword.iskeyword(stem) and stem not in _OWN
    if usable and _installed(stem) is None:
        return stem
    return "user_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in stem)


def _imported(file: Path, package: str) -> Iterator[str]:
    """Names of all modules that a file may import, packages before what is in them."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).strip(".")
            names = [base, *(f"{base}.{a.name}" for a in node.names if a.name != "*")]
        for name in filter(None, names):
            parts = name.split(".")
            yield from (".".join(parts[:i]) for i in range(1, len(parts) + 1))


def _users_file(name: str, beside: Path) -> Path | None:
    """The file of a module that belongs to no installed package; None for any other name."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if module is None:
        spec = _spec(name, [str(beside), *sys.path])
    if spec is None:
        return None
    where: str | None = getattr(module, "__file__", None) or spec.origin
    if where in (None, "namespace") and spec.submodule_search_locations:
        where = next(iter(spec.submodule_search_locations))
    if where is None or where in ("built-in", "frozen"):
        return None
    path = Path(where).resolve()
    ours = Path(loop.__file__).resolve().parent.parent
    usable = path.is_dir() or (path.is_file() and path.suffix == ".py")
    return path if usable and ours not in path.parents and not _is_installed(path) else None


def _spec(name: str, path: list[str]) -> importlib.machinery.ModuleSpec | None:
    """Where a module that was not imported lies; nothing is imported for it."""
    top, _, rest = name.partition(".")
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return None
    spec = importlib.machinery.PathFinder.find_spec(top, path)
    while spec is not None and rest:
        part, _, rest = rest.partition(".")
        inside = spec.submodule_search_locations
        name = f"{spec.name}.{part}"
        spec = importlib.machinery.PathFinder.find_spec(name, inside) if inside else None
    return spec


def _installed(name: str) -> Path | None:
    """Where a module of the standard library or of an installed package lies."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return Path(sys.prefix)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    return path if _is_installed(path) else None


def _is_installed(path: Path) -> bool:
    """Whether a file is part of the interpreter or of an installed package."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    folders = (sysconfig.get_path(n) for n in ("stdlib", "platstdlib", "purelib", "platlib"))
    return any(Path(f).resolve() in path.parents for f in folders if f)
