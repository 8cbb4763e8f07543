"""The log of a run: one line for what happened, with its time."""

import math
import time
from datetime import UTC, datetime
from pathlib import Path

from foretell.studies.run.progress import Progress

__all__ = ["Log"]

_EVERY = 30.0
"""Seconds between two lines of one stage."""


class Log:
    """A text file that only grows.

    Args:
        path: made with the first line.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is written yet."""
        self.path = path
        self._told: dict[str, tuple[float, int]] = {}
        self._waiting: list[str] = []

    def write(self, text: str) -> None:
        """Append one line."""
        line = f"{datetime.now(UTC).isoformat('T', 'seconds')} {' '.join(text.split())}\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)

    def progress(self, progress: Progress) -> None:
        """Append a line where a stage begins or ends, and every 30 s between."""
        now = time.monotonic()
        at, total = self._told.get(progress.stage, (-math.inf, -1))
        complete = progress.done >= progress.total
        if now - at < _EVERY and not (complete and progress.total != total):
            return
        self._told[progress.stage] = (
            now,
            progress.total if progress.done >= progress.total else -1,
        )
        remaining = f", {progress.remaining:.0f} s left" if progress.remaining > 0 else ""
        note = f", {progress.note}" if progress.note else ""
        self.write(f"{progress.stage}: {progress.done} of {progress.total}{remaining}{note}")
