"""How a worker process ended, as the result of the claim that it was running."""

import signal
from pathlib import Path

from foretell.store import Result, State

__all__ = ["death", "memory_kills", "out_of_time"]


def death(id: int | str, code: int, seconds: float, *, for_memory: bool = False) -> Result:
    """The result of a claim whose worker process ended.

    Args:
        id: of the claim.
        code: exit code; minus the signal's number where a signal ended it.
        seconds: how long the claim had run.
        for_memory: whether the system ended a process for lack of memory meanwhile.
    """
    if code == -signal.SIGKILL and for_memory:
        state = State.out_of_memory
        message = "The system ended its worker for lack of memory: use fewer workers."
    else:
        state = State.failed
        message = f"Its worker process {_ending(code)}."
    return Result(id, state, error="WorkerDied", message=message, seconds=seconds)


def out_of_time(id: int | str, limit: float, seconds: float) -> Result:
    """The result of a claim that took longer than the limit."""
    return Result(
        id,
        State.timed_out,
        error="TimeoutError",
        message=f"It took longer than the limit of {limit:g} seconds.",
        seconds=seconds,
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with code {code} in the middle of the claim"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", by a user or for lack of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


def memory_kills() -> int:
    """Number of out-of-memory kills of this system since boot; 0 if unknown."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    lines = [line for line in text.splitlines() if line.startswith("oom_kill ")]
    return int(lines[0].split()[1]) if lines else 0
