"""Progress on the terminal: one bar per stage, with rate and remaining time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from foretell.studies import OnProgress, silent

__all__ = ["progress"]

_LABELS = {
    "pool": "draw a pool",
    "score": "score untrained",
    "trace": "trace networks",
    "train": "train trials",
    "final": "train the winner",
    "attack": "attack it",
    "explain": "explain",
    "export": "write results",
    "fit": "fit predictors",
}


@contextmanager
def progress(quiet: bool = False) -> Iterator[OnProgress]:
    """Bars on standard error; nothing where that is asked for.

    Args:
        quiet: print nothing.
    """
    if quiet:
        yield silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Units per second, of this call's work only."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.1f}/s" if speed and speed < 1000 else "", style="dim")

    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="green"),
        console=console,
        disable=not sys.stderr.isatty(),
    )
    known: dict[str, object] = {}

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        label = _LABELS.get(stage, stage)
        if stage not in known:
            known[stage] = bars.add_task(label, total=total, completed=done, note=note)
            if bars.disable:
                console.print(f"{label} ...", highlight=False)
        bars.update(known[stage], completed=done, total=total, note=note)  # type: ignore[arg-type]

    with bars:
        yield tell
