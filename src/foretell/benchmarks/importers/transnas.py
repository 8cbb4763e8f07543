"""TransNAS-Bench-101: one file of torch with seven tasks on two spaces."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.benchmarks._base import Metric, Split, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers.formats.files import only_file
from foretell.benchmarks.importers.formats.sheet import Sheet, number, numbers, same, shown
from foretell.benchmarks.importers.formats.torch_file import read_torch
from foretell.errors import ArchError, TableFormatError, UsageError
from foretell.spaces import get_space

__all__ = ["transnas"]

_REFERENCE = "Duan et al., TransNAS-Bench-101, CVPR 2021"
_TASKS = (
    "class_scene", "class_object", "room_layout", "jigsaw", "segmentsemantic", "normal",
    "autoencoder",
)  # fmt: skip
_SPACES = ("transnas_micro", "transnas_macro")
_LONGEST = 1000
_PARTS: dict[str, Split] = {"train": "train", "valid": "val", "test": "test"}
_INFO = {
    "model_params": "params",
    "model_FLOPs": "flops",
    "encoder_params": "encoder_params",
    "encoder_FLOPs": "encoder_flops",
    "inference_time": "inference_time",
}


@importers.add(
    "transnas",
    summary="TransNAS-Bench-101: 4,096 cells and 3,256 macro networks, 7 tasks, curves",
    reference=_REFERENCE,
    reads="transnas-bench_v10141024.pth",
    space="",
    takes=("space",),
)
def transnas(path: Path, progress: Progress, *, space: str | None = None) -> TableData:
    """The official file; each network by its official name.

    A table belongs to one space. That of both spaces together has none.

    Args:
        path: of the file.
        progress: called with (done, total).
        space: "transnas_micro" or "transnas_macro", to take its networks alone.

    Raises:
        UsageError: another space.
        TableFormatError: the file is corrupt, or has other content.
        UnsafePickleError: it contains code; nothing was run.
    """
    if space not in (None, *_SPACES):
        raise UsageError(f"Expected one of {', '.join(_SPACES)} as space, but got {space!r}.")
    path = only_file(path, r"transnas-bench.*\.pth", "transnas-bench_v10141024.pth")
    loaded = read_torch(path)
    parts = loaded.get("data") if isinstance(loaded, dict) else None
    if not isinstance(parts, dict) or not all(isinstance(p, dict) for p in parts.values()):
        raise TableFormatError(f"{path.name} holds no 'data' by space: use the official file.")
    metric_names = loaded.get("metrics_dict")
    if not isinstance(metric_names, dict) or not all(map(_are_texts, metric_names.values())):
        raise TableFormatError(f"{path.name} holds no 'metrics_dict': use the official file.")
    networks: dict[str, Any] = {}
    for part in parts.values():
        for name, tasks in part.items():
            if not isinstance(name, str) or name in networks or not isinstance(tasks, dict):
                raise TableFormatError(f"{path.name}: {shown(name)} is no network, or twice.")
            networks[name] = tasks
    if space is not None:
        networks = {k: tasks for k, tasks in networks.items() if _genes(space, [k]) is not None}
    if not networks:
        raise TableFormatError(f"{path.name} holds no network: use the official file.")
    sheet = Sheet(len(networks), path.name)
    for row, (name, tasks) in enumerate(networks.items()):
        for task, record in tasks.items():
            what = f"{path.name}, {name[:60]}, {shown(task)}"
            _Place(sheet, row, task, metric_names.get(task), what).put(record)
        progress(row + 1, len(networks))
    metrics, values = sheet.finish(len(networks))
    counts = ", ".join(f"{len(part)} {shown(name)}" for name, part in parts.items())
    names = list(networks)
    home = next((s for s in _SPACES if _genes(s, names) is not None), "")
    return TableData(
        "transnas" if space is None else space.replace("_", "-"),
        names,
        metrics,
        values,
        home,
        _genes(home, names) if home else None,
        {"source": f"{path.name}: {counts}", "reference": _REFERENCE},
    )


def _genes(space: str, names: list[str]) -> NDArray[np.int64] | None:
    """The genes of networks by their official names; None if one is not of that space."""
    home = get_space(space)
    try:
        archs = [home.parse(name) for name in names]
    except ArchError:
        return None
    if [home.format(a) for a in archs] != names:
        return None
    return np.array([a.genes for a in archs], dtype=np.int64)


def _are_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(text, str) for text in found)


@dataclass(frozen=True)
class _Place:
    """Where the numbers of one network and task go."""

    sheet: Sheet
    row: int
    task: Any
    metrics: Any
    what: str

    def put(self, record: Any) -> None:
        """Store the curves and the costs."""
        curves = record.get("metrics") if isinstance(record, dict) else None
        if self.task not in _TASKS or self.metrics is None or not isinstance(curves, dict):
            raise TableFormatError(f"{self.what}: expected a task and its 'metrics'.")
        for name, curve in curves.items():
            values = numbers(curve, f"{self.what}, {shown(name)}")
            if not isinstance(name, str) or name not in self.metrics:
                raise TableFormatError(f"{self.what}: no metric {shown(name)} in 'metrics_dict'.")
            if len(values) > _LONGEST or not same(record.get("total_epochs"), len(values)):
                raise TableFormatError(
                    f"{self.what}: {len(values)} values of {name}, but "
                    f"{shown(record.get('total_epochs'))} epochs: use the official file."
                )
            epochs = range(1, len(values) + 1)
            self.sheet.put(_metric(name, self.task), self.row, values, epochs=epochs)
        info = record.get("model_info", {})
        if not isinstance(info, dict):
            raise TableFormatError(f"{self.what}: 'model_info' is a {type(info).__name__}.")
        for name, ours in _INFO.items():
            if name in info:
                value = number(info[name], f"{self.what}, {name}")
                metric = Metric(ours, self.task, "", None, "cost", summary=f"{name}, as published")
                self.sheet.put(metric, self.row, [value])


def _metric(name: str, task: str) -> Metric:
    part, _, rest = name.partition("_")
    if part not in _PARTS or not rest:
        return Metric(name, task, "seconds" if name == "time_elapsed" else "", False, "cost")
    ours = {"valid": "val"}.get(part, part)
    if rest == "top1":
        return Metric(f"{ours}_accuracy", task, "fraction", True, split=_PARTS[part], scale=0.01)
    if rest == "top5":
        return Metric(f"{ours}_top5", task, "fraction", True, split=_PARTS[part], scale=0.01)
    better = rest == "neg_loss" or "loss" not in rest
    unit = "nats" if rest == "loss" and task in ("class_scene", "class_object", "jigsaw") else ""
    return Metric(f"{ours}_{rest}", task, unit, better, split=_PARTS[part])
