"""One measurement at a time: a lock that all processes of one user on one machine share."""

import fcntl
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foretell.errors import MeasurementLockError

__all__ = ["lock_path", "measuring"]

TELL_AFTER = 10.0
"""Seconds of waiting after which a warning says so."""
POLL = 0.02
"""Seconds between two tries."""


def lock_path() -> Path:
    """The file, in the folder for temporary files: that one is of this machine, a home is not."""
    return Path(tempfile.gettempdir()) / f"foretell-latency-{os.getuid()}.lock"


@contextmanager
def measuring(wait_seconds: float) -> Iterator[None]:
    """Hold the lock; the operating system drops it when the process ends, however it ends.

    Args:
        wait_seconds: the longest wait for another measurement to end.

    Raises:
        MeasurementLockError: the wait was longer, or the file cannot be opened.
    """
    path = lock_path()
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise MeasurementLockError(
            f"The lock of latency measurements, {str(path)!r}, cannot be opened "
            f"({error.strerror}): mend its rights, or set TMPDIR to a folder that can be written."
        ) from error
    try:
        _wait(handle, path, wait_seconds)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _wait(handle: int, path: Path, wait_seconds: float) -> None:
    start, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            raise MeasurementLockError(
                f"The file {str(path)!r} cannot be locked ({error.strerror}): set TMPDIR to a "
                f"folder of this machine's own disk."
            ) from error
        waited = time.monotonic() - start
        if waited >= wait_seconds:
            raise MeasurementLockError(
                f"Another process has been measuring latency for {waited:.0f} s (it holds "
                f"{str(path)!r}): wait for it, or end it."
            )
        if waited >= TELL_AFTER and not told:
            told = True
            warnings.warn(
                f"Waiting for another process to finish measuring latency (it holds "
                f"{str(path)!r}).",
                stacklevel=4,
            )
        time.sleep(min(POLL, wait_seconds - waited))
