"""Reading and writing tables: CSV, JSON lines, and Parquet with an extra."""

import csv
import io
import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foretell.arch import Arch
from foretell.errors import DataError, DataWarning, MissingExtraError, UsageError
from foretell.files import user_path, whole
from foretell.spaces import Space
from foretell.spaces.rows import Duplicates, check_units, listed, merge, parse_rows
from foretell.types import Array, Json

__all__ = ["check_table_path", "plain", "read_archs", "read_values", "write_table"]

Columns = Mapping[str, Sequence[object]]
_EMPTY = frozenset(("", "nan", "none", "null", "na", "n/a", "-"))
"""Cells without a value, in lower case."""


def write_table(path: Path | str, columns: Columns) -> Path:
    """Write a table atomically.

    Args:
        path: ends in .csv, .json (one object per line) or .parquet.
        columns: name -> values, all of one length; NaN and None become empty cells or nulls.

    Raises:
        UsageError: another extension.
        MissingExtraError: Parquet without the extra ``store``.
        OSError: the file cannot be written.
    """
    path = check_table_path(path)
    rows = zip(*columns.values(), strict=True)
    with whole(path) as draft:
        if path.suffix == ".csv":
            draft.write_text(_csv(columns, rows), encoding="utf-8")
        elif path.suffix == ".json":
            lines = (
                json.dumps(dict(zip(columns, map(plain, r), strict=True)), allow_nan=False)
                for r in rows
            )
            draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            _parquet(draft, columns)
    return path


def check_table_path(path: Path | str) -> Path:
    """The path, if a table can be written there; for a check before a long run.

    Raises:
        UsageError: an unknown extension, or a missing folder.
        MissingExtraError: Parquet without the extra ``store``.
    """
    path = user_path(path)
    if path.suffix not in (".csv", ".json", ".parquet"):
        raise UsageError(
            f"{path.name!r} ends in {path.suffix or 'nothing'}: a table is written as .csv, "
            f".json or .parquet."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"There is no folder {str(path.parent)!r} to write {path.name} to: make it first."
        )
    if path.suffix == ".parquet":
        _duckdb("Writing Parquet")
    return path


def _duckdb(purpose: str) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("duckdb", "store", purpose) from error
    return duckdb


def plain(value: object) -> object:
    """A cell as a JSON value: NaN as None, infinities as text, numpy scalars as Python's."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else str(value)
    return value


def _csv(columns: Columns, rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(["" if plain(v) is None else plain(v) for v in row] for row in rows)
    return text.getvalue()


def _parquet(path: Path, columns: Columns) -> None:
    duckdb = _duckdb("Writing Parquet")
    with duckdb.connect() as db:
        arrays = {name: np.array(list(values)) for name, values in columns.items()}
        for name, values in arrays.items():
            if values.dtype.kind not in "biuf":
                arrays[name] = np.array([str(v) for v in values], dtype=object)
        db.register("made", arrays)
        db.execute(f"COPY made TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)")


def read_archs(
    path: Path | str, space: Space, *, arch: str = "arch", skip_unknown: bool = False
) -> list[Arch]:
    """The architectures of a file.

    Args:
        path: .json or .jsonl (an object as ``Arch.to_json`` writes, a list of them, or one per
            line), .csv or .parquet with a column of architectures, or any other text with one per
            line.
        space: whose texts they are.
        arch: name of that column.
        skip_unknown: whether entries that are no architecture are left out, with a ``DataWarning``.

    Raises:
        DataError: the file cannot be read, or has no such column.
        ArchError: entries are no architectures; all their rows are named.
        MissingExtraError: Parquet without the extra ``store``.
    """
    path = user_path(path)
    try:
        texts, rows = _texts(path, arch)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, csv.Error) as error:
        raise DataError(f"{str(path)!r} cannot be read as a list of architectures: {error}.") from (
            error
        )
    if not texts:
        raise DataError(f"{str(path)!r} holds no architecture: write one per line.")
    archs, _, note = parse_rows(
        space, texts, rows, path.name, skip_unknown=skip_unknown, noun="entry"
    )
    _warn(note)
    return archs


def read_values(
    path: Path | str,
    space: Space,
    column: str | None = None,
    *,
    arch: str = "arch",
    duplicates: Duplicates = "refuse",
    skip_unknown: bool = False,
) -> tuple[list[Arch], Array, str]:
    """Measured architectures, their values, and the name of the column.

    What can be used but may not be meant is a ``DataWarning``: rows without a value, which are left
    out, merged rows, skipped ones, and fractions among per cents.

    Args:
        path: .csv, .json (one object per line) or .parquet with a column of architectures and
            others.
        space: whose texts they are.
        column: of the values; by default the only other column of numbers.
        arch: name of the column of architectures.
        duplicates: of several rows about one architecture their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture are left out.

    Returns:
        Architectures, (n,) values and the column's name.

    Raises:
        DataError: the file cannot be read, has no such columns or two of one name, values are no
            numbers or all equal, or an architecture stands in several rows.
        ArchError: entries are no architectures; all their rows are named.
        MissingExtraError: Parquet without the extra ``store``.
    """
    path = user_path(path)
    try:
        rows = _rows(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a table: {error}.") from error
    names = dict.fromkeys(name for row in rows for name in row)
    if arch not in names:
        raise DataError(
            f"{str(path)!r} has no column {arch!r} but {_named(names)}: name that of the "
            f"architectures (--arch), with one in each row."
        )
    name = column or _only_numbers(rows, names, arch, path)
    if name not in names:
        raise DataError(f"{path.name} has no column {name!r}: it has {_named(names)}.")
    cells = [row.get(name) for row in rows]
    numbers = list(range(2, len(rows) + 2) if path.suffix == ".csv" else range(1, len(rows) + 1))
    bad = [i for i, cell in enumerate(cells) if not _empty(cell) and _number(cell) is None]
    if bad:
        raise DataError(
            f"{name} is no number in {len(bad)} of {len(cells)} rows of {path.name} "
            f"({listed([numbers[i] for i in bad])}), first {str(cells[bad[0]])[:60]!r}: mend them, "
            f"or empty the cells to leave the rows out."
        )
    used = [i for i, cell in enumerate(cells) if not _empty(cell)]
    if len(used) < len(cells):
        left = [numbers[i] for i, cell in enumerate(cells) if _empty(cell)]
        _warn(f"{len(left)} rows of {path.name} have no {name} and are left out ({listed(left)}).")
    if not used:
        raise DataError(f"{path.name} has no value in the column {name!r}: measure some.")
    texts = ["" if rows[i].get(arch) is None else str(rows[i][arch]) for i in used]
    found = [numbers[i] for i in used]
    archs, index, note = parse_rows(space, texts, found, path.name, skip_unknown=skip_unknown)
    _warn(note)
    values = np.array([_number(cells[used[i]]) for i in index], dtype=np.float64)
    found = [found[i] for i in index]
    _warn(check_units(values, found, f"{name} in {path.name}"))
    first, merged, double = merge(archs, values[:, None], found, duplicates)
    if double and duplicates == "refuse":
        raise DataError(
            f"{len(double)} rows of {path.name} are about architectures that stand in earlier rows "
            f"({listed(double)}): remove them, or choose --duplicates mean or first."
        )
    if double:
        what = "averaged with" if duplicates == "mean" else "left out for"
        _warn(f"{len(double)} rows of {path.name} were {what} earlier ones ({listed(double)}).")
    values = merged[:, 0]
    if len(values) > 1 and (values == values[0]).all():
        raise DataError(
            f"All {len(values)} values of {name} in {path.name} are {values[0]:g}: nothing can be "
            f"learned from them. Is it the right column (--value)?"
        )
    return [archs[i] for i in first], values, name


def _warn(sentence: str) -> None:
    if sentence:
        warnings.warn(sentence, DataWarning, stacklevel=3)


def _named(names: Iterable[str]) -> str:
    """Names of columns for a message."""
    shown = [repr(str(n)[:40]) for n in names]
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "") if shown else "none"


def _empty(value: object) -> bool:
    return value is None or str(value).strip().lower() in _EMPTY


def _only_numbers(
    rows: Sequence[Mapping[str, object]], names: Iterable[str], arch: str, path: Path
) -> str:
    """The only column of numbers beside the architectures."""
    columns = [
        n
        for n in names
        if n != arch
        and any(not _empty(r.get(n)) for r in rows)
        and all(_empty(r.get(n)) or _number(r.get(n)) is not None for r in rows)
    ]
    if len(columns) != 1:
        raise DataError(
            f"{path.name} should have one column of numbers beside {arch!r}, but has "
            f"{_named(columns)}: say which one was measured (--value)."
        )
    return columns[0]


def _number(value: object) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in str(value) else None


def _rows(path: Path) -> list[dict[str, object]]:
    """The rows of a table file.

    Raises:
        ValueError: it is no table; the message says why.
        OSError: it cannot be read.
    """
    if path.suffix == ".parquet":
        duckdb = _duckdb("Reading Parquet")
        try:
            with duckdb.connect() as db:
                result = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
                names = [d[0] for d in result.description]
                return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except duckdb.Error as error:
            raise ValueError(str(error)) from error
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix in (".json", ".jsonl"):
        lines = [
            json.loads(line, object_pairs_hook=_once) for line in text.splitlines() if line.strip()
        ]
        if not all(isinstance(line, dict) for line in lines):
            raise ValueError("expected one JSON object per line")
        return lines
    return _csv_rows(text)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose names stand once."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("an object has two values of one name")
    return made


def _csv_rows(text: str) -> list[dict[str, object]]:
    """Rows of a CSV text by the names of its header, which is row 1."""
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return []
    names = [name.strip() for name in lines[0]]
    if double := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two columns are called {double[0]!r}: rename or remove one")
    odd = [i for i, line in enumerate(lines[1:], 2) if len(line) != len(names)]
    if odd:
        raise ValueError(
            f"{listed(odd)} of it have another number of cells than the header's {len(names)}"
        )
    return [dict(zip(names, line, strict=True)) for line in lines[1:]]


def _texts(path: Path, arch: str) -> tuple[list[str], list[int]]:
    """Texts of architectures, and the numbers of their rows."""
    if path.suffix == ".parquet":
        texts = _parquet_column(path, arch)
        return texts, list(range(1, len(texts) + 1))
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        rows = _csv_rows(text)
        if not rows or arch not in rows[0]:
            raise DataError(
                f"{str(path)!r} has no column {arch!r}: name that of the architectures (--arch), "
                f"with one in each row."
            )
        return [str(row[arch]) for row in rows], list(range(2, len(rows) + 2))
    if path.suffix == ".json":
        try:
            data: Json = json.loads(text)
        except ValueError:
            data = None
        if isinstance(data, dict):
            return [json.dumps(data)], [1]
        if isinstance(data, list):
            texts = [d if isinstance(d, str) else json.dumps(d) for d in data]
            return texts, list(range(1, len(texts) + 1))
    lines = [(line, i) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [line for line, _ in lines], [i for _, i in lines]


def _parquet_column(path: Path, arch: str) -> list[str]:
    duckdb = _duckdb("Reading Parquet")
    quoted = '"' + arch.replace('"', '""') + '"'
    try:
        with duckdb.connect() as db:
            rows = db.execute(f"SELECT {quoted} FROM read_parquet(?)", [str(path)]).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{str(path)!r} has no column {arch!r} to read: {error}") from error
    return [str(row[0]) for row in rows]
