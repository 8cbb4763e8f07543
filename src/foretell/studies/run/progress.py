"""How a study tells the outside how far it is: plain values, no drawing."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["OnProgress", "Progress", "Tracker", "silent"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of a study is.

    Args:
        stage: such as "pool", "score", "train", "final", "attack", "export", "fit".
        done: finished units, those of earlier calls included.
        total: all units.
        rate: units a second of this call; NaN before one is finished.
        remaining: expected seconds until the stage ends; NaN where that cannot be known.
        note: what is worth saying now, such as the best value so far.
    """

    stage: str
    done: int
    total: int
    rate: float = math.nan
    remaining: float = math.nan
    note: str = ""


class OnProgress(Protocol):
    """Called with how far a stage is."""

    def __call__(self, progress: Progress, /) -> None:
        """Take notice."""


def silent(progress: Progress, /) -> None:
    """Tell nobody."""


class Tracker:
    """Turns counts into progress, with the rate and the remaining time of each stage.

    Args:
        on_progress: who is told.
        clock: seconds; for tests.
    """

    def __init__(
        self, on_progress: OnProgress = silent, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """No stage has begun."""
        self._on_progress, self._clock = on_progress, clock
        self._begun: dict[str, tuple[int, float]] = {}

    def __call__(
        self, stage: str, done: int, total: int, note: str = "", *, part: float = 0.0
    ) -> None:
        """Say how far a stage is.

        Args:
            stage: its name; stages may take turns.
            done: finished units.
            total: all units.
            note: what is worth saying now.
            part: of the units that are being worked on, as a fraction of one unit.
        """
        now = self._clock()
        first, start = self._begun.setdefault(stage, (done, now))
        made, spent = done + part - first, now - start
        rate = made / spent if made and spent > 0 else math.nan
        remaining = 0.0 if done >= total else (total - done - part) / rate
        self._on_progress(Progress(stage, done, total, rate, remaining, note))
