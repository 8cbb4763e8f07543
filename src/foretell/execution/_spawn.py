"""Spawned worker processes with a limited number of threads."""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

__all__ = ["LimitedContext", "thread_limits"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_starting = threading.Lock()


def thread_limits(threads: int | None) -> dict[str, str]:
    """Environment variables that limit the threads of numpy, torch and their libraries."""
    return {} if threads is None else dict.fromkeys(_VARIABLES, str(threads))


class LimitedContext(SpawnContext):
    """A spawn context that sets environment variables in each process.

    Libraries read these variables once, on import, possibly before any of our code runs in the new
    process, so they have to be set before it starts.

    Args:
        environment: the variables.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Store the variables."""
        super().__init__()
        self.Process = functools.partial(_Process, dict(environment))  # type: ignore[assignment,misc]


class _Process(SpawnProcess):
    def __init__(self, environment: dict[str, str], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._environment = environment

    def start(self) -> None:
        """Start; Ctrl-C is blocked in the child until it ignores it."""
        with _starting, _environment(self._environment), _interrupt_blocked():
            super().start()


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
