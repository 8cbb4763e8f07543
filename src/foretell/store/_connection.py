"""One SQLite connection per process, with transactions and typed errors."""

import contextlib
import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from foretell.errors import StoreError, StoreFullError, StoreLockedError
from foretell.store import _schema

__all__ = ["Database", "Durability", "Journal", "network_file_system"]

Journal = Literal["auto", "wal", "delete"]
Durability = Literal["process", "power"]
T = TypeVar("T")

_SPARE_BYTES = 1 << 20
_inherited: list[sqlite3.Connection] = []
"""Connections of a parent process, kept open: SQLite forbids using them after a fork."""


class Database:
    """A connection that reopens after a fork, with one lock for all threads.

    Args:
        path: the file.
        journal: "wal", "delete", or "auto": WAL unless the file lies on a network file system.
        durability: "process" survives kill -9, "power" also a power cut.
        busy_seconds: how long to wait for another process's transaction.
        read_only: whether to open an existing store for reading only.
    """

    def __init__(
        self,
        path: Path,
        *,
        journal: Journal,
        durability: Durability,
        busy_seconds: float,
        read_only: bool,
    ) -> None:
        """Store the values; ``open`` connects."""
        self.path = path
        self.journal: Journal = journal
        self.durability: Durability = durability
        self.busy_seconds = busy_seconds
        self.read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._pid = -1
        self._lock = threading.RLock()
        self._closed = False

    def open(self) -> None:
        """Connect, and create the tables of an empty file.

        Raises:
            StoreVersionError: the file is a store of another format.
            StoreLockedError: another process held the lock.
            StoreFullError: there is no room for a new store.
            StoreError: the file cannot be opened, or is no store.
        """
        self._closed = False
        self._current()

    def close(self) -> None:
        """Close this process's connection; no other method may be called afterwards."""
        if self._pid == os.getpid():
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
        self._connection = None
        self._closed = True

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of one query.

        Raises:
            StoreError: or one of its kinds, as for ``open``.
        """
        connection = self._current()
        with self._lock, self._guard("read"):
            return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: on disk when the block ends, undone when it raises.

        Raises:
            StoreError: or one of its kinds, as for ``open``.
        """
        connection = self._current()
        if self.read_only:
            raise StoreError(
                f"The store {str(self.path)!r} was opened read-only: open it without read_only to "
                f"write."
            )
        with self._lock, self._guard("written"), _transaction(connection):
            yield connection

    def _current(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"The store {str(self.path)!r} is closed: open it again.")
        if self._pid != os.getpid():
            if self._connection is not None:
                _inherited.append(self._connection)
                self._connection = None
            self._lock = threading.RLock()
            self._pid = os.getpid()
        if self._connection is None:
            with self._lock:
                self._connection = self._connection or self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._check_place()
        with self._guard("opened"):
            connection = self._connect_to(
                f"{_uri(self.path)}?mode={'ro' if self.read_only else 'rwc'}"
            )
            try:
                if self.read_only:
                    return self._prepare_read_only(connection)
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _connect_to(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri,
            uri=True,
            timeout=self.busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )

    def _check_place(self) -> None:
        path = str(self.path)
        if self.path.is_dir():
            raise StoreError(f"The store {path!r} is a folder: give the path of a file in it.")
        if not self.path.parent.is_dir():
            raise StoreError(
                f"The store {path!r} cannot be opened: there is no folder "
                f"{str(self.path.parent)!r}; create it first."
            )
        exists = self.path.exists()
        if self.read_only:
            if not exists:
                raise StoreError(f"There is no store {path!r} to read.")
            return
        for target in [self.path.parent, *([self.path] if exists else [])]:
            if not os.access(target, os.W_OK):
                raise StoreError(
                    f"The store {path!r} cannot be written: {str(target)!r} is read-only; choose "
                    f"another folder or make it writable."
                )

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not _schema.check(connection, self.path):
            # The page size is fixed by the first write, the journal mode included.
            connection.execute(f"PRAGMA page_size = {_schema.PAGE_BYTES}")
        mode = self.journal
        if mode == "auto":
            mode = "delete" if network_file_system(self.path) else "wal"
        self._retry(lambda: self._set_journal(connection, mode))
        strict = self.durability == "power" or mode == "delete"
        connection.execute(f"PRAGMA synchronous = {'FULL' if strict else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys = ON")
        if not _schema.check(connection, self.path):
            with _transaction(connection):
                # Another process may have created the tables while this one waited.
                if not _schema.check(connection, self.path):
                    _schema.create(connection)

    def _prepare_read_only(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """The connection, or an immutable one where the folder is not writable."""
        try:
            has_store = _schema.check(connection, self.path)
        except sqlite3.OperationalError:
            connection.close()
            log = self.path.with_name(self.path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            connection = self._connect_to(f"{_uri(self.path)}?immutable=1")
            has_store = _schema.check(connection, self.path)
        if not has_store:
            connection.close()
            raise StoreError(f"The store {str(self.path)!r} is empty: there is nothing to read.")
        return connection

    def _set_journal(self, connection: sqlite3.Connection, mode: str) -> None:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != mode:
            connection.execute(f"PRAGMA journal_mode = {mode}")

    def _retry(self, action: Callable[[], T]) -> T:
        """Retry while locked: SQLite's busy timeout does not cover a change of the journal mode."""
        until = time.monotonic() + self.busy_seconds
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not _is(error, sqlite3.SQLITE_BUSY) or time.monotonic() >= until:
                    raise
                time.sleep(0.01)

    @contextlib.contextmanager
    def _guard(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._translated(error, done) from error

    def _translated(self, error: sqlite3.Error | OSError, done: str) -> StoreError:
        path = repr(str(self.path))
        if self._is_full(error):
            return StoreFullError(
                f"The store {path} could not be {done}: the disk is full; free some space and run "
                f"the same command again, everything finished so far is kept."
            )
        if isinstance(error, OSError):
            return StoreError(f"The store {path} could not be {done}: {error}.")
        if _is(error, sqlite3.SQLITE_BUSY) or _is(error, sqlite3.SQLITE_LOCKED):
            return StoreLockedError(
                f"The store {path} was locked by another process for {self.busy_seconds:g} seconds:"
                f" wait until that process is done, or end it, and run again."
            )
        if _is(error, sqlite3.SQLITE_NOTADB):
            return StoreError(
                f"{path} is no SQLite database and so no store of foretell: choose another file."
            )
        if _is(error, sqlite3.SQLITE_CORRUPT):
            return StoreError(
                f"The store {path} is damaged ({error}): restore it from a copy, or choose another "
                f"run folder."
            )
        if _is(error, sqlite3.SQLITE_READONLY) or _is(error, sqlite3.SQLITE_CANTOPEN):
            return StoreError(
                f"The store {path} could not be {done} ({error}): check the permissions of the "
                f"file and its folder."
            )
        if _is(error, sqlite3.SQLITE_IOERR):
            return StoreError(
                f"The store {path} could not be {done} ({error}): check the disk's health, its free"
                f" space and your quota, and run again."
            )
        return StoreError(f"The store {path} could not be {done}: {error}.")

    def _is_full(self, error: sqlite3.Error | OSError) -> bool:
        if isinstance(error, OSError):
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        if _is(error, sqlite3.SQLITE_FULL):
            return True
        # A full disk shows itself as a failed read or write, or as a help file that cannot be made.
        if not (_is(error, sqlite3.SQLITE_IOERR) or _is(error, sqlite3.SQLITE_CANTOPEN)):
            return False
        try:
            return shutil.disk_usage(self.path.parent).free < _SPARE_BYTES
        except OSError:
            return False


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back on some errors, a full disk among them.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is(error: sqlite3.Error, code: int) -> bool:
    """Whether the error has a primary code; extended codes have it in their low byte."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF == code


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}"


_NETWORK = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "ceph", "afs", "9p", "fuse.")


def network_file_system(path: Path) -> str | None:
    """Name of the network file system that holds the path; None for a local or unknown one.

    WAL needs shared memory, which network file systems do not provide.
    """
    folder = path.parent.resolve()
    best, kind = -1, ""
    for line in _mounts():
        before, _, after = line.partition(" - ")
        mount = before.split(" ")[4].encode().decode("unicode_escape")
        if len(mount) >= best and folder.is_relative_to(mount):
            best, kind = len(mount), after.split(" ")[0]
    return kind if kind.startswith(_NETWORK) else None


def _mounts() -> list[str]:
    """Lines of Linux's table of mounts; empty on other systems."""
    try:
        return Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return []
