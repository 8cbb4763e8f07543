"""Files of code that settings name, and those that these import from beside them."""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from foretell.types import Json

__all__ = ["CodeFiles", "changed", "code_files"]

CodeFiles: TypeAlias = Mapping[str, str]
"""Absolute path of a file -> the SHA-256 of its content; empty where it cannot be read."""

_FILE = re.compile(r"([^,+<>=|]+\.py):[A-Za-z_]")
_MODULE = re.compile(r"(?<![\w./])([A-Za-z_][\w.]*):[A-Za-z_]\w*$")


def code_files(settings: Json) -> dict[str, str]:
    """The files of code that settings lead to, with what else of their folders is loaded.

    Args:
        settings: any JSON; every text in it is looked at.
    """
    named = {path for text in _texts(settings) for path in _named(text)}
    folders = {path.parent for path in named}
    loaded = (getattr(m, "__file__", None) for m in list(sys.modules.values()))
    beside = {
        path
        for path in (Path(f) for f in loaded if isinstance(f, str))
        if path.suffix == ".py" and "site-packages" not in path.parts
        if any(folder in path.parents for folder in folders)
    }
    return {str(path): _hash(path) for path in sorted(named | beside)}


def changed(recorded: CodeFiles, settings: Json) -> str:
    """Which file is not as it was recorded, as the beginning of a sentence; empty if all are.

    Args:
        recorded: when the study was last run.
        settings: its settings.
    """
    for name, content in recorded.items():
        if (now := _hash(Path(name))) != content:
            return f"{name!r} is gone" if not now else f"{name!r} was changed"
    named = {str(path) for text in _texts(settings) for path in _named(text)}
    for name in sorted(named - recorded.keys()):
        return f"{name!r} was not used by it"
    return ""


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _named(text: str) -> Iterator[Path]:
    """Files that a text names: ``file.py:name`` anywhere in it, and modules that are loaded."""
    for match in _FILE.finditer(text):
        yield _path(match[1].strip())
    module = _MODULE.search(text)
    file = getattr(sys.modules.get(module[1]), "__file__", None) if module else None
    if isinstance(file, str) and "site-packages" not in Path(file).parts:
        yield Path(file).resolve()


def _path(text: str) -> Path:
    """The file; a first word with a colon, as of a data source, does not belong to it."""
    try:
        whole = Path(text).expanduser()
        rest = Path(text.partition(":")[2]).expanduser()
    except RuntimeError:  # no such home: the file is not there either
        return Path(text)
    return (rest if not whole.is_file() and rest.is_file() else whole).resolve()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
