"""NATS-Bench: the official "simple" folders of the topology space and of the size space."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._trials import put_trials
from foretell.benchmarks.importers.formats.files import read_pickle_bz2
from foretell.benchmarks.importers.formats.sheet import Sheet, same, shown
from foretell.errors import MissingDataError, TableFormatError
from foretell.spaces import get_space

__all__ = ["nats_sss", "nats_tss", "read_names"]

_REFERENCE = "Dong et al., NATS-Bench, TPAMI 2021"
_LIMIT = 64 << 20


@importers.add(
    "nats-tss",
    summary="NATS-Bench, topology space: 15,625 cells, 4 datasets, 12 and 200 epochs",
    reference=_REFERENCE,
    reads="the folder NATS-tss-v1_0-3ffb9-simple with meta.pickle.pbz2 and 000000.pickle.pbz2 on",
    space="nb201",
)
def nats_tss(path: Path, progress: Progress) -> TableData:
    """The topology space.

    Raises:
        MissingDataError: no such files.
        TableFormatError: a file is damaged, or is not what its name says.
        UnsafePickleError: a file contains code; nothing was run.
    """
    return _read(path, progress, "tss", "nb201", {"200": "", "12": "_hp12"})


@importers.add(
    "nats-sss",
    summary="NATS-Bench, size space: 32,768 networks, 4 datasets, 1, 12 and 90 epochs",
    reference=_REFERENCE,
    reads="the folder NATS-sss-v1_0-50262-simple with meta.pickle.pbz2 and 000000.pickle.pbz2 on",
    space="size",
)
def nats_sss(path: Path, progress: Progress) -> TableData:
    """The size space.

    Raises:
        MissingDataError: no such files.
        TableFormatError: a file is damaged, or is not what its name says.
        UnsafePickleError: a file contains code; nothing was run.
    """
    return _read(path, progress, "sss", "size", {"90": "", "12": "_hp12", "01": "_hp01"})


def _read(
    path: Path, progress: Progress, kind: str, space_name: str, schedules: dict[str, str]
) -> TableData:
    space = get_space(space_name)
    files = _files(path, kind)
    meta = files.pop(-1)
    if not files:
        raise MissingDataError(
            f"{str(path)!r} holds no file such as 000000.pickle.pbz2: give the unpacked folder."
        )
    names = read_names(read_pickle_bz2(meta, _LIMIT), meta.name)
    sheet, texts, genes = Sheet(len(files), path.name), [], []
    for row, (index, file) in enumerate(sorted(files.items())):
        record = read_pickle_bz2(file, _LIMIT)
        if index >= len(names):
            raise TableFormatError(f"{file.name}: {meta.name} has no network {index}.")
        _put(sheet, row, record, index, names[index], schedules, file.name)
        arch = space.parse(names[index])
        texts.append(space.format(arch))
        genes.append(arch.genes)
        progress(row + 1, len(files))
    metrics, values = sheet.finish(len(texts))
    return TableData(
        f"nats-{kind}",
        texts,
        metrics,
        values,
        space_name,
        np.array(genes, dtype=np.int64),
        {
            "source": f"NATS-{kind}-v1_0 simple, {len(texts)} of {len(names)} networks",
            "licence": "MIT",
            "reference": _REFERENCE,
            "skeleton": "full",
        },
    )


def _files(path: Path, kind: str) -> dict[int, Path]:
    """Official index -> file, in a folder; -1 is the meta file."""
    if not path.is_dir():
        raise MissingDataError(
            f"{str(path)!r} is no folder: unpack NATS-{kind}-v1_0-...-simple.tar and give the "
            f"folder."
        )
    pattern = re.compile(rf"(?:{kind}-)?([0-9]{{6}}|meta)\.pickle\.pbz2", re.ASCII)
    files: dict[int, Path] = {}
    for file in path.iterdir():
        if (match := pattern.fullmatch(file.name)) and file.is_file():
            index = -1 if match[1] == "meta" else int(match[1])
            if index in files:
                raise TableFormatError(f"{file.name} and {files[index].name} are the same network.")
            files[index] = file
    if -1 not in files:
        raise MissingDataError(
            f"{str(path)!r} holds no meta.pickle.pbz2: give the unpacked folder of NATS-{kind}."
        )
    return files


def read_names(meta: Any, what: str) -> list[str]:
    """The official text of each network, in the official order.

    Raises:
        TableFormatError: the meta data hold no such list.
    """
    names = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not names:
        raise TableFormatError(
            f"{what} holds no list 'meta_archs' of texts: use the official file."
        )
    if len(set(names)) != len(names):
        raise TableFormatError(f"{what} names a network twice: use the official file.")
    return names


def _put(
    sheet: Sheet, row: int, record: Any, index: int, name: str, schedules: dict[str, str], what: str
) -> None:
    if not isinstance(record, dict) or not set(record) <= set(schedules) or not record:
        raise TableFormatError(
            f"{what}: expected the schedules {', '.join(schedules)}: use the official file."
        )
    for schedule in [s for s in schedules if s in record]:
        trials = record[schedule]
        if not isinstance(trials, dict):
            raise TableFormatError(f"{what}: the schedule {schedule} holds no trials.")
        right = same(trials.get("arch_index"), index) and same(trials.get("arch_str"), name)
        if not right:
            raise TableFormatError(
                f"{what} holds network {shown(trials.get('arch_index'))}, "
                f"{shown(trials.get('arch_str'))}, but the meta file says {name}."
            )
        put_trials(sheet, row, trials, schedules[schedule], f"{what}, {schedule} epochs")
