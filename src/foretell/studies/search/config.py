"""What a search is asked to do: one frozen value, readable from and writable to JSON."""

import math
import shlex
from typing import ClassVar

from foretell.errors import UsageError
from foretell.execution import check_limit, check_timeout
from foretell.quantities import get_quantity
from foretell.studies._base import StudyConfig
from foretell.types import Json

__all__ = ["DEFAULT_PROXIES", "SearchConfig"]

DEFAULT_PROXIES = (
    "params",
    "flops",
    "live_params",
    "sum_log_params",
    "l2_norm",
    "grad_norm",
    "snip",
    "fisher",
    "plain",
    "jacov",
    "epe_nas",
    "nwot",
    "synflow",
    "zico",
)
"""What a search scores its pool with: the suite without its two most expensive members."""


class SearchConfig(StudyConfig, frozen=True, kw_only=True):
    """The settings of one search.

    Args:
        space: registered name or ``file.py:attribute``.
        data: data source, such as "digits" or "folder:PATH".
        image_size: pixels to which images are resized; None keeps them.
        preset: skeleton of the space: a preset, channels and cells such as "12x1", or "auto" for a
            choice by the limits; None chooses by image size, and by the limits where that would
            leave nothing to choose from.
        objectives: quantities to optimise, such as "accuracy" or "latency@onnxruntime".
        prefer: which point of the front of several objectives wins: "knee" or an objective's name.
        constraints: texts such as "params<=100k", "flops<=90%ref" or "latency@torch<=4ms".
        reference: the architecture that shares (%ref) refer to.
        searcher: registered name or ``file.py:attribute``.
        proxies: names of the proxies that score the pool.
        pool: how many feasible architectures are scored.
        trials: how many of them are trained.
        round: how many are asked for at once; they may run in parallel. It changes what is asked
            for, so it does not follow the number of workers.
        epochs: length of a trial's training; None takes the short recipe's own.
        final_epochs: length of the winner's training; None takes the full recipe's own.
        lr: learning rate; None takes the recipe's own.
        baselines: how many random networks are trained beside the winner and the biggest, by the
            recipe of the trials, to say what the search won; 0 trains none.
        attacks: names of attacks on the winner; empty for none.
        eps: their strengths in 1/255.
        attack_images: how many images are attacked.
        score_batch: images in a scoring batch.
        onnx: whether to export the winner as ONNX, too, where the extra is installed.
        seed: everything random follows from it.
        device: torch device.
        workers: processes that train trials; 0 trains in this process.
        timeout: seconds after which a trial, or the scoring or counting of a network, is given up;
            None waits.
        memory_limit: memory that a worker may allocate, such as "4GiB"; None for half of this
            machine's, shared among the workers.
    """

    KIND: ClassVar[str] = "search"
    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "trials", "prefer", "final_epochs", "baselines", "attacks", "eps", "attack_images", "onnx",
        "device", "workers", "timeout", "memory_limit",
    )  # fmt: skip

    space: str = "nb201"
    data: str = "digits"
    image_size: int | None = None
    preset: str | None = None
    objectives: tuple[str, ...] = ("accuracy",)
    prefer: str = "knee"
    constraints: tuple[str, ...] = ()
    reference: str | None = None
    searcher: str = "robot"
    proxies: tuple[str, ...] = DEFAULT_PROXIES
    pool: int = 300
    trials: int = 16
    round: int = 2
    epochs: int | None = None
    final_epochs: int | None = None
    lr: float | None = None
    baselines: int = 0
    attacks: tuple[str, ...] = ("fgsm", "pgd")
    eps: tuple[float, ...] = (1, 2, 4, 8)
    attack_images: int = 500
    score_batch: int = 64
    onnx: bool = True
    seed: int = 0
    device: str = "cpu"
    workers: int = 0
    timeout: float | None = None
    memory_limit: str | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that no search can run with.

        Raises:
            UsageError: a count is too small; it names the setting.
        """
        for name, least in (
            ("pool", 1), ("trials", 1), ("round", 1), ("workers", 0), ("seed", 0),
            ("score_batch", 2), ("attack_images", 1), ("baselines", 0),
        ):  # fmt: skip
            if (value := getattr(self, name)) < least:
                raise UsageError(f"{name} must be at least {least}, but is {value}.")
        for name in ("epochs", "final_epochs", "image_size"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, but is {value}.")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise UsageError(f"lr must be a finite number above 0, but is {self.lr}.")
        check_timeout(self.timeout, self.workers)
        check_limit(self.memory_bytes)
        if not self.objectives:
            raise UsageError("objectives must name at least one quantity, such as accuracy.")

    @property
    def memory_bytes(self) -> float | None:
        """``memory_limit`` in bytes."""
        if self.memory_limit is None:
            return None
        try:
            return get_quantity("memory").parse(self.memory_limit)
        except UsageError as error:
            raise UsageError(f"memory_limit is a size such as 4GiB, but is {error}.") from error

    def identity(self) -> dict[str, Json]:
        """The settings that a resumed run must share; the rest may change between runs.

        How many images are attacked counts where accuracy under attack is an objective or bounded.
        """
        from foretell.studies.search.goals import Goals

        data = super().identity()
        if Goals.of(self).attacked:
            data["attack_images"] = self.attack_images
        return data

    def command(self, out: object) -> str:
        """The command line of these settings, defaults left out.

        Args:
            out: the run folder.
        """
        plain = SearchConfig()
        words = ["foretell", "search"]
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name in ("eps", "score_batch") or value == getattr(plain, name):
                continue
            flag = "--" + _FLAGS.get(name, name).replace("_", "-")
            if name == "onnx":
                words.append("--no-onnx")
            elif name == "constraints":
                for text in value:
                    words += ["--constraint", text]
            else:
                words += [flag, ",".join(value) if isinstance(value, tuple) else str(value)]
        return shlex.join([*words, "--out", str(out)])


_FLAGS = {"objectives": "objective"}
