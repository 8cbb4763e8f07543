"""The robustness dataset on NAS-Bench-201: a folder of JSON files of accuracies under attack."""

from pathlib import Path
from typing import Any

import numpy as np

from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers._names import dataset_name
from foretell.benchmarks.importers.formats.files import read_json
from foretell.benchmarks.importers.formats.sheet import Sheet, number
from foretell.errors import MissingDataError, TableFormatError
from foretell.spaces import get_space
from foretell.types import Json

__all__ = ["robustness"]

_REFERENCE = "Jung et al., Neural Architecture Design and Robustness: A Dataset, ICLR 2023"
_LARGEST = 256 << 20
_DATASETS = ("cifar10", "cifar100", "ImageNet16-120")
_ATTACKS = (
    "clean", "aa_apgd-ce@Linf", "aa_square@Linf", "fgsm@Linf", "pgd@Linf", "brightness",
    "contrast", "defocus_blur", "elastic_transform", "fog", "frost", "gaussian_noise",
    "glass_blur", "impulse_noise", "jpeg_compression", "motion_blur", "pixelate", "shot_noise",
    "snow", "zoom_blur",
)  # fmt: skip
_MEASURES = ("accuracy", "confidence", "cm")
_MOST_STEPS = 64


@importers.add(
    "nb201-robustness",
    summary="robustness of NAS-Bench-201: accuracy under 4 attacks and 15 corruptions, 3 datasets",
    reference=_REFERENCE,
    reads="the folder with meta.json and cifar10/fgsm@Linf_accuracy.json and others",
    space="nb201",
)
def robustness(path: Path, progress: Progress) -> TableData:
    """The official folder; of the measures, only the accuracies.

    Networks that compute the same function were evaluated once: they share the numbers.

    Raises:
        MissingDataError: no meta.json, or no file of accuracies.
        TableFormatError: a file is damaged, or holds something else.
    """
    if not (path / "meta.json").is_file():
        raise MissingDataError(f"{str(path)!r} holds no meta.json: give the unpacked folder.")
    meta = read_json(path / "meta.json")
    texts, places = _networks(meta)
    files = sorted([*path.glob("*_accuracy*.json"), *path.glob("*/*_accuracy*.json")])
    if not files:
        raise MissingDataError(
            f"{str(path)!r} holds no file such as cifar10/fgsm@Linf_accuracy.json: unpack "
            f"cifar10-accuracies.zip there."
        )
    sheet = Sheet(len(texts), path.name)
    for done, file in enumerate(files):
        if file.stat().st_size > _LARGEST:
            raise TableFormatError(f"{file.name} is larger than any official file.")
        _put(sheet, read_json(file), meta.get("epsilons"), places, file.name)
        progress(done + 1, len(files))
    space = get_space("nb201")
    archs = [space.parse(t) for t in texts]
    metrics, values = sheet.finish(len(texts))
    return TableData(
        "nb201-robustness",
        [space.format(a) for a in archs],
        metrics,
        values,
        "nb201",
        np.array([a.genes for a in archs], dtype=np.int64),
        {"source": path.name, "reference": _REFERENCE, "skeleton": "full"},
    )


def _networks(meta: Json) -> tuple[list[str], dict[str, list[int]]]:
    """Official texts, and the rows that share the evaluation of each id."""
    ids = meta.get("ids") if isinstance(meta, dict) else None
    if not isinstance(ids, dict) or not ids:
        raise TableFormatError("meta.json holds no 'ids': use the official file.")
    texts: list[str] = []
    places: dict[str, list[int]] = {}
    for name, record in ids.items():
        text = record.get("nb201-string") if isinstance(record, dict) else None
        same = record.get("isomorph") if isinstance(record, dict) else None
        if not isinstance(text, str) or not isinstance(same, str) or same not in ids:
            raise TableFormatError(
                f"meta.json: {name[:20]!r} needs a 'nb201-string' and an 'isomorph': use the "
                f"official file."
            )
        places.setdefault(same, []).append(len(texts))
        texts.append(text)
    if len(set(texts)) != len(texts):
        raise TableFormatError("meta.json names a network twice: use the official file.")
    return texts, places


def _put(
    sheet: Sheet, found: Json, epsilons: Any, rows_of: dict[str, list[int]], what: str
) -> None:
    for dataset, attacks in _items(found, what):
        for attack, measures in _items(attacks, what):
            for measure, networks in _items(measures, what):
                expected = dataset in _DATASETS and attack in _ATTACKS and measure in _MEASURES
                if not expected:
                    raise TableFormatError(
                        f"{what}: {dataset[:20]!r}, {attack[:20]!r}, {measure[:20]!r} are not in "
                        f"the dataset: use the official file."
                    )
                if measure != "accuracy":
                    continue
                steps = epsilons.get(attack) if isinstance(epsilons, dict) else None
                for name, values in _items(networks, what):
                    if name not in rows_of:
                        raise TableFormatError(f"{what}: {name[:20]!r} is not in meta.json.")
                    many = values if isinstance(values, list) else [values]
                    if len(many) > _MOST_STEPS:
                        raise TableFormatError(f"{what}: {len(many)} strengths of one attack.")
                    metrics = _metrics(attack, dataset_name(dataset), values, steps, what)
                    for metric, value in zip(metrics, many, strict=True):
                        one = [number(value, f"{what}, {name[:20]}")]
                        for row in rows_of[name]:
                            sheet.put(metric, row, one)


def _metrics(attack: str, dataset: str, values: Any, steps: Any, what: str) -> list[Metric]:
    """One metric per strength: eps in 1/255, or severities from 1 where meta.json gives none."""
    name, _, norm = attack.partition("@")
    if not isinstance(values, list):
        return [_metric(f"{name}_accuracy", dataset, "")]
    if steps is None:
        count = range(1, len(values) + 1)
        return [_metric(f"{name}_severity{n}_accuracy", dataset, "") for n in count]
    if not isinstance(steps, list) or len(steps) != len(values):
        raise TableFormatError(f"{what}: {len(values)} accuracies, but other 'epsilons'.")
    eps = [number(s, f"meta.json, epsilons of {attack[:30]}") for s in steps]
    note = f"{norm} attack, eps in 1/255" if norm else "eps in 1/255"
    return [_metric(f"{name}_eps{e:g}_accuracy", dataset, note) for e in eps]


def _metric(name: str, dataset: str, summary: str) -> Metric:
    return Metric(name, dataset, "fraction", True, split="test", summary=summary)


def _items(found: Any, what: str) -> list[tuple[str, Any]]:
    if not isinstance(found, dict):
        raise TableFormatError(
            f"{what}: expected dataset, attack, measure and network, one inside the other."
        )
    return list(found.items())
