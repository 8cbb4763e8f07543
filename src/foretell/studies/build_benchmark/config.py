"""What an embedded benchmark is built from."""

import difflib
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from foretell.errors import UnknownNameError, UsageError
from foretell.files import user_path
from foretell.spaces import Skeleton
from foretell.studies._base import StudyConfig

__all__ = ["CLUTTER", "DIGITS", "PLANS", "BuildConfig", "plan_of"]


class BuildConfig(StudyConfig, frozen=True, kw_only=True):
    """Everything that the numbers of the table follow from, and where it is written.

    The defaults are those of ``digits-nb201``; ``PLANS`` has the settings of each table.

    Args:
        benchmark: name of the table.
        dataset: what its columns of measured values begin with.
        data: the data source; "digits" in parts of its own, see ``task_of``.
        input_shape: channels, height and width of the images.
        cells: how many are drawn; more begin with the same ones.
        repeats: runs of a cell that is trained repeatedly, each from a seed of its own.
        repeat_every: each cell whose place in the draw is a multiple of this is such a cell.
        long_every: each cell whose place is a multiple of this has a long run too; 0 for none.
        long_epochs: of a long run.
        seed: of the draw, of the split, of batches, weights, order and attacks.
        common: whether all cells share the random numbers of a seed, for weights and for the order
            of images, so that two cells differ less by luck; else each cell has its own.
        channels: of the first stage.
        stage_cells: cells in each stage.
        epochs: of training.
        batch_size: of training.
        lr: highest learning rate.
        test_curve: whether test images are looked at after each epoch, not only the last one.
        attacks: names from the registry of attacks.
        eps: in 1/255.
        attacked: how many test images are attacked.
        score_batch: images in each of the two batches that proxies look at.
        file: of the table, ending in ``.foretell``.
        workers: processes, each with one thread.
    """

    KIND: ClassVar[str] = "build_benchmark"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("cells", "file", "workers")

    benchmark: str = "digits-nb201"
    dataset: str = "digits"
    data: str = "digits"
    input_shape: tuple[int, int, int] = (1, 8, 8)
    cells: int = 1600
    repeats: int = 2
    repeat_every: int = 3
    long_every: int = 0
    long_epochs: int = 0
    seed: int = 0
    common: bool = False
    channels: int = 4
    stage_cells: int = 1
    epochs: int = 20
    batch_size: int = 128
    lr: float = 0.1
    test_curve: bool = True
    attacks: tuple[str, ...] = ("fgsm", "pgd")
    eps: tuple[float, ...] = (4.0, 8.0, 16.0, 24.0, 32.0)
    attacked: int = 250
    score_batch: int = 64
    file: str = "digits-nb201.foretell"
    workers: int = 1

    @property
    def skeleton(self) -> Skeleton:
        """What surrounds the genes."""
        return Skeleton(self.input_shape, 10, self.channels, self.stage_cells)

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        usual = PLANS.get(self.benchmark, DIGITS)
        words = ["foretell", "benchmark", "build", self.benchmark]
        for name, option in (
            ("cells", "--cells"), ("epochs", "--epochs"), ("workers", "--workers"),
            ("file", "--out"),
        ):  # fmt: skip
            if (value := getattr(self, name)) != getattr(usual, name):
                words += [option, str(value)]
        return shlex.join([*words, "--work", str(out)])

    def check(self) -> None:
        """Refuse what cannot be, before anything is trained.

        Raises:
            UsageError: a number is out of range, or the file cannot be written.
        """
        for name in ("workers", "epochs", "repeats", "repeat_every"):
            if (value := getattr(self, name)) < 1:
                raise UsageError(f"Expected {name} >= 1, but got {value}.")
        if self.long_every and self.long_epochs < 1:
            raise UsageError(f"Expected long_epochs >= 1, but got {self.long_epochs}.")
        folder = user_path(self.file).parent
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {str(folder)!r} to write {Path(self.file).name} to: make it "
                f"first."
            )


DIGITS = BuildConfig()
"""The settings of digits-nb201."""
CLUTTER = BuildConfig(
    benchmark="clutter-nb201",
    dataset="clutter",
    data="clutter?train=2000&val=500&test=4000&size=10",
    input_shape=(1, 10, 10),
    cells=1500,
    repeats=3,
    repeat_every=5,
    long_every=15,
    long_epochs=50,
    channels=8,
    stage_cells=2,
    epochs=10,
    batch_size=64,
    test_curve=False,
    eps=(2.0, 4.0, 8.0),
    attacked=150,
    file="clutter-nb201.foretell",
)
"""The settings of clutter-nb201."""
PLANS: Mapping[str, BuildConfig] = MappingProxyType({p.benchmark: p for p in (DIGITS, CLUTTER)})
"""Name of an embedded table -> what it is built from."""


def plan_of(name: str) -> BuildConfig:
    """The settings of an embedded table.

    Raises:
        UnknownNameError: there is no such table.
    """
    if name not in PLANS:
        near = difflib.get_close_matches(name, PLANS)
        raise UnknownNameError("embedded benchmark", name, near, PLANS)
    return PLANS[name]
