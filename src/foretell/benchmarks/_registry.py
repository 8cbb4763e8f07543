"""The registry of benchmarks: facts, locations of tables, and how to get them."""

import difflib
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from foretell.benchmarks._base import Benchmark
from foretell.benchmarks._official import OFFICIAL
from foretell.benchmarks.download import Link, Progress, download
from foretell.benchmarks.table import ENDING, Table, check_name, check_path, write_table
from foretell.errors import (
    BenchmarkError,
    DownloadError,
    MissingDataError,
    PluginError,
    UnknownNameError,
)
from foretell.files import user_path
from foretell.registry import Registry
from foretell.spaces.rows import Duplicates

__all__ = [
    "Opener",
    "benchmarks",
    "download_benchmark",
    "home",
    "how_to_get",
    "import_benchmark",
    "imported",
    "open_benchmark",
    "table_path",
]

Opener: TypeAlias = Callable[[], Benchmark]

benchmarks: Registry[Opener] = Registry("benchmark")
"""Name -> function that opens it; facts: ``space``, ``architectures`` and ``links``.

A plug-in registers a function without arguments that returns a ``Benchmark``.
"""

EMBEDDED = "digits-nb201"


def home() -> Path:
    """The folder of imported tables: $FORETELL_BENCHMARKS, or one in the user's data folder."""
    if named := os.environ.get("FORETELL_BENCHMARKS"):
        return user_path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("foretell")) / "benchmarks"


def imported() -> tuple[str, ...]:
    """Names of the tables in the home folder."""
    return tuple(sorted(p.stem for p in home().glob(f"*{ENDING}") if not p.name.startswith(".")))


def table_path(name: str) -> Path:
    """Path of the table of a name, also before it is imported."""
    if name == EMBEDDED:
        return Path(__file__).with_name("digits_nb201" + ENDING)
    return home() / (name + ENDING)


def open_benchmark(name: str | Path) -> Benchmark:
    """The benchmark of a name or of a file.

    Args:
        name: a registered name, the name of an imported table, the path of a ``.foretell`` file, or
            ``file.py:attribute`` or ``module:attribute`` that names a ``Benchmark`` or a function
            without arguments that returns one.

    Raises:
        UnknownNameError: nothing has that name.
        MissingDataError: its table is not on this machine; the message says how to get it.
        TableFormatError: the file is corrupt, or of another version.
        PluginError: the text cannot be imported, or is no benchmark.
    """
    text = str(name)
    if text not in benchmarks:
        if text.endswith(ENDING) or Path(text).is_file():
            return Table.open(text)
        if text in imported():
            return Table.open(table_path(text))
        if ":" not in text:
            names = (*benchmarks, *(n for n in imported() if n not in benchmarks))
            near = difflib.get_close_matches(text, names, 3, 0.5)
            raise UnknownNameError("benchmark", text, near, names)
    target: object = benchmarks[text]
    if not isinstance(target, Benchmark) and callable(target):
        target = target()
    if not isinstance(target, Benchmark):
        raise PluginError(
            f"{text!r} is a {type(target).__name__}, but a foretell.benchmarks.Benchmark is "
            f"expected, or a function without arguments that returns one."
        )
    return target


def import_benchmark(
    importer: str,
    source: Path | str,
    *,
    name: str | None = None,
    out: Path | str | None = None,
    arch: str | None = None,
    space: str | None = None,
    duplicates: Duplicates | None = None,
    skip_unknown: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Import an official file or folder as a table.

    Args:
        importer: name of its format.
        source: the file or folder.
        name: of the table; by default given by the importer.
        out: file to write; by default NAME.foretell in the home folder.
        arch: the column that names the networks, for formats without fixed names.
        space: of the architectures, likewise.
        duplicates: of several rows about one network their "mean", the "first", or "refuse" (the
            default); for tables of one row a network.
        skip_unknown: whether rows that name no architecture of the space are left out, likewise.
        progress: called with (done, total).

    Returns:
        The path of the table.

    Raises:
        UnknownNameError: no such format.
        UsageError: no such column, or ``arch`` or ``space`` for a format with fixed ones.
        MissingDataError: there is no such file or folder, or not all of it.
        TableFormatError: it is not of that format, truncated or corrupt.
        UnsafePickleError: a pickle contains code; nothing was run.
        BenchmarkError: it cannot be stored under that name or path.
    """
    from foretell.benchmarks.importers import read_benchmark

    if name is not None:
        check_name(name)
    if out is not None:
        check_path(out)
    data = read_benchmark(
        importer,
        source,
        progress,
        arch=arch,
        space=space,
        duplicates=duplicates,
        skip_unknown=skip_unknown,
    )
    if name is not None:
        data = replace(data, name=name)
    if data.name == EMBEDDED and out is None:
        raise BenchmarkError(
            f"{EMBEDDED!r} is the embedded table's name: choose another one, or a file to write."
        )
    return write_table(data, table_path(data.name) if out is None else out)


def download_benchmark(
    name: str,
    folder: Path | str | None = None,
    *,
    file: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Download a publisher's file for import.

    Args:
        name: of a registered benchmark.
        folder: target; by default ``downloads`` in the home folder.
        file: which of its files; by default the first.
        progress: called with (bytes done, bytes in all).

    Returns:
        The path of the file.

    Raises:
        UnknownNameError: no such benchmark or file.
        DownloadError: no address is known, the host needs a browser, refuses, or fails too often,
            or the file differs from the publisher's.
        OSError: the file cannot be written.
    """
    entry = benchmarks.entry(name)
    links: tuple[Link, ...] = entry.facts.get("links", ())
    if not links:
        raise DownloadError(f"There is nothing to download for {name!r}: {how_to_get(name)}.")
    files = {link.file: link for link in links}
    if file is not None and file not in files:
        raise UnknownNameError("file", file, difflib.get_close_matches(file, files), files)
    link = files[file or links[0].file]
    target = user_path(folder) if folder is not None else home() / "downloads"
    if link.browser and not (target / link.file).exists():
        archive = link.file.endswith((".tar", ".zip"))
        raise DownloadError(
            f"{link.file} has to be fetched with a browser: open {link.url}, save it as "
            f"{str(target / link.file)!r}{', unpack it there' if archive else ''}, then run: "
            f"foretell benchmark import {name} {'FOLDER' if archive else target / link.file}"
        )
    return download(link, target, progress=progress)


def how_to_get(name: str) -> str:
    """How to get the table of a registered benchmark, as part of a sentence."""
    facts = benchmarks.entry(name).facts
    if name == EMBEDDED:
        return f"make it with 'foretell benchmark build {name} --out FILE', and open that file"
    if not facts.get("links"):
        return "its plug-in provides it"
    first: Link = facts["links"][0]
    fetch = f"run 'foretell benchmark download {name}'"
    if first.browser:
        fetch = f"get {first.file} from {first.url} with a browser"
    return f"{fetch}, then 'foretell benchmark import {name} PATH'"


def _open(name: str) -> Benchmark:
    path = table_path(name)
    if not path.is_file():
        raise MissingDataError(f"The table of {name!r} is not on this machine: {how_to_get(name)}.")
    return Table.open(path)


benchmarks.register(
    EMBEDDED,
    partial(_open, EMBEDDED),
    summary="NAS-Bench-201 cells on 8x8 digits: curves, attacks, proxies; trained by foretell",
    space="nb201",
)
for _it in OFFICIAL:
    benchmarks.register(
        _it.name,
        partial(_open, _it.name),
        summary=_it.summary,
        reference=_it.reference,
        space=_it.space,
        architectures=_it.architectures,
        links=_it.links,
    )
del _it
