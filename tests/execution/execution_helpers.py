"""What the tests ask the system about processes."""

import os
import signal
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be asked for its end does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether all these processes end soon."""
    until = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def children(pid: int) -> list[int]:
    """Process ids of the children of every thread of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sorted({int(c) for task in tasks for c in (task / "children").read_text().split()})


def deaf(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status") as file:
            blocked = next(line for line in file if line.startswith("SigBlk"))
    except (OSError, StopIteration):
        return False
    return bool(int(blocked.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
