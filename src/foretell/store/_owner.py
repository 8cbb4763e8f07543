"""Names of lease owners, from which it can be seen whether their process is alive."""

import os
import secrets
import socket
from pathlib import Path

__all__ = ["is_dead", "is_here", "owner_name"]


def owner_name() -> str:
    """A name for this process as an owner of leases: machine, process id, and a random part.

    Two calls give two names, so that two loops in one process never share a lease.
    """
    return f"{_machine()}/{os.getpid()}/{secrets.token_hex(4)}"


def is_here(owner: str) -> bool:
    """Whether ``owner_name`` made this name on this machine, in this container, since its boot."""
    return owner.rpartition("/")[0].rpartition("/")[0] == _machine()


def is_dead(owner: str) -> bool:
    """Whether ``owner_name`` made this name in a process of this machine that has ended.

    False if unknown: for a process of another machine or container, a name of another form, or a
    reused process id.
    """
    rest = owner.rpartition("/")[0].rpartition("/")[2]
    if not is_here(owner) or not rest.isdecimal():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return _zombie(int(rest))


def _zombie(pid: int) -> bool:
    """Whether the process is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] == ["Z"]


def _machine() -> str:
    """Host name, and on Linux the boot and the process namespace: process ids mean nothing else."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        space = os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}.{boot}.{space}"
