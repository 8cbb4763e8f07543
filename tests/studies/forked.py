"""Functions in a process of their own that a test may kill, without a second import of torch."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

from foretell.errors import ForetellError
from foretell.store import Store

CONTEXT = multiprocessing.get_context("fork")
LIMIT = 60.0


def children(pid):
    """The processes that a process has started and that are still there."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def run_for(
    function, *arguments, seconds=LIMIT, condition=lambda: False, victim=lambda process: process.pid
):
    """Call a function, and SIGKILL a process of it after so many seconds, or on a condition.

    Returns its exit code; None if it was still running ``LIMIT`` seconds later.
    """
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    end = time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < end and not condition():
        process.join(0.005)
    if process.is_alive():
        os.kill(victim(process), signal.SIGKILL)
    process.join(LIMIT)
    if process.is_alive():
        process.kill()
        return None
    return process.exitcode


def finished(folder, study):
    """Key -> everything about a finished trial that a second run of it would change."""
    try:
        with Store(folder / "study.db", read_only=True) as store:
            return {
                t.key: (t.state, t.attempts, t.started, t.finished, t.seconds, str(t.value))
                for t in store.trials(study)
                if t.state.final
            }
    except ForetellError:  # killed before the study was written
        return {}
