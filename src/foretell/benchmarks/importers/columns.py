"""CSV and Parquet files with one row per network, or per network and epoch."""

import csv
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._pivot import Columns, make_table
from foretell.errors import MissingExtraError, TableFormatError
from foretell.spaces.rows import Duplicates, listed
from foretell.types import Array

__all__ = ["read_csv", "read_parquet"]

_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?", re.ASCII)
_EMPTY = frozenset(("", "nan", "none", "null", "na", "n/a", "-"))
_TRUTH = {"true": 1.0, "false": 0.0}
_MOST_ROWS = 20_000_000
_LONGEST_CURVE = 100_000


@importers.add(
    "csv",
    summary="any CSV table with a column that names the networks",
    reads="a .csv file with a header",
    space="",
    takes=("arch", "space", "duplicates", "skip_unknown"),
)
def read_csv(
    path: Path,
    progress: Progress,
    *,
    arch: str | None = None,
    space: str | None = None,
    duplicates: Duplicates = "refuse",
    skip_unknown: bool = False,
) -> TableData:
    """A CSV table: every column of numbers is a metric.

    Args:
        path: of the file; a first row with a number in it is no header.
        progress: called with rows.
        arch: the column that names the networks; see ``docs/benchmark-formats.md``.
        space: that the names belong to.
        duplicates: of several rows about one network their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture of the space are left out.

    Raises:
        TableFormatError: the file is no such table.
        UsageError: there is no such column.
        ArchError: a name is no architecture of the space that was asked for.
    """
    names, rows, first_row = _rows(path)
    progress(0, len(rows))
    texts: dict[str, list[str]] = {}
    numbers: dict[str, Array] = {}
    for column, name in enumerate(names):
        cells = [row[column] for row in rows]
        values = _numbers(cells)
        if values is None:
            texts[name] = cells
        else:
            numbers[name] = values
    table = make_table(
        path.stem,
        Columns(path.name, texts, numbers, {}, first_row),
        arch=arch,
        space=space,
        source=path.name,
        duplicates=duplicates,
        skip_unknown=skip_unknown,
    )
    progress(len(rows), len(rows))
    return table


def _rows(path: Path) -> tuple[list[str], list[list[str]], int]:
    """Names of columns, cells, and the number of the first row after the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = [r for r in csv.reader(io.StringIO(text, newline=""), strict=True) if r]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableFormatError(f"{path.name} cannot be read as a CSV table: {error}.") from error
    if not rows:
        raise TableFormatError(f"{path.name} is empty: give a table with a header.")
    header = rows[0]
    if any(_number(cell) is not None for cell in header):
        header, first_row = [f"column{i}" for i in range(len(header))], 1
    else:
        rows, first_row = rows[1:], 2
    odd = [line for line, row in enumerate(rows, first_row) if len(row) != len(header)]
    if odd:
        cells = len(rows[odd[0] - first_row])
        raise TableFormatError(
            f"{path.name}, {listed(odd)}: {cells} cells, but the header has {len(header)}."
        )
    names = [name or f"column{i}" for i, name in enumerate(header)]
    if len(set(names)) != len(names):
        raise TableFormatError(f"{path.name} has two columns of one name: rename one of them.")
    return names, rows, first_row


def _numbers(cells: Sequence[str]) -> Array | None:
    """A column as numbers; None if a cell is text, or all are empty."""
    values = np.full(len(cells), np.nan)
    empty = True
    for i, cell in enumerate(cells):
        text = cell.strip().lower()
        if text in _EMPTY:
            continue
        value = _TRUTH.get(text, _number(text))
        if value is None:
            return None
        values[i], empty = value, False
    return None if empty else values


def _number(text: str) -> float | None:
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


@importers.add(
    "parquet",
    summary="any Parquet table with a column that names the networks; lists are curves",
    reads="a .parquet file",
    space="",
    takes=("arch", "space", "duplicates", "skip_unknown"),
)
def read_parquet(
    path: Path,
    progress: Progress,
    *,
    arch: str | None = None,
    space: str | None = None,
    duplicates: Duplicates = "refuse",
    skip_unknown: bool = False,
) -> TableData:
    """A Parquet table: every column of numbers is a metric, every list of numbers a curve.

    Args:
        path: of the file.
        progress: called with rows.
        arch: the column that names the networks; see ``docs/benchmark-formats.md``.
        space: that the names belong to.
        duplicates: of several rows about one network their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture of the space are left out.

    Raises:
        MissingExtraError: the extra ``store`` is not installed.
        TableFormatError: the file is no such table.
        UsageError: there is no such column.
        ArchError: a name is no architecture of the space that was asked for.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("duckdb", "store", "Reading Parquet") from error
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        if head != b"PAR1" or file.read() != b"PAR1":
            raise TableFormatError(f"{path.name} is no whole Parquet file: get it again.")
    try:
        with duckdb.connect(config={"memory_limit": "2GB", "threads": 1}) as db:
            columns = _fetch(db, path, progress)
    except (duckdb.Error, UnicodeDecodeError, ValueError, MemoryError, OverflowError) as error:
        raise TableFormatError(
            f"{path.name} cannot be read as Parquet ({str(error)[:200]}): get it again."
        ) from error
    return make_table(
        path.stem,
        columns,
        arch=arch,
        space=space,
        source=path.name,
        duplicates=duplicates,
        skip_unknown=skip_unknown,
    )


def _fetch(db: Any, path: Path, progress: Progress) -> Columns:
    db.execute("SET autoinstall_known_extensions = false")
    described = db.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    (rows,) = db.execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone()
    if rows > _MOST_ROWS:
        raise TableFormatError(f"{path.name} claims {rows} rows: no benchmark has so many.")
    texts: dict[str, list[str]] = {}
    numbers: dict[str, Array] = {}
    curves: dict[str, Array] = {}
    for done, (name, kind, *_) in enumerate(described):
        progress(done, len(described))
        quoted = '"' + name.replace('"', '""') + '"'
        lists = kind.endswith("]")
        inner = re.sub(r"\(.*\)|\[[0-9]*\]", "", kind)
        if inner in _NUMBER_TYPES and not lists:
            values = _column(db, path, f"CAST({quoted} AS DOUBLE)")
            numbers[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        elif inner in _NUMBER_TYPES and kind.count("[") == 1:
            curves[name] = _curve(_column(db, path, f"CAST({quoted} AS DOUBLE[])"), path.name)
        else:
            form = f"lower(hex({quoted}))" if kind == "BLOB" else f"CAST({quoted} AS VARCHAR)"
            texts[name] = ["" if v is None else v for v in _column(db, path, form)]
        if rows != len(texts.get(name, numbers.get(name, curves.get(name, ())))):
            raise TableFormatError(f"{path.name}: the column {name!r} is cut off.")
    progress(len(described), len(described))
    return Columns(path.name, texts, numbers, curves)


_NUMBER_TYPES = frozenset((
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
    "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL",
))  # fmt: skip


def _column(db: Any, path: Path, form: str) -> list[Any]:
    rows = db.execute(f"SELECT {form} FROM read_parquet(?)", [str(path)]).fetchall()
    return [row[0] for row in rows]


def _curve(lists: list[list[float | None] | None], what: str) -> Array:
    longest = max((len(v) for v in lists if v), default=0)
    if longest > _LONGEST_CURVE:
        raise TableFormatError(f"{what}: a list of {longest} numbers is no curve.")
    made = np.full((len(lists), max(longest, 2)), np.nan)
    for row, values in enumerate(lists):
        for column, value in enumerate(values or ()):
            made[row, column] = np.nan if value is None else value
    return made
