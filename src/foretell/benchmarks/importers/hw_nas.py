"""HW-NAS-Bench: latency and energy of the NAS-Bench-201 networks on six devices."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._names import dataset_name
from foretell.benchmarks.importers.formats.files import only_file, read_pickle
from foretell.benchmarks.importers.formats.sheet import numbers, shown
from foretell.errors import TableFormatError
from foretell.spaces import get_space

__all__ = ["hw_nas"]

_REFERENCE = "Li et al., HW-NAS-Bench, ICLR 2021"
_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_METRIC = re.compile(
    r"(edgegpu|raspi4|edgetpu|pixel3|eyeriss|fpga)_(latency|energy|arithmetic_intensity)"
)
_UNITS = {"latency": "ms", "energy": "mJ", "arithmetic_intensity": ""}


@importers.add(
    "hw-nas",
    summary="HW-NAS-Bench: latency and energy of 15,625 cells on 6 devices, 3 datasets",
    reference=_REFERENCE,
    reads="HW-NAS-Bench-v1_0.pickle",
    space="nb201",
)
def hw_nas(path: Path, progress: Progress) -> TableData:
    """The official pickle; the lookup tables of the FBNet space are left out.

    Raises:
        TableFormatError: the file is corrupt, or has other content.
        UnsafePickleError: it contains code; nothing was run.
    """
    path = only_file(path, r"HW-NAS-Bench.*\.pickle", "HW-NAS-Bench-v1_0.pickle")
    loaded = read_pickle(path)
    datasets = loaded.get("nasbench201") if isinstance(loaded, dict) else None
    if not isinstance(datasets, dict) or not datasets:
        raise TableFormatError(f"{path.name} holds no 'nasbench201': use the official file.")
    texts: list[str] = []
    metrics: dict[str, Metric] = {}
    values: dict[str, Any] = {}
    for done, (dataset, columns) in enumerate(datasets.items()):
        what = f"{path.name}, {shown(dataset)}"
        if not isinstance(columns, dict) or dataset not in _DATASETS:
            raise TableFormatError(f"{what}: expected a dataset's costs: use the official file.")
        here = _texts(columns.get("config"), what)
        if texts and here != texts:
            raise TableFormatError(f"{what}: the networks are not those of the other datasets.")
        texts = here
        for name, column in columns.items():
            if name == "config":
                continue
            match = _METRIC.fullmatch(name) if isinstance(name, str) else None
            if match is None:
                raise TableFormatError(f"{what}: {shown(name)} is no latency or energy.")
            content = numbers(column, f"{what}, {name}")
            if len(content) != len(texts):
                raise TableFormatError(
                    f"{what}: {len(content)} numbers of {name} for {len(texts)} networks."
                )
            metric = _metric(match[1], match[2], dataset_name(dataset))
            metrics[metric.key], values[metric.key] = metric, content[:, None, None]
        progress(done + 1, len(datasets))
    space = get_space("nb201")
    archs = [space.parse(t) for t in texts]
    if len(set(archs)) != len(archs):
        raise TableFormatError(f"{path.name} names a network twice: use the official file.")
    return TableData(
        "hw-nas",
        [space.format(a) for a in archs],
        metrics,
        values,
        "nb201",
        np.array([a.genes for a in archs], dtype=np.int64),
        {
            "source": path.name,
            "licence": "MIT",
            "reference": _REFERENCE,
            "skeleton": "full",
        },
    )


def _metric(device: str, what: str, dataset: str) -> Metric:
    better = None if what == "arithmetic_intensity" else False
    return Metric(f"{what}_{device}", dataset, _UNITS[what], better, "cost")


def _texts(configs: Any, what: str) -> list[str]:
    if not isinstance(configs, list) or not configs:
        raise TableFormatError(f"{what}: no list 'config' says which networks these are.")
    texts = []
    for config in configs:
        text = config.get("arch_str") if isinstance(config, dict) else None
        if not isinstance(text, str):
            raise TableFormatError(f"{what}: a 'config' without 'arch_str': use the official file.")
        texts.append(text)
    return texts
