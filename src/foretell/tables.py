"""Reading and writing tables: CSV, JSON lines, and Parquet with an extra."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from foretell.arch import Arch
from foretell.errors import ArchError, DataError, MissingExtraError, UsageError
from foretell.files import whole
from foretell.spaces import Space
from foretell.types import Array, Json

__all__ = ["check_table_path", "plain", "read_archs", "read_values", "write_table"]

Columns = Mapping[str, Sequence[object]]


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
    path = Path(path).expanduser()
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


def read_archs(path: Path | str, space: Space) -> list[Arch]:
    """The architectures of a file.

    Args:
        path: .json or .jsonl (an object as ``Arch.to_json`` writes, a list of them, or one per
            line), .csv or .parquet with a column ``arch``, or any other text with one per line.
        space: whose texts they are.

    Raises:
        DataError: the file cannot be read, or has no such column.
        ArchError: an entry is no architecture; its line is named.
        MissingExtraError: Parquet without the extra ``store``.
    """
    path = Path(path).expanduser()
    try:
        texts = _texts(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{str(path)!r} cannot be read as a list of architectures: {error}.") from (
            error
        )
    archs = []
    for number, text in enumerate(texts, 1):
        try:
            archs.append(space.parse(text))
        except ArchError as error:
            raise ArchError(f"Entry {number} of {path.name}: {error}") from error
    if not archs:
        raise DataError(f"{str(path)!r} holds no architecture: write one per line.")
    return archs


def read_values(
    path: Path | str, space: Space, column: str | None = None
) -> tuple[list[Arch], Array, str]:
    """Measured architectures, their values, and the name of the column.

    Args:
        path: .csv, .json (one object per line) or .parquet with a column ``arch`` and others.
        space: whose texts they are.
        column: of the values; by default the only other column of numbers.

    Returns:
        Architectures, (n,) values and the column's name; rows without a value are left out.

    Raises:
        DataError: the file cannot be read, has no such columns, or a value is no number.
        ArchError: an entry is no architecture; its line is named.
        MissingExtraError: Parquet without the extra ``store``.
    """
    path = Path(path).expanduser()
    try:
        rows = _rows(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as a table: {error}.") from error
    if not rows or "arch" not in rows[0]:
        raise DataError(
            f"{str(path)!r} has no column 'arch': add one, with one architecture per row."
        )
    name = column or _only_numbers(rows, path)
    if name not in rows[0]:
        raise DataError(
            f"{path.name} has no column {name!r}: it has {', '.join(map(str, rows[0]))}."
        )
    archs, values = [], []
    for number, row in enumerate(rows, 1):
        if row[name] in ("", None):
            continue
        value = _number(row[name])
        if value is None:
            raise DataError(f"Row {number} of {path.name}: {name} is no number: {row[name]!r}.")
        try:
            archs.append(space.parse(str(row["arch"])))
        except ArchError as error:
            raise ArchError(f"Row {number} of {path.name}: {error}") from error
        values.append(value)
    return archs, np.array(values, dtype=np.float64), name


def _only_numbers(rows: Sequence[Mapping[str, object]], path: Path) -> str:
    """The only column of numbers beside ``arch``."""
    names = [
        n
        for n in rows[0]
        if n != "arch" and all(r[n] in ("", None) or _number(r[n]) is not None for r in rows)
    ]
    if len(names) != 1:
        columns = ", ".join(map(str, names)) or "none"
        raise DataError(
            f"{path.name} should have one column of numbers beside 'arch', but has {columns}: say "
            f"which one was measured."
        )
    return names[0]


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _rows(path: Path) -> list[dict[str, object]]:
    """The rows of a table file."""
    if path.suffix == ".parquet":
        duckdb = _duckdb("Reading Parquet")
        try:
            with duckdb.connect() as db:
                result = db.execute("SELECT * FROM read_parquet(?)", [str(path)])
                names = [d[0] for d in result.description]
                return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except duckdb.Error as error:
            raise ValueError(str(error)) from error
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".json", ".jsonl"):
        lines = [json.loads(line) for line in text.splitlines() if line.strip()]
        if not all(isinstance(line, dict) for line in lines):
            raise ValueError("expected one JSON object per line")
        return lines
    return [dict(row) for row in csv.DictReader(io.StringIO(text))]


def _texts(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return _parquet_column(path)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        if not rows or "arch" not in rows[0]:
            raise DataError(f"{str(path)!r} has no column 'arch': add one, with one text per row.")
        return [row["arch"] for row in rows]
    if path.suffix == ".json":
        try:
            data: Json = json.loads(text)
        except ValueError:
            data = None
        if isinstance(data, dict):
            return [json.dumps(data)]
        if isinstance(data, list):
            return [d if isinstance(d, str) else json.dumps(d) for d in data]
    return [line for line in text.splitlines() if line.strip()]


def _parquet_column(path: Path) -> list[str]:
    duckdb = _duckdb("Reading Parquet")
    try:
        with duckdb.connect() as db:
            rows = db.execute("SELECT arch FROM read_parquet(?)", [str(path)]).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{str(path)!r} has no column 'arch' to read: {error}") from error
    return [str(row[0]) for row in rows]
