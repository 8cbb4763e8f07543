"""What a prediction is asked for."""

import math
import shlex
from typing import ClassVar

from foretell.errors import UsageError
from foretell.spaces.rows import Duplicates
from foretell.studies._base import StudyConfig

__all__ = ["PredictConfig"]


class PredictConfig(StudyConfig, frozen=True):
    """How to predict, and for a run in a folder, what.

    Args:
        predictor: a registered name.
        encodings: names with "+" between; by default "graf", "costs" where they can be
            counted, "scores" if there are proxies, and "onehot" where genes can be told apart.
        proxies: names of proxies to compute; these need a task.
        level: share of values that intervals should hold; 0 for none.
        higher_is_better: whether the best has the highest value.
        seed: of folds, models, weights and batches.
        target: what was measured, such as "accuracy"; for reports.
        bounds: between which all values lie, such as (0, 1) for an accuracy or (0, inf) for a
            latency: no prediction and no interval goes beyond; None if nothing is known.
        measured: file of the measured architectures and their values.
        column: of that file; empty for the only column of numbers.
        arch: the column of architectures in that file and in the pool's.
        duplicates: of several rows about one architecture their "mean", the "first", or "refuse".
        skip_unknown: whether rows that name no architecture are left out.
        space: name of the space.
        pool: file of the architectures to rank; empty to draw them.
        sample: how many to draw without a pool.
        data: images for proxies; empty for none.
        preset: skeleton of the space; None chooses by image size.
        explain: how many of the best to explain.
    """

    KIND: ClassVar[str] = "predict"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("measured", "pool", "explain")

    predictor: str = "auto"
    encodings: str = ""
    proxies: tuple[str, ...] = ()
    level: float = 0.9
    higher_is_better: bool = True
    seed: int = 0
    target: str = ""
    bounds: tuple[float, float] | None = None
    measured: str = ""
    column: str = ""
    arch: str = "arch"
    duplicates: Duplicates = "refuse"
    skip_unknown: bool = False
    space: str = "nb201"
    pool: str = ""
    sample: int = 1000
    data: str = ""
    preset: str | None = None
    explain: int = 1

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        usual = PredictConfig()
        words = ["foretell", "predict", self.measured]
        if self.column:
            words += ["--value", self.column]
        if self.arch != usual.arch:
            words += ["--arch", self.arch]
        if self.duplicates != usual.duplicates:
            words += ["--duplicates", self.duplicates]
        if self.skip_unknown:
            words.append("--skip-unknown")
        if not self.higher_is_better:
            words.append("--lower-is-better")
        for name, option in (
            ("space", "--space"), ("pool", "--pool"), ("sample", "--sample"),
            ("predictor", "--predictor"), ("encodings", "--encoding"),
        ):  # fmt: skip
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [option, str(value)]
        if self.proxies:
            words += ["--proxies", ",".join(self.proxies)]
        for name in ("data", "preset", "level"):
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [f"--{name}", str(value)]
        if self.bounds is not None:
            words += ["--bounds", ",".join(f"{v:g}" for v in self.bounds)]
        for name in ("seed", "explain"):
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [f"--{name}", str(value)]
        return shlex.join([*words, "--report", str(out)])

    def check(self) -> None:
        """Refuse what cannot be, before anything is read.

        Raises:
            UsageError: an option has a value that cannot be used.
        """
        if not 0 <= self.level < 1:
            raise UsageError(f"Expected a level from 0 to below 1, but got {self.level}.")
        if self.sample < 1 or self.explain < 1:
            raise UsageError(
                f"Expected a sample and architectures to explain of 1 or more, but got "
                f"{self.sample} and {self.explain}."
            )
        if self.bounds is not None and any(map(math.isnan, self.bounds)):
            raise UsageError(f"Expected bounds that are numbers, but got {self.bounds}.")
