"""NAS-Bench-201, versions 1.0 and 1.1: one file of torch with every network."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._trials import put_trials
from foretell.benchmarks.importers.formats.files import only_file
from foretell.benchmarks.importers.formats.sheet import Sheet, same, shown
from foretell.benchmarks.importers.formats.torch_file import read_torch
from foretell.benchmarks.importers.nats import read_names
from foretell.errors import TableFormatError
from foretell.spaces import get_space

__all__ = ["nb201"]

_REFERENCE = "Dong and Yang, NAS-Bench-201, ICLR 2020"
_NETWORKS = 15_625
_SCHEDULES = {"full": "", "less": "_hp12"}


@importers.add(
    "nb201",
    summary="NAS-Bench-201 v1.0 and v1.1: 15,625 cells, 4 datasets, 12 and 200 epochs",
    reference=_REFERENCE,
    reads="NAS-Bench-201-v1_0-e61699.pth or NAS-Bench-201-v1_1-096897.pth",
    space="nb201",
)
def nb201(path: Path, progress: Progress) -> TableData:
    """The official file, read network by network: each is put into arrays and forgotten.

    Raises:
        TableFormatError: the file is corrupt, or has other content.
        UnsafePickleError: it contains code; nothing was run.
    """
    path = only_file(path, r"NAS-Bench-201-v1_[01]-\w+\.pth", "NAS-Bench-201-v1_1-096897.pth")
    reader = _Reader(path.name, progress)
    loaded = read_torch(path, reader.see)
    names = read_names(loaded, path.name)
    indices = sorted(reader.rows)
    if not indices:
        raise TableFormatError(f"{path.name} holds no network: use the official file.")
    for index in indices:
        if index >= len(names) or names[index] != reader.names[index]:
            raise TableFormatError(
                f"{path.name}: network {index} is {reader.names[index][:90]}, which is not what "
                f"'meta_archs' says."
            )
    space = get_space("nb201")
    archs = [space.parse(names[i]) for i in indices]
    metrics, values = reader.sheet.finish(len(indices))
    order = [reader.rows[i] for i in indices]
    if order != list(range(len(order))):
        values = {key: v[order] for key, v in values.items()}
    return TableData(
        "nb201",
        [space.format(a) for a in archs],
        metrics,
        values,
        "nb201",
        np.array([a.genes for a in archs], dtype=np.int64),
        {
            "source": f"{path.name}, {len(indices)} of {len(names)} networks",
            "licence": "MIT",
            "reference": _REFERENCE,
            "skeleton": "full",
        },
    )


@dataclass
class _Reader:
    """Takes each network out of the file as soon as it is complete."""

    what: str
    progress: Progress
    sheet: Sheet = field(init=False)
    rows: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sheet = Sheet(1024, self.what)

    def see(self, index: Any, record: dict[Any, Any]) -> None:
        """One entry of a dictionary in the file: a network, if it has the two schedules."""
        if set(record) != set(_SCHEDULES):
            return
        if not 0 <= index < _NETWORKS or index in self.rows:
            raise TableFormatError(f"{self.what}: a network {shown(index)}, or one twice.")
        what = f"{self.what}, network {index}"
        row = self.rows[index] = len(self.rows)
        for schedule, suffix in _SCHEDULES.items():
            trials = record[schedule]
            if not isinstance(trials, dict) or not same(trials.get("arch_index"), index):
                raise TableFormatError(f"{what}: {schedule!r} is about another network.")
            name = trials.get("arch_str")
            if not isinstance(name, str) or self.names.setdefault(index, name) != name:
                raise TableFormatError(f"{what}: {schedule!r} has another name.")
            put_trials(self.sheet, row, trials, suffix, f"{what}, {schedule}")
            _forget(trials)
        self.progress(len(self.rows), _NETWORKS)


def _forget(trials: dict[Any, Any]) -> None:
    """Empty what takes the memory; the file's own list of seen objects still holds it."""
    for trial in trials["all_results"].values():
        for value in trial.values():
            if isinstance(value, dict):
                value.clear()
        trial.clear()
    trials.clear()
