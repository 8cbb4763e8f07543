"""What a build has trained so far."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.build_benchmark.data import task_of
from foretell.studies.build_benchmark.draw import CellRun
from foretell.types import Json

__all__ = ["BenchmarkBuild"]


@dataclass(frozen=True)
class BenchmarkBuild:
    """The runs of a build.

    Args:
        config: its settings.
        runs: key of a run -> the run, in the order of the draw.
        records: key of a run -> what ``run_cell`` found, of the finished ones.
        file: the table; empty until all runs are finished.
        command: what repeats it.
    """

    config: BuildConfig
    runs: Mapping[str, CellRun]
    records: Mapping[str, Json]
    file: str
    command: str

    @property
    def complete(self) -> bool:
        """Whether every run is finished."""
        return len(self.records) == len(self.runs)

    def tables(self) -> dict[str, Mapping[str, Sequence[object]]]:
        """One row for each finished run: accuracies after the last epoch, losses and seconds."""
        space = get_space("nb201")
        task = task_of(self.config)
        done = {key: run for key, run in self.runs.items() if key in self.records}
        runs, records = list(done.values()), [self.records[key] for key in done]
        columns: dict[str, Sequence[object]] = {
            "arch": [space.format(run.arch) for run in runs],
            "seed": [self.config.seed + run.seed for run in runs],
            "long": [run.long for run in runs],
            "epochs": [len(r["val_loss"]) for r in records],
            "train_loss": [_last(r["train_loss"]) for r in records],
            "val_loss": [_last(r["val_loss"]) for r in records],
            "val_accuracy": [_last(r["val_right"], len(task.val)) for r in records],
            "test_accuracy": [_last(r["test_right"], len(task.test)) for r in records],
        }
        for attack in self.config.attacks:
            for place, eps in enumerate(self.config.eps):
                columns[f"{attack}_eps{eps:g}_accuracy"] = [
                    r[attack][place] / self.config.attacked if attack in r else math.nan
                    for r in records
                ]
        return {
            "runs": {
                **columns,
                "seconds": [_last(r["seconds"]) for r in records],
                "failure": [r["failure"] for r in records],
            }
        }


def _last(values: Sequence[float | None], whole: int = 1) -> float:
    """The last value as a share; NaN where there is none."""
    found = values[-1] if values else None
    return math.nan if found is None else found / whole
