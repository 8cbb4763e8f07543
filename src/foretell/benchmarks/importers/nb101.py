"""NAS-Bench-101 and its family (EC-NAS): TFRecord files of cells and their trainings."""

import base64
import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers.formats.protobuf import fields
from foretell.benchmarks.importers.formats.sheet import Sheet, shown
from foretell.benchmarks.importers.formats.tfrecord import read_records
from foretell.errors import TableFormatError
from foretell.spaces.nb101 import NB101
from foretell.types import IntArray

__all__ = ["nb101"]

_REFERENCE = "Ying et al., NAS-Bench-101, ICML 2019"
_HASH = re.compile(r"[0-9a-f]{32}")
_OPERATIONS = NB101.ops
_BUDGETS = (4, 12, 36, 108)
_DATASET = "cifar10"
_CURVES = {
    2: Metric("train_seconds", _DATASET, "seconds", False, "cost"),
    3: Metric("train_accuracy", _DATASET, "fraction", True, split="train"),
    4: Metric("val_accuracy", _DATASET, "fraction", True, split="val"),
    5: Metric("test_accuracy", _DATASET, "fraction", True, split="test"),
    6: Metric("energy", _DATASET, "kWh", False, "cost"),
    7: Metric("co2eq", _DATASET, "g", False, "cost"),
}
"""Field of an evaluation -> what it is; 6 and 7 only in EC-NAS."""


@dataclass
class _Cells:
    """Cells by hash: row, and number of trainings with each budget."""

    rows: dict[str, int] = field(default_factory=dict)
    specs: list[tuple[str, str]] = field(default_factory=list)
    repeats: dict[tuple[int, int], int] = field(default_factory=dict)


@importers.add(
    "nb101",
    summary="NAS-Bench-101: 423,624 cells, CIFAR-10, 3 runs of 4, 12, 36 and 108 epochs; EC-NAS",
    reference=_REFERENCE,
    reads="nasbench_only108.tfrecord, nasbench_full.tfrecord, or an energy_*.tfrecord of EC-NAS",
    space="nb101",
)
def nb101(path: Path, progress: Progress) -> TableData:
    """A TFRecord file of NAS-Bench-101 or of EC-NAS.

    Raises:
        TableFormatError: the file is damaged, cut off, or holds other records.
    """
    cells, sheet = _Cells(), Sheet(1024, path.name)
    count = 0
    for record in read_records(path, progress):
        _put(sheet, cells, record, path.name)
        count += 1
    if not count:
        raise TableFormatError(f"{path.name} holds no record: get it again.")
    _check_whole(cells, path.name)
    for row, spec in enumerate(cells.specs):
        _put_cell(sheet, row, spec)
    metrics, values = sheet.finish(len(cells.specs))
    return TableData(
        path.stem if path.stem.startswith("energy") else "nb101",
        list(cells.rows),
        metrics,
        values,
        "nb101",
        _genes(cells, path.name),
        {
            "source": f"{path.name}, {count} records",
            "licence": "Apache-2.0",
            "reference": _REFERENCE,
        },
    )


def _check_whole(cells: _Cells, what: str) -> None:
    """Every cell was trained as often as every other, or the file is not whole."""
    budgets = sorted({budget for _, budget in cells.repeats})
    for budget in budgets:
        counts = {cells.repeats.get((row, budget), 0) for row in range(len(cells.specs))}
        if len(counts) > 1:
            raise TableFormatError(
                f"{what}: some cells were trained {min(counts)} times for {budget} epochs, others "
                f"{max(counts)} times, so the file is cut off: get it again."
            )


def _put(sheet: Sheet, cells: _Cells, record: bytes, what: str) -> None:
    try:
        entry = json.loads(record)
        name, budget, adjacency, operations, packed = entry
        content = list(fields(base64.b64decode(packed, validate=False)))
        if not _HASH.fullmatch(name) or type(budget) is not int or budget not in _BUDGETS:
            raise ValueError(f"{shown(name)} trained for {shown(budget)} epochs")
        row = cells.rows.get(name)
        if row is None or cells.specs[row] != (adjacency, operations):
            _check_cell(adjacency, operations)
        points = [list(fields(v)) for n, v in content if n == 1 and isinstance(v, bytes)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TableFormatError(
            f"{what}: a record is no training of NAS-Bench-101 ({str(error)[:120]}): use the "
            f"official file."
        ) from error
    row = cells.rows.setdefault(name, len(cells.specs))
    if row == len(cells.specs):
        cells.specs.append((adjacency, operations))
    elif cells.specs[row] != (adjacency, operations):
        raise TableFormatError(f"{what}: two different cells are named {name}.")
    seed = cells.repeats.get((row, budget), 0)
    cells.repeats[row, budget] = seed + 1
    suffix = "" if budget == max(_BUDGETS) else f"_hp{budget}"
    _put_curves(sheet, row, seed, budget, points, suffix, what)
    params = [v for n, v in content if n == 2 and isinstance(v, int)]
    if params:
        metric = Metric("params", _DATASET, "count", None, "cost", summary="parameters")
        sheet.put(metric, row, [float(params[0])])
    seconds = [v for n, v in content if n == 3 and isinstance(v, float)]
    if seconds:
        metric = Metric(
            f"total_seconds{suffix}",
            _DATASET,
            "seconds",
            False,
            "cost",
            summary="the whole training, evaluations included",
        )
        sheet.put(metric, row, seconds[:1], seed=seed)


def _genes(cells: _Cells, what: str) -> IntArray:
    """Genes of the space nb101, (n, 26)."""
    n = len(cells.specs)
    linked, ops = np.zeros((n, 7, 7), dtype=bool), np.zeros((n, 5), dtype=np.int64)
    for row, (adjacency, operations) in enumerate(cells.specs):
        v = math.isqrt(len(adjacency))
        vertices = [*range(v - 1), 6]
        bits = np.frombuffer(adjacency.encode(), dtype=np.uint8) == ord("1")
        linked[row][np.ix_(vertices, vertices)] = bits.reshape(v, v)
        names = operations.split(",")[1:-1]
        ops[row, : len(names)] = [_OPERATIONS.index(name) + 1 for name in names]
    genes = NB101().genes_of(linked, ops)
    _, first, inverse = np.unique(genes, axis=0, return_index=True, return_inverse=True)
    if len(first) < n:
        names = list(cells.rows)
        earlier = first[inverse.ravel()]
        odd = int(np.flatnonzero(earlier != np.arange(n))[0])
        raise TableFormatError(
            f"{what}: {names[earlier[odd]]} and {names[odd]} are the same cell: use the official "
            f"file."
        )
    return genes


def _check_cell(adjacency: Any, operations: Any) -> None:
    vertices = math.isqrt(len(adjacency))
    words = operations.split(",")
    if vertices * vertices != len(adjacency) or not 2 <= vertices <= 7:
        raise ValueError(f"an adjacency of {len(adjacency)} entries")
    if set(adjacency) - {"0", "1"} or len(words) != vertices:
        raise ValueError("an adjacency that does not fit the operations")
    if words[0] != "input" or words[-1] != "output" or set(words[1:-1]) - set(_OPERATIONS):
        raise ValueError(f"the operations {operations[:80]!r}")
    linked = np.array([c == "1" for c in adjacency]).reshape(vertices, vertices)
    if np.tril(linked).any():
        raise ValueError("edges that lead back")
    if not linked[:-1].any(axis=1).all() or not linked[:, 1:].any(axis=0).all() or linked.sum() > 9:
        raise ValueError("vertices on no path, or more than 9 edges")


def _put_curves(
    sheet: Sheet,
    row: int,
    seed: int,
    budget: int,
    points: list[list[tuple[int, Any]]],
    suffix: str,
    what: str,
) -> None:
    epochs = []
    for point in points:
        at = [v for n, v in point if n == 1 and isinstance(v, float)]
        if len(at) != 1 or not 0 <= at[0] <= budget or at[0] != int(at[0]):
            raise TableFormatError(f"{what}: an evaluation after {shown(tuple(at[:3]))} epochs.")
        epochs.append(int(at[0]))
    if not epochs or len(set(epochs)) != len(epochs):
        raise TableFormatError(f"{what}: a training with {len(epochs)} evaluations, or one twice.")
    for number, metric in _CURVES.items():
        pairs = [
            (epoch, value)
            for epoch, point in zip(epochs, points, strict=True)
            for n, value in point
            if n == number and isinstance(value, float)
        ]
        evaluated = [epoch for epoch, _ in pairs]
        if len(set(evaluated)) != len(evaluated):
            raise TableFormatError(f"{what}: an evaluation with two values of {metric.name}.")
        named = replace(metric, name=metric.name + suffix)
        sheet.put(named, row, [value for _, value in pairs], seed=seed, epochs=evaluated)


def _put_cell(sheet: Sheet, row: int, spec: tuple[str, str]) -> None:
    """The cell itself, as numbers that a float holds exactly."""
    adjacency, operations = spec
    vertices = math.isqrt(len(adjacency))
    code = 0
    for word in operations.split(",")[1:-1]:
        code = code * len(_OPERATIONS) + _OPERATIONS.index(word)
    for name, value, summary in (
        ("vertices", vertices, "of the cell, input and output included"),
        ("adjacency", int(adjacency, 2), "row-major bits as one number, first entry highest"),
        ("operations", code, f"digits to base 3 of {', '.join(_OPERATIONS)}, first highest"),
    ):
        sheet.put(Metric(name, "", "count", None, "cost", summary=summary), row, np.array([value]))
