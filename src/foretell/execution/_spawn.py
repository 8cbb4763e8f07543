"""New worker processes with a limited number of threads."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

if sys.platform == "linux":
    from multiprocessing.context import ForkServerProcess
else:
    ForkServerProcess = SpawnProcess

__all__ = ["LimitedContext", "thread_limits"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_HEAVY = "torch"
"""What takes a worker most of its start; copies of a process that has it need not import it."""
_starting = threading.Lock()
_server_of = 0
"""Process that started the server of copies; a fork of it cannot ask that server."""


def thread_limits(threads: int | None) -> dict[str, str]:
    """Environment variables that limit the threads of numpy, torch and their libraries."""
    return {} if threads is None else dict.fromkeys(_VARIABLES, str(threads))


class LimitedContext(SpawnContext):
    """A context that sets environment variables in each process.

    Libraries read these variables once, on import, possibly before any of our code runs in the new
    process, so they have to be set before it starts.

    A process is spawned, or, on Linux, where this process has imported torch and workers have one
    thread each, copied from a server that is spawned once and imports torch: the copy of a process
    without threads and without any state of ours starts in a tenth of the time.

    Args:
        environment: the variables.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Store the variables."""
        super().__init__()
        self.Process = functools.partial(_new, dict(environment))  # type: ignore[assignment,misc]


def _new(environment: dict[str, str], *args: Any, **options: Any) -> BaseProcess:
    """A process that was not started yet."""
    served = (
        sys.platform == "linux"
        and _HEAVY in sys.modules
        and set(environment.values()) == {"1"}
        and _server_of in (0, os.getpid())
    )
    return (_Copy if served else _Spawned)(environment, *args, **options)


class _Spawned(SpawnProcess):
    def __init__(self, environment: dict[str, str], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._environment = environment

    def start(self) -> None:
        """Start; Ctrl-C is blocked in the child until it ignores it."""
        with _starting, _environment(self._environment), _interrupt_blocked():
            super().start()


class _Copy(ForkServerProcess):
    def __init__(self, environment: dict[str, str], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._environment = environment

    def start(self) -> None:
        """Start, as ``_Spawned``, with the environment of this moment, not of the server."""
        global _server_of
        with _starting, _environment(self._environment), _interrupt_blocked():
            if not _server_of:
                multiprocessing.set_forkserver_preload([_HEAVY])
                _server_of = os.getpid()
            self._environment = dict(os.environ)
            super().start()

    def run(self) -> None:
        """Run in the copy."""
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
