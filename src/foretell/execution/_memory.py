"""How much memory a worker process may take, so that one network does not take the machine's."""

import contextlib
import math
import os
from pathlib import Path

from foretell.errors import UsageError

__all__ = ["check_limit", "limit_memory", "memory_share"]

_SHARE = 0.5
_LEAST = 2 << 30
_ROOM = 1 << 30
"""What a process may take beyond what it has when the limit is set, whatever the limit."""


def memory_share(workers: int) -> float:
    """Bytes that each of so many processes may take: together half of this machine's memory.

    At least 2 GiB each; infinity where the machine's memory is unknown.
    """
    total = _total()
    return math.inf if math.isinf(total) else max(_LEAST, int(_SHARE * total / max(1, workers)))


def check_limit(limit: float | None) -> None:
    """Refuse a limit that is no number of bytes.

    Raises:
        UsageError: it is not above 0.
    """
    if limit is not None and not limit > 0:
        raise UsageError(f"Expected a memory limit above 0 bytes, but got {limit:g}.")


def limit_memory(limit: float) -> None:
    """Let allocations of this process fail beyond a limit: Python and torch raise then.

    Counted are its private writable pages, those that it shares with the process that it is a copy
    of included. Only Linux counts them all; elsewhere nothing is limited.

    Args:
        limit: bytes; infinity for none.
    """
    if math.isinf(limit):
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = max(int(limit), _data() + _ROOM)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _data() -> int:
    """Private writable bytes of this process; 0 if unknown."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _total() -> float:
    """Bytes of memory of this machine, or of the control group that holds this process."""
    try:
        total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError):
        return math.inf
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            total = min(total, float(Path("/sys/fs/cgroup", name).read_text()))
    return total
