"""The run folder: made, locked against a second run, written atomically."""

import contextlib
import errno
import faulthandler
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from foretell.errors import RunFolderError
from foretell.files import user_path, whole

__all__ = ["RunFolder"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES = 1 << 16


class RunFolder:
    """A folder that holds one run and nothing else.

    Args:
        path: made if it is not there.

    Raises:
        RunFolderError: it cannot be made or written, or is a file.
    """

    def __init__(self, path: Path | str) -> None:
        """Make the folder and try to write into it."""
        self.path = user_path(path).resolve()
        with self._refusing():
            self.path.mkdir(parents=True, exist_ok=True)
            self._probe(b"")

    def check(self, message: str) -> None:
        """See whether a failure is put down to the folder: to its disk, or to its being gone.

        Args:
            message: of the failure.

        Raises:
            RunFolderError: the folder is gone or cannot be written, or its disk is full.
        """
        full = [os.strerror(code) for code in _FULL]
        with self._refusing():
            if not self.path.is_dir():
                raise RunFolderError(
                    f"The run folder {str(self.path)!r} is gone: it was removed or renamed while "
                    f"the run was going on. Bring it back and run the same command again to go "
                    f"on, or start anew."
                )
            self._probe(bytes(_PROBE_BYTES))
            if any(words in message for words in full):
                raise OSError(errno.ENOSPC, full[0])

    def _probe(self, content: bytes) -> None:
        probe = self.path / f".probe-{os.getpid()}"
        try:
            probe.write_bytes(content)
        finally:
            probe.unlink(missing_ok=True)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Within the block an error of the system is a sentence about the folder."""
        try:
            yield
        except (FileExistsError, NotADirectoryError) as error:
            raise RunFolderError(
                f"The run folder {str(self.path)!r} is a file: choose another with --out."
            ) from error
        except OSError as error:
            if error.errno in _FULL:
                raise RunFolderError(
                    f"The disk that holds {str(self.path)!r} is full: free some space, or choose "
                    f"another folder with --out. What is finished stays."
                ) from error
            raise RunFolderError(
                f"The run folder {str(self.path)!r} cannot be written ({error.strerror}): choose "
                f"another with --out, or mend its rights."
            ) from error

    @property
    def store(self) -> Path:
        """Where the study's database is."""
        return self.path / "study.db"

    @property
    def best(self) -> Path:
        """Where the winner is exported to."""
        return self.path / "best"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: two runs in it at once would do the same work.

        The operating system drops the lock when the process ends, however it ends.

        Raises:
            RunFolderError: another process holds it.
        """
        with (self.path / ".lock").open("w") as handle, _closed_in_copies(handle):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunFolderError(
                    f"Another run is going on in {str(self.path)!r}: wait for it, or choose "
                    f"another folder with --out."
                ) from error
            yield

    def write_text(self, name: str, text: str) -> Path:
        """Write a file whole or not at all."""
        target = self.path / name
        with whole(target) as draft:
            draft.write_text(text, encoding="utf-8")
        return target

    def fault_left(self) -> bool:
        """Whether the process before this one ended by a fault of its own; the trace is removed."""
        path = self.path / _FAULT
        try:
            left = path.stat().st_size > 0
            path.unlink()
        except OSError:
            return False
        return left

    @contextmanager
    def watching_faults(self) -> Iterator[None]:
        """Let what ends this process from inside leave a trace: a fault, or a call of ``os._exit``.

        Faults leave none where Python's faulthandler is in use already.
        """
        path = self.path / _FAULT
        with _exits_leave(path):
            if faulthandler.is_enabled():
                yield
                return
            with path.open("w") as file:
                faulthandler.enable(file)
                try:
                    yield
                finally:
                    faulthandler.disable()
        path.unlink(missing_ok=True)


@contextmanager
def _exits_leave(path: Path) -> Iterator[None]:
    """Let ``os._exit`` of this process write a line first; its children end by it as always."""
    leave, here = os._exit, os.getpid()

    def exit_(status: int) -> NoReturn:
        if os.getpid() == here:
            with contextlib.suppress(OSError):
                path.write_text(f"os._exit({status})\n")
        leave(status)

    os._exit = exit_
    try:
        yield
    finally:
        os._exit = leave


_FAULT = ".fault"
_locks: set[IO[str]] = set()
"""Handles that hold a lock, which a copy of this process would go on to hold after its end."""


@contextmanager
def _closed_in_copies(handle: IO[str]) -> Iterator[None]:
    _locks.add(handle)
    try:
        yield
    finally:
        _locks.discard(handle)


def _close_locks() -> None:
    for handle in _locks:
        handle.close()
    _locks.clear()


os.register_at_fork(after_in_child=_close_locks)
