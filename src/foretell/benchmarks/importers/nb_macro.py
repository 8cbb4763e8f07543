"""NAS-Bench-Macro: one JSON object of networks of eight blocks."""

from pathlib import Path

from foretell.benchmarks._base import Metric, TableData
from foretell.benchmarks.importers._base import Progress, importers
from foretell.benchmarks.importers.formats.files import only_file, read_json
from foretell.benchmarks.importers.formats.sheet import Sheet, number, numbers
from foretell.errors import TableFormatError

__all__ = ["nb_macro"]

_REFERENCE = "Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021"
_DATASET = "cifar10"


@importers.add(
    "nb-macro",
    summary="NAS-Bench-Macro: 6,561 networks of 8 blocks, CIFAR-10, 3 runs",
    reference=_REFERENCE,
    reads="nas-bench-macro_cifar10.json",
    space="",
)
def nb_macro(path: Path, progress: Progress) -> TableData:
    """The official JSON file.

    Raises:
        TableFormatError: the file is corrupt, or has other content.
    """
    path = only_file(path, r"nas-bench-macro.*\.json", "nas-bench-macro_cifar10.json")
    records = read_json(path)
    if not isinstance(records, dict) or not records:
        raise TableFormatError(f"{path.name} holds no networks by name: use the official file.")
    sheet = Sheet(len(records), path.name)
    for row, (name, record) in enumerate(records.items()):
        what = f"{path.name}, {name[:40]}"
        if not 1 <= len(name) <= 32 or set(name) - set("012") or not isinstance(record, dict):
            raise TableFormatError(f"{what}: expected a name of digits 0 to 2 and a record.")
        runs = numbers(record.get("test_acc"), f"{what}, test_acc")
        if not 1 <= len(runs) <= 16:
            raise TableFormatError(f"{what}: {len(runs)} runs, but expected three.")
        accuracy = Metric("test_accuracy", _DATASET, "fraction", True, split="test", scale=0.01)
        mean = number(record.get("mean_acc"), f"{what}, mean_acc")
        if not abs(float(runs.mean()) - mean) < 1e-3:
            raise TableFormatError(f"{what}: 'mean_acc' is not the mean of 'test_acc': damaged.")
        for seed, value in enumerate(runs.tolist()):
            sheet.put(accuracy, row, [value], seed=seed)
        for field in ("params", "flops"):
            value = number(record.get(field), f"{what}, {field}")
            sheet.put(Metric(field, _DATASET, "count", None, "cost"), row, [value])
        progress(row + 1, len(records))
    metrics, values = sheet.finish(len(records))
    return TableData(
        "nb-macro",
        list(records),
        metrics,
        values,
        facts={"source": path.name, "reference": _REFERENCE},
    )
