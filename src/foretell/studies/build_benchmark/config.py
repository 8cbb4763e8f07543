"""What the embedded benchmark is built from."""

import shlex
from pathlib import Path
from typing import ClassVar

from foretell.errors import UsageError
from foretell.files import user_path
from foretell.spaces import Skeleton
from foretell.studies._base import StudyConfig

__all__ = ["BuildConfig"]


class BuildConfig(StudyConfig, frozen=True, kw_only=True):
    """Everything that the numbers of the table follow from, and where it is written.

    Args:
        cells: how many are drawn; more begin with the same ones.
        second_every: each cell whose place in the draw is a multiple of this has a second seed.
        seed: of the draw, of the split, of batches, weights, order and attacks.
        channels: of the first stage.
        stage_cells: cells in each stage.
        epochs: of training.
        batch_size: of training.
        lr: highest learning rate.
        attacks: names from the registry of attacks.
        eps: in 1/255.
        attacked: how many test images are attacked.
        score_batch: images in each of the two batches that proxies look at.
        file: of the table, ending in ``.foretell``.
        workers: processes, each with one thread.
    """

    KIND: ClassVar[str] = "build_benchmark"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = ("cells", "file", "workers")

    cells: int = 1600
    second_every: int = 3
    seed: int = 0
    channels: int = 4
    stage_cells: int = 1
    epochs: int = 20
    batch_size: int = 128
    lr: float = 0.1
    attacks: tuple[str, ...] = ("fgsm", "pgd")
    eps: tuple[float, ...] = (4.0, 8.0, 16.0, 24.0, 32.0)
    attacked: int = 250
    score_batch: int = 64
    file: str = "digits-nb201.foretell"
    workers: int = 1

    @property
    def skeleton(self) -> Skeleton:
        """What surrounds the genes."""
        return Skeleton((1, 8, 8), 10, self.channels, self.stage_cells)

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        usual = BuildConfig()
        words = ["foretell", "benchmark", "build", "digits-nb201"]
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
        if self.workers < 1:
            raise UsageError(f"Expected workers >= 1, but got {self.workers}.")
        if self.epochs < 1:
            raise UsageError(f"Expected epochs >= 1, but got {self.epochs}.")
        folder = user_path(self.file).parent
        if not folder.is_dir():
            raise UsageError(
                f"There is no folder {str(folder)!r} to write {Path(self.file).name} to: make it "
                f"first."
            )
