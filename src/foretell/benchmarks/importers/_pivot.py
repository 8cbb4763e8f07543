"""From columns to a table: detects the column of architectures and the axes."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._names import FAILED, column_metric, dataset_name
from foretell.errors import ArchError, DataWarning, TableFormatError, UsageError
from foretell.spaces import get_space, spaces
from foretell.spaces.rows import Duplicates, check_units, listed, merge, parse_rows
from foretell.types import Array, IntArray

__all__ = ["Columns", "make_table"]

_ARCH = (
    "arch", "architecture", "arch_str", "genotype", "model", "net", "network", "hash", "key",
    "name", "id",
)  # fmt: skip
_DATASET = ("dataset", "task")
_SCHEDULE = ("hp", "budget")
_SEED = ("seed", "repeat", "run")
_EPOCH = ("epoch",)
_MOST_DATASETS = 64
_MOST_KEYS = 64


@dataclass(frozen=True)
class Columns:
    """The columns of a file, all of one length.

    Args:
        what: the file, for messages.
        texts: columns of text.
        numbers: columns of numbers, (n,); NaN for missing values.
        curves: columns of lists, (n, longest), NaN after the end.
        first_row: number of the first row in the file, for messages.
    """

    what: str
    texts: Mapping[str, Sequence[str]]
    numbers: Mapping[str, Array]
    curves: Mapping[str, Array]
    first_row: int = 1

    def take(self, index: Sequence[int]) -> "Columns":
        """Some of the rows; their numbers are those of the new columns."""
        return Columns(
            self.what,
            {k: [v[i] for i in index] for k, v in self.texts.items()},
            {k: v[list(index)] for k, v in self.numbers.items()},
            {k: v[list(index)] for k, v in self.curves.items()},
            self.first_row,
        )

    def __len__(self) -> int:
        """Number of rows."""
        for group in (self.texts, self.numbers, self.curves):
            for column in group.values():
                return len(column)
        return 0


@dataclass(frozen=True)
class _Axes:
    """Indices of every row of the file in the table, and the labels of each axis."""

    key: tuple[str, ...]
    rows: IntArray
    texts: list[str]
    seeds: IntArray
    seed_labels: tuple[int, ...]
    epochs: IntArray
    epoch_labels: tuple[int, ...]
    groups: list[tuple[str, str, NDArray[np.bool_]]]
    used: frozenset[str]


def make_table(
    name: str,
    columns: Columns,
    *,
    arch: str | None,
    space: str | None,
    source: str,
    duplicates: Duplicates = "refuse",
    skip_unknown: bool = False,
) -> TableData:
    """Build a table from columns.

    What can be used but may not be meant is a ``DataWarning``: rows that were merged or skipped,
    fractions among per cents, columns whose values are all equal.

    Args:
        name: of the benchmark.
        columns: of the file.
        arch: the column that names the networks, or several with commas between; by default the
            first with a usual name, else those that identify the rows.
        space: that the texts belong to; by default one that parses all of them, if there is one.
        source: for the facts.
        duplicates: of several rows about one network their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture of ``space`` are left out.

    Raises:
        UsageError: there is no such column, or rows are to be skipped and no space is named.
        ArchError: texts are no architectures of the space that was asked for; all are named.
        TableFormatError: the rows cannot be identified, or there is no number.
    """
    if not len(columns):
        raise TableFormatError(f"{columns.what} holds no rows.")
    columns = _cleaned(columns, arch, space, duplicates, skip_unknown)
    axes = _axes(columns, arch)
    if columns.curves and len(axes.epoch_labels) > 1:
        raise TableFormatError(
            f"{columns.what} has curves in lists and a column of epochs: leave one of them out."
        )
    metrics: dict[str, Metric] = {}
    values: dict[str, NDArray[Any]] = {}
    for column, numbers in columns.numbers.items():
        if column not in axes.used:
            _look_at(columns, column, numbers)
            _add(metrics, values, column, numbers[:, None], axes)
    for column, curve in columns.curves.items():
        _add(metrics, values, column, curve, axes)
    if not metrics:
        raise TableFormatError(f"{columns.what} holds no column of numbers beside the names.")
    texts, genes, chosen = _space(axes.texts, space)
    left = [c for c in columns.texts if c not in axes.used]
    facts = {"source": source, "key": ", ".join(axes.key)}
    if left:
        facts["left out"] = f"columns that are no numbers: {', '.join(left)}"
    return TableData(name, texts, metrics, values, chosen, genes, facts)


def _cleaned(
    columns: Columns, arch: str | None, space: str | None, how: Duplicates, skip_unknown: bool
) -> Columns:
    """The rows that name an architecture, with those about one network merged.

    Raises:
        ArchError: texts are no architectures of the space; all their rows are named.
        TableFormatError: rows have no name.
        UsageError: rows are to be skipped, but no space says what is unknown.
    """
    if skip_unknown and not space:
        raise UsageError("Unknown architectures can only be told in a space: name it (--space).")
    everything = {c.lower(): c for c in (*columns.numbers, *columns.texts)}
    named = next((everything[n] for n in _ARCH if n in everything), None)
    keys = [c.strip() for c in arch.split(",")] if arch else [named] if named else []
    keys = [k for k in keys if k in columns.texts]
    rows = list(range(columns.first_row, columns.first_row + len(columns)))
    for key in keys:
        empty = [rows[i] for i, text in enumerate(columns.texts[key]) if not text.strip()]
        if empty and not skip_unknown:
            raise TableFormatError(
                f"{columns.what}: {key!r} is empty in {listed(empty)}: name the networks, or "
                f"remove the rows."
            )
    if not keys or (not space and how == "refuse"):
        return columns
    texts = columns.texts[keys[0]]
    if space and len(keys) == 1:
        home = get_space(space)
        archs, index, note = parse_rows(home, texts, rows, columns.what, skip_unknown=skip_unknown)
        _warn(note)
        columns = columns.take(index)
        rows = [rows[i] for i in index]
        official = {**columns.texts, keys[0]: [home.format(a) for a in archs]}
        if how != "refuse":
            columns = replace(columns, texts=official)
    return columns if how == "refuse" else _merged(columns, keys, rows, how)


def _merged(columns: Columns, keys: Sequence[str], rows: Sequence[int], how: Duplicates) -> Columns:
    """One row for each network, dataset, seed, epoch and schedule."""
    arch = ",".join(keys)
    inner = (
        _text_axis(columns, _DATASET, arch),
        _whole_axis(columns, _SEED, arch),
        _whole_axis(columns, _EPOCH, arch),
        _whole_axis(columns, _SCHEDULE, arch, texts=True),
    )
    parts = [columns.texts[k] for k in keys]
    parts += [_codes(columns, axis).tolist() for axis in inner if axis]
    marks = list(zip(*parts, strict=True))
    flat = np.array(list(columns.numbers.values())).reshape(len(columns.numbers), len(rows)).T
    first, values, double = merge(marks, flat, rows, how)
    if not double:
        return columns
    made = columns.take(first.tolist())
    numbers = {name: values[:, i] for i, name in enumerate(columns.numbers)}
    curves = {name: merge(marks, c, rows, how)[1] for name, c in columns.curves.items()}
    done = "averaged with" if how == "mean" else "left out for"
    _warn(f"{len(double)} rows of {columns.what} were {done} earlier ones ({listed(double)}).")
    return replace(made, numbers=numbers, curves=curves)


def _look_at(columns: Columns, column: str, numbers: Array) -> None:
    """Say what may not be meant in a column of numbers."""
    rows = list(range(columns.first_row, columns.first_row + len(numbers)))
    facts = column_metric(column, numbers)
    if facts.kind == "quality" and facts.unit == "fraction":
        _warn(check_units(numbers, rows, f"{column} in {columns.what}"))
    finite = numbers[np.isfinite(numbers)]
    if len(finite) > 2 and (finite == finite[0]).all() and facts.kind == "quality":
        _warn(f"All {len(finite)} values of {column} in {columns.what} are {finite[0]:g}.")


def _warn(sentence: str) -> None:
    if sentence:
        warnings.warn(sentence, DataWarning, stacklevel=2)


def _axes(columns: Columns, arch: str | None) -> _Axes:
    datasets = _text_axis(columns, _DATASET, arch)
    seed = _whole_axis(columns, _SEED, arch)
    epoch = _whole_axis(columns, _EPOCH, arch)
    schedule = _whole_axis(columns, _SCHEDULE, arch, texts=True)
    inner = [a for a in (datasets, seed, epoch, schedule) if a]
    codes = [_codes(columns, a) for a in inner]
    key = _key(columns, arch, inner, codes)
    rows, texts = _rows(columns, key)
    total = _join([rows, *codes])
    if len(np.unique(total)) < len(total):
        twice = texts[int(rows[_repeated(total)])]
        raise TableFormatError(
            f"{columns.what}: several rows are about {twice[:80]!r}, and no column tells them "
            f"apart: name the columns that do, with commas between (--arch), or choose "
            f"--duplicates mean or first."
        )
    seeds, seed_labels = _labels(columns, seed)
    epochs, epoch_labels = _labels(columns, epoch)
    cells = len(texts) * len(seed_labels) * len(epoch_labels)
    if cells > 100 * len(columns) + 1_000_000:
        raise TableFormatError(
            f"{columns.what}: {len(columns)} rows for {cells} places in the table (networks x runs "
            f"x epochs): the columns {', '.join((*key, *inner))} do not fit together."
        )
    used = frozenset((*key, *inner))
    groups = _groups(columns, datasets, schedule)
    return _Axes(key, rows, texts, seeds, seed_labels, epochs, epoch_labels, groups, used)


def _named(columns: Columns, names: Sequence[str], arch: str | None, texts: bool) -> str | None:
    taken = (arch or "").split(",")
    group: Mapping[str, object] = columns.texts if texts else columns.numbers
    return next((c for c in group if c.lower() in names and c not in taken), None)


def _text_axis(columns: Columns, names: Sequence[str], arch: str | None) -> str | None:
    column = _named(columns, names, arch, True)
    return column if column and len(set(columns.texts[column])) <= _MOST_DATASETS else None


def _whole_axis(
    columns: Columns, names: Sequence[str], arch: str | None, *, texts: bool = False
) -> str | None:
    if texts and (column := _text_axis(columns, names, arch)):
        return column
    column = _named(columns, names, arch, False)
    if column is None:
        return None
    numbers = columns.numbers[column]
    whole = np.isfinite(numbers).all() and (np.abs(numbers) < 1e9).all()
    return column if whole and (numbers == np.floor(numbers)).all() else None


def _codes(columns: Columns, column: str) -> IntArray:
    """A whole number for each row, equal where the column is."""
    if column in columns.texts:
        kinds = {text: i for i, text in enumerate(dict.fromkeys(columns.texts[column]))}
        return np.array([kinds[t] for t in columns.texts[column]], dtype=np.int64)
    return np.unique(columns.numbers[column], return_inverse=True)[1].astype(np.int64)


def _join(parts: Sequence[IntArray]) -> IntArray:
    total = parts[0]
    for part in parts[1:]:
        total = np.unique(total * (int(part.max()) + 1) + part, return_inverse=True)[1]
    return total.astype(np.int64)


def _repeated(codes: IntArray) -> int:
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    return int(first[counts > 1][0])


def _key(
    columns: Columns, arch: str | None, inner: Sequence[str], codes: Sequence[IntArray]
) -> tuple[str, ...]:
    if arch is not None:
        requested = tuple(c.strip() for c in arch.split(","))
        for column in requested:
            if column not in columns.texts and column not in columns.numbers:
                names = ", ".join((*columns.texts, *columns.numbers)[:20])
                raise UsageError(f"{columns.what} has no column {column!r}: it has {names}.")
        return requested
    everything = {c.lower(): c for c in (*columns.numbers, *columns.texts)}
    named = next((everything[n] for n in _ARCH if n in everything), None)
    key = [named] if named else []
    spare = [c for c in columns.texts if c not in key and c not in inner]
    spare += [c for c in columns.numbers if c not in (*key, *inner) and _is_whole(columns, c)]
    if not key and spare and spare[0] in columns.texts:
        key = [spare.pop(0)]
    spare, count = spare[:_MOST_KEYS], 0
    while True:
        parts = [*[_codes(columns, c) for c in key], *codes]
        distinct = len(np.unique(_join(parts))) if parts else 1
        if key and distinct == len(columns):
            return tuple(key)
        if not spare:
            if not key:
                raise TableFormatError(
                    f"{columns.what} has no column that names the networks: call one 'arch'."
                )
            return (named,) if named else tuple(key)
        if count and distinct == count:
            key.pop()  # the last one told no rows apart
        count = distinct
        key.append(spare.pop(0))


def _is_whole(columns: Columns, column: str) -> bool:
    """Whether a column may tell rows apart: whole numbers that are no accuracy, loss or score."""
    numbers = columns.numbers[column]
    whole = np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all()
    return bool(whole) and column_metric(column, numbers).kind == "cost"


def _rows(columns: Columns, key: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Row of the table of each row of the file, and the text of each row of the table."""
    parts = [
        columns.texts[c] if c in columns.texts else [f"{v:g}" for v in columns.numbers[c]]
        for c in key
    ]
    whole = parts[0] if len(parts) == 1 else ["|".join(p) for p in zip(*parts, strict=True)]
    places = {text: i for i, text in enumerate(dict.fromkeys(whole))}
    return np.array([places[t] for t in whole], dtype=np.int64), list(places)


def _labels(columns: Columns, column: str | None) -> tuple[IntArray, tuple[int, ...]]:
    if column is None:
        return np.zeros(len(columns), dtype=np.int64), (0,)
    labels, places = np.unique(columns.numbers[column], return_inverse=True)
    return places.astype(np.int64), tuple(int(v) for v in labels)


def _groups(
    columns: Columns, datasets: str | None, schedule: str | None
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Dataset, suffix and rows of each group that has metrics of its own."""
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row in range(len(columns)):
        dataset = dataset_name(columns.texts[datasets][row]) if datasets else ""
        suffix = ""
        if schedule:
            text = columns.texts.get(schedule)
            suffix = f"_hp{text[row]}" if text else f"_hp{columns.numbers[schedule][row]:g}"
        rows_of.setdefault((dataset, suffix), []).append(row)
    groups = []
    for (dataset, suffix), rows in rows_of.items():
        mask = np.zeros(len(columns), dtype=bool)
        mask[rows] = True
        groups.append((dataset, suffix, mask))
    return groups


def _add(
    metrics: dict[str, Metric],
    values: dict[str, NDArray[Any]],
    column: str,
    numbers: Array,
    axes: _Axes,
) -> None:
    """Put a column into one array per group; a group without any number gets none."""
    facts = column_metric(column, numbers)
    if facts.kind == "proxy":
        numbers = np.where((numbers == FAILED) | np.isinf(numbers), np.nan, numbers)
    epochs = axes.epoch_labels if len(axes.epoch_labels) > 1 or facts.epochs == (0,) else None
    if numbers.shape[1] > 1:
        epochs = tuple(range(1, numbers.shape[1] + 1))
    for dataset, suffix, mask in axes.groups:
        if np.isnan(numbers[mask]).all():
            continue
        name = facts.name + suffix
        metric = replace(facts, name=name, dataset=dataset or facts.dataset, seeds=axes.seed_labels)
        metric = replace(metric, epochs=epochs or facts.epochs)
        if metric.key in metrics:
            metric = replace(metric, name=column.removesuffix(f"_{metric.dataset}") + suffix)
        if metric.key in metrics:
            raise TableFormatError(f"Two columns are about {metric.key!r}: rename one of them.")
        made = np.full((len(axes.texts), len(axes.seed_labels), len(metric.epochs)), np.nan)
        if numbers.shape[1] > 1:
            made[axes.rows[mask], axes.seeds[mask]] = numbers[mask]
        else:
            columns = axes.epochs[mask] if epochs else 0
            made[axes.rows[mask], axes.seeds[mask], columns] = numbers[mask, 0]
        metrics[metric.key], values[metric.key] = metric, made


def _space(texts: list[str], wanted: str | None) -> tuple[list[str], NDArray[np.int64] | None, str]:
    """Official texts, genes and name of the space that all texts are official texts of."""
    for name in (wanted,) if wanted else spaces.names():
        space = get_space(name)
        archs = []
        try:
            for text in texts:
                archs.append(space.parse(text))
                if not wanted and space.format(archs[-1]) != text:
                    break
        except ArchError:
            if wanted:
                raise
        if len(archs) == len(texts) and (wanted or space.format(archs[-1]) == texts[-1]):
            made = [space.format(a) for a in archs]
            if len(set(made)) < len(made):
                raise TableFormatError(f"Two of the names are one architecture of {name!r}.")
            return made, np.array([a.genes for a in archs], dtype=np.int64), name
    return texts, None, ""
