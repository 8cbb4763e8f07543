"""The contract of an importer: a function from an official file or folder to a table."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from foretell.benchmarks._base import TableData
from foretell.errors import ForetellError, MissingDataError, TableFormatError, UsageError
from foretell.files import user_path
from foretell.registry import Registry
from foretell.spaces.rows import Duplicates

__all__ = ["Importer", "Progress", "importers", "quiet", "read_benchmark"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total) while a file is read, in files, lines or bytes."""

Importer: TypeAlias = Callable[[Path, Progress], TableData]
"""Reads a file or a folder; raises ``TableFormatError`` if it is not of its format."""

importers: Registry[Importer] = Registry("importer")
"""Name of a format -> its importer; facts: ``reads`` (which file or folder), ``space``, and
``takes``: which of ``arch`` and ``space`` the importer takes, because its columns have no fixed
names or its file holds several spaces."""


def quiet(done: int, total: int) -> None:
    """No progress."""


def read_benchmark(
    name: str,
    path: Path | str,
    progress: Progress = quiet,
    *,
    arch: str | None = None,
    space: str | None = None,
    duplicates: Duplicates | None = None,
    skip_unknown: bool = False,
) -> TableData:
    """The table in an official file or folder.

    Args:
        name: of the importer.
        path: file or folder, see the fact ``reads``.
        progress: called with (done, total).
        arch: the column that names the networks, or several with commas between; for formats
            without fixed names, by default found by its content.
        space: that the names belong to; likewise, and for formats of several spaces.
        duplicates: of several rows about one network their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture are left out.

    Raises:
        UnknownNameError: no importer of that name.
        UsageError: ``arch`` or ``space`` for a format with fixed ones, or no such column.
        MissingDataError: there is no such file or folder, or not all of it.
        TableFormatError: it is not of that format, truncated or corrupt.
        UnsafePickleError: a pickle contains code; nothing was run.
        MissingExtraError: the format needs a package that is not installed.
    """
    entry = importers.entry(name)
    path = user_path(path)
    if not path.exists():
        raise MissingDataError(
            f"There is no {str(path)!r}: give {entry.facts.get('reads', 'the official file')}."
        )
    importer = entry.load()
    options = {"arch": arch, "space": space, "duplicates": duplicates}
    given: dict[str, object] = {k: v for k, v in options.items() if v is not None}
    if skip_unknown:
        given["skip_unknown"] = True
    if given:
        takes = entry.facts.get("takes", ())
        left = [k for k in ("arch", "space") if k not in takes]
        left += [k.replace("_", "-") for k in given if k not in (*takes, "arch", "space")]
        if not set(given) <= set(takes):
            raise UsageError(
                f"The format {name!r} says itself what names the networks: leave "
                f"{' and '.join(left)} out."
            )
        importer = partial(importer, **given)
    try:
        return importer(path, progress)
    except ForetellError:
        raise
    except OSError as error:
        raise TableFormatError(
            f"{str(path)!r} cannot be read ({error}): look at its rights and the disk, or get the "
            f"file again."
        ) from error
    except Exception as error:  # whatever a file can still hold that no importer thought of
        raise TableFormatError(
            f"{str(path)!r} is not as {name!r} files are ({type(error).__name__}): get the "
            f"official file."
        ) from error
