"""What a build has trained so far."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foretell.arch import Arch
from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.types import Json

__all__ = ["BenchmarkBuild"]

_VAL, _TEST = 539, 540
"""Images of the parts of ``digits_task``."""


@dataclass(frozen=True)
class BenchmarkBuild:
    """The runs of a build.

    Args:
        config: its settings.
        runs: key of a run -> cell and number of its seed, in the order of the draw.
        records: key of a run -> what ``run_cell`` found, of the finished ones.
        file: the table; empty until all runs are finished.
        command: what repeats it.
    """

    config: BuildConfig
    runs: Mapping[str, tuple[Arch, int]]
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
        rows = [(*self.runs[key], self.records[key]) for key in self.runs if key in self.records]
        columns: dict[str, Sequence[object]] = {
            "arch": [space.format(arch) for arch, _, _ in rows],
            "seed": [self.config.seed + run for _, run, _ in rows],
            "epochs": [len(r["val_loss"]) for _, _, r in rows],
            "train_loss": [_last(r["train_loss"]) for _, _, r in rows],
            "val_loss": [_last(r["val_loss"]) for _, _, r in rows],
            "val_accuracy": [_last(r["val_right"], _VAL) for _, _, r in rows],
            "test_accuracy": [_last(r["test_right"], _TEST) for _, _, r in rows],
        }
        for attack in self.config.attacks:
            for place, eps in enumerate(self.config.eps):
                columns[f"{attack}_eps{eps:g}_accuracy"] = [
                    r[attack][place] / self.config.attacked if attack in r else math.nan
                    for _, _, r in rows
                ]
        return {
            "runs": {
                **columns,
                "seconds": [_last(r["seconds"]) for _, _, r in rows],
                "failure": [r["failure"] for _, _, r in rows],
            }
        }


def _last(values: Sequence[float | None], whole: int = 1) -> float:
    """The last value as a share; NaN where there is none."""
    found = values[-1] if values else None
    return math.nan if found is None else found / whole
