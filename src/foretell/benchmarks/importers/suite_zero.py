"""NAS-Bench-Suite-Zero: JSON files of 13 published proxy scores and an accuracy per network."""

import ast
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from foretell.arch import Arch
from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._names import FAILED, accuracy_scale, dataset_name, proxy_name
from foretell.benchmarks.importers.formats.files import only_file, read_json
from foretell.benchmarks.importers.formats.sheet import Sheet, number
from foretell.errors import ArchError, TableFormatError
from foretell.spaces import Space, get_space
from foretell.spaces.nb201 import NB201

__all__ = ["nb201_genes", "suite_zero"]

_REFERENCE = "Krishnakumar et al., NAS-Bench-Suite-Zero, NeurIPS 2022"
_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_TUPLE = re.compile(r"\((?:[0-4], ){5}[0-4]\)", re.ASCII)
_SPACES = {
    "nasbench201": "nb201",
    "nasbench101": "nb101",
    "nasbench301": "darts",
    "transbench101_micro": "transnas_micro",
    "transbench101_macro": "transnas_macro",
}
"""Part of a file's name -> the space of its networks; two cells of edges are always of darts."""
_ANY_ORDER = ("nb101", "darts")
"""Spaces in which a network has several names, by the order of its vertices or edges."""


@importers.add(
    "suite-zero",
    summary="NAS-Bench-Suite-Zero: 13 proxies and validation accuracy, on several spaces",
    reference=_REFERENCE,
    reads="one of the files zc_*.json, such as zc_nasbench201.json",
    space="",
)
def suite_zero(path: Path, progress: Progress) -> TableData:
    """A file of scores; in the space that the file's name says, others by their own names.

    Raises:
        TableFormatError: the file is corrupt, or has other content.
    """
    path = only_file(path, r"zc_.*\.json", "one file such as zc_nasbench201.json")
    datasets = read_json(path)
    if not isinstance(datasets, dict) or not datasets:
        raise TableFormatError(f"{path.name} holds no scores by dataset: use the official file.")
    rows: dict[str, int] = {}
    for nets in datasets.values():
        if not isinstance(nets, dict):
            raise TableFormatError(f"{path.name}: a dataset holds no networks by name.")
        for name in nets:
            rows.setdefault(name, len(rows))
    if not rows:
        raise TableFormatError(f"{path.name} holds no network: use the official file.")
    sheet = Sheet(len(rows), path.name)
    total = sum(map(len, datasets.values()))
    done = 0
    for dataset, nets in datasets.items():
        for name, record in nets.items():
            what = f"{path.name}, {dataset[:30]}, {name[:60]}"
            _put(sheet, rows[name], dataset_name(dataset), record, what)
            done += 1
            progress(done, total)
    metrics, values = sheet.finish(len(rows))
    for key, metric in metrics.items():
        if metric.name == "val_accuracy":
            metrics[key] = replace(metric, scale=accuracy_scale(values[key]))
    facts = {"source": path.name, "licence": "Apache-2.0", "reference": _REFERENCE}
    home = next((name for part, name in _SPACES.items() if part in path.name), "")
    home = home or ("darts" if all(name.startswith(("((", "[[(", "[((")) for name in rows) else "")
    if not home:
        return TableData(path.stem, list(rows), metrics, values, facts=facts)
    space = get_space(home)
    archs = [_arch(space, name, path.name) for name in rows]
    first = {arch: row for row, arch in reversed(list(enumerate(archs)))}
    selected = sorted(first.values())
    if len(selected) < len(archs):
        if home not in _ANY_ORDER:
            raise TableFormatError(f"{path.name} holds a network under two names: damaged.")
        facts["left out"] = f"{len(archs) - len(selected)} further names of networks that are here"
        values = {key: block[selected] for key, block in values.items()}
    return TableData(
        path.stem,
        [space.format(archs[row]) for row in selected],
        metrics,
        values,
        home,
        np.array([archs[row].genes for row in selected], dtype=np.int64),
        facts,
    )


def _put(sheet: Sheet, row: int, dataset: str, record: Any, what: str) -> None:
    if not isinstance(record, dict):
        raise TableFormatError(f"{what}: expected scores by proxy, not a {type(record).__name__}.")
    for field, value in record.items():
        if field == "val_accuracy":
            metric = Metric("val_accuracy", dataset, "fraction", True, split="val")
            sheet.put(metric, row, [number(value, f"{what}, {field}")])
        elif isinstance(value, dict):
            name = proxy_name(field)
            if name is None or "score" not in value:
                raise TableFormatError(f"{what}: {field[:30]!r} is no proxy with a score.")
            score = number(value["score"], f"{what}, {field}")
            metric = Metric(name, dataset, "", True, "proxy", summary="published scores")
            sheet.put(metric, row, [float("nan") if score == FAILED else score])
            if "time" in value:
                seconds = number(value["time"], f"{what}, {field}")
                metric = Metric(f"{name}_seconds", dataset, "seconds", False, "cost")
                sheet.put(metric, row, [seconds])


def nb201_genes(text: str) -> tuple[int, ...]:
    """Genes of the space nb201 from the tuple that NASLib writes, such as "(4, 3, 3, 0, 0, 0)".

    Its edges are 0->1, 0->2, 0->3, 1->2, 1->3, 2->3, and its operations are numbered otherwise.

    Raises:
        TableFormatError: the text is no such tuple.
    """
    if not _TUPLE.fullmatch(text):
        raise TableFormatError(f"{text[:60]!r} is no cell such as '(4, 3, 3, 0, 0, 0)'.")
    first, second, fourth, third, fifth, sixth = (
        NB201.ops.index(_OPERATIONS[i]) for i in ast.literal_eval(text)
    )
    return first, second, third, fourth, fifth, sixth


def _arch(space: Space, name: str, what: str) -> Arch:
    """The architecture of a name; some files write lists where others have tuples."""
    tuples = name.replace("[", "(").replace("]", ")")
    if space.name == "nb201":  # NASLib numbers its operations and edges otherwise
        return Arch(space.name, nb201_genes(tuples))
    try:
        return space.parse(name)
    except ArchError as error:
        try:
            return space.parse(tuples)
        except ArchError:
            raise TableFormatError(f"{what}: {error}") from error
