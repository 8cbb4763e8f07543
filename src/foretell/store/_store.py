"""The store itself: one SQLite file, opened or created."""

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from foretell.errors import UsageError
from foretell.store._connection import Database, Durability, Journal
from foretell.store._schema import FORMAT
from foretell.store._scores import Scores
from foretell.store._studies import Studies
from foretell.store._trials import Trials

__all__ = ["FORMAT", "Store"]


class Store(Studies, Trials, Scores):
    """Studies, trials with leases, bulk scores and values in one SQLite file.

    May be shared by threads, forked and pickled: every process opens its own connection on first
    use. Any number of processes may hold the same file open.

    Args:
        path: the file; created when it is absent or empty, but its folder must be there.
        journal: "wal" is fast and for processes of one machine; "delete" also works on the network
            file systems that several machines share; "auto" chooses by the file system.
        durability: "process": written data survive a crash or kill -9 of any process; "power": also
            a power cut, at the cost of some milliseconds per write.
        busy_seconds: how long a call waits for another process's transaction.
        read_only: whether to open an existing store without writing, also in a read-only folder.
        now: the clock, in seconds since the epoch; leases and timestamps are measured by it.

    Raises:
        StoreVersionError: the file is a store of another format.
        StoreLockedError: another process held it for longer than ``busy_seconds``.
        StoreFullError: the disk is full.
        StoreError: the file cannot be opened or written, or is no store.
        UsageError: an argument is invalid.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        journal: Journal = "auto",
        durability: Durability = "process",
        busy_seconds: float = 30.0,
        read_only: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open the file, or create it."""
        if journal not in ("auto", "wal", "delete"):
            raise UsageError(f"journal is auto, wal or delete, but got {journal!r}.")
        if durability not in ("process", "power"):
            raise UsageError(f"durability is process or power, but got {durability!r}.")
        self.path = Path(path).absolute()
        self._now = now
        self._db = Database(
            self.path,
            journal=journal,
            durability=durability,
            busy_seconds=busy_seconds,
            read_only=read_only,
        )
        self._ids: dict[str, int] = {}
        self._db.open()

    def close(self) -> None:
        """Close this process's connection; optional."""
        self._db.close()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as path and options."""
        options = {
            "journal": self._db.journal,
            "durability": self._db.durability,
            "busy_seconds": self._db.busy_seconds,
            "read_only": self._db.read_only,
            "now": self._now,
        }
        return _reopen, (self.path, options)


def _reopen(path: Path, options: dict[str, Any]) -> Store:
    return Store(path, **options)
