"""Progress: a bar per stage on a terminal, with rate and remaining time, else a line at times."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from foretell.studies.run.progress import OnProgress, Progress, silent

__all__ = ["progress"]

_LABELS = {
    "pool": "draw a pool",
    "score": "score untrained",
    "reference": "score others",
    "trace": "trace networks",
    "train": "train trials",
    "final": "train the winner",
    "attack": "attack it",
    "baselines": "compare it",
    "explain": "explain",
    "export": "write results",
    "fit": "fit predictors",
    "time": "time proxies",
    "cells": "train cells",
}
_EVERY = 30.0
"""Seconds between two lines of a stage where there is no terminal."""


@contextmanager
def progress(quiet: bool = False) -> Iterator[OnProgress]:
    """Bars on standard error; where that is no terminal a line a stage, and one every 30 s.

    Args:
        quiet: print nothing.
    """
    if quiet:
        yield silent
    elif sys.stderr.isatty():
        with _bars() as tell:
            yield tell
    else:
        yield Lines()


class Lines:
    """Lines on standard error, for logs of batch jobs.

    Args:
        clock: seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is printed yet."""
        self._clock = clock
        self._printed: dict[str, float] = {}

    def __call__(self, progress: Progress, /) -> None:
        """Print a line, unless the stage had one less than 30 s ago."""
        now = self._clock()
        if now - self._printed.get(progress.stage, -_EVERY) < _EVERY:
            return
        self._printed[progress.stage] = now
        label = _LABELS.get(progress.stage, progress.stage)
        left = progress.remaining
        remaining = f", {_duration(left)} left" if left > 0 else ""  # not where it is NaN
        note = f", {progress.note}" if progress.note else ""
        click.echo(f"{label}: {progress.done:,} of {progress.total:,}{remaining}{note}", err=True)


def _duration(seconds: float) -> str:
    """Such as 40 s, 12 min or 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


@contextmanager
def _bars() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Units per second, of this call's work only."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed and speed < 1000 else "", style="dim")

    bars = Bars(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="green"),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def tell(progress: Progress, /) -> None:
        stage, done, total, note = progress.stage, progress.done, progress.total, progress.note
        if stage not in tasks:
            label = _LABELS.get(stage, stage)
            tasks[stage] = bars.add_task(label, total=total, completed=done, note=note)
        bars.update(tasks[stage], completed=done, total=total, note=note)

    with bars:
        yield tell
