"""How far the running trials are: told from where they run to the study that waits for them.

A trial in this process tells directly. One in a process of its own, whichever executor started it,
writes a line into a folder whose name it has from its environment; the study looks there.
"""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

__all__ = ["Told", "part_teller", "tell_children", "watch"]

Told: TypeAlias = Callable[[float, str], None]
"""(trials that are done since the watch began, as a fraction; words on the latest) -> None."""

_VARIABLE = "FORETELL_PROGRESS"
_FOLDER = ".progress"
_LOOK_SECONDS = 2.0


class _Here:
    """Adds up the trials of this process, which run one after the other."""

    def __init__(self, told: Told) -> None:
        self.process, self.told = os.getpid(), told
        self.begun = 0

    def teller(self) -> Told:
        before = self.begun
        self.begun += 1
        return lambda part, words: self.told(before + part, words)


_watches: list[_Here] = []
_folders: list[str] = []
"""Where the open studies of this process look, the latest last."""
_outside: list[str | None] = []
"""What the variable said before the first of them."""


def part_teller() -> Told:
    """What a trial calls with the share of it that is done, and words."""
    if _watches and _watches[-1].process == os.getpid():
        return _watches[-1].teller()
    if not (folder := os.environ.get(_VARIABLE)):
        return lambda part, words: None
    file = Path(folder) / f"{os.getpid()}-{time.monotonic_ns()}"

    def tell(part: float, words: str) -> None:
        draft = file.with_suffix(".part")
        with contextlib.suppress(OSError):  # a full disk: the trial matters, not its progress
            draft.write_text(f"{part:.6f} {words}", encoding="utf-8")
            draft.replace(file)

    return tell


@contextmanager
def tell_children(folder: Path) -> Iterator[None]:
    """Let every process that is started within the block know where to write.

    Args:
        folder: of the run.
    """
    if not _folders:
        _outside.append(os.environ.get(_VARIABLE))
    drop = str(folder / _FOLDER)
    _folders.append(drop)
    os.environ[_VARIABLE] = drop
    try:
        yield
    finally:
        # Studies that are open at once need not be closed in the order of their opening.
        _folders.remove(drop)
        last = _folders[-1] if _folders else _outside.pop()
        if last is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = last


@contextmanager
def watch(folder: Path, told: Told) -> Iterator[None]:
    """Listen to the trials that run within the block.

    Args:
        folder: of the run, as for ``tell_children``; what lies in its hidden folder is removed.
        told: called from this thread by trials of this process, else from another.
    """
    drop = folder / _FOLDER
    shutil.rmtree(drop, ignore_errors=True)
    with contextlib.suppress(OSError):
        drop.mkdir()
    ended = threading.Event()
    looking = threading.Thread(target=_look, args=(drop, told, ended), daemon=True)
    _watches.append(_Here(told))
    looking.start()
    try:
        yield
    finally:
        _watches.pop()
        ended.set()
        looking.join()
        shutil.rmtree(drop, ignore_errors=True)


def _look(drop: Path, told: Told, ended: threading.Event) -> None:
    """Tell what the files say, as long as they change."""
    last: list[str] = []
    while not ended.wait(_LOOK_SECONDS):
        lines = []
        with contextlib.suppress(OSError):
            files = [f for f in drop.iterdir() if f.suffix != ".part"]
            files.sort(key=lambda f: f.stat().st_mtime_ns)
            lines = [f.read_text(encoding="utf-8") for f in files]
        if lines and lines != last:
            last = lines
            parts = [line.partition(" ") for line in lines]
            told(sum(float(part) for part, _, _ in parts), parts[-1][2])
