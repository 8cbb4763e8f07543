"""The worker side of the process pool."""

import importlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, MutableSequence, Sequence

from foretell.execution._base import Claim, callable_of, failure, run_claim
from foretell.execution._memory import limit_memory
from foretell.types import Json

__all__ = ["NotLoadedError", "call", "end_with_parent", "start"]

_function: Callable[[Json], Json] | None = None
_problem = ""
_sign: MutableSequence[int] = [0, 0]


class NotLoadedError(Exception):
    """The worker could not load the function; no claim can run here."""


def start(
    sign: MutableSequence[int], function: bytes, modules: Sequence[str], memory_limit: float
) -> None:
    """Initialise a worker process.

    Args:
        sign: shared with the parent: process id and number of the last claim taken.
        function: a pickled ``Function``.
        modules: to import.
        memory_limit: bytes that this process may allocate.
    """
    global _function, _problem, _sign
    _sign = sign
    # End at once when told to, also in the middle of a long computation outside Python.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=end_with_parent, daemon=True).start()
    limit_memory(memory_limit)
    try:
        for name in modules:
            importlib.import_module(name)
        _function = callable_of(pickle.loads(function))
    except Exception as error:
        _problem = f"{type(error).__name__}: {error}"


def call(number: int, claim: bytes) -> bytes:
    """Run one pickled claim; every outcome is a pickled result.

    Args:
        number: of the claim, written to ``sign``.
        claim: a pickled ``Claim``.

    Raises:
        NotLoadedError: there is no function to run.
    """
    _sign[0], _sign[1] = os.getpid(), number
    if _function is None:
        raise NotLoadedError(_problem)
    begin = time.perf_counter()
    taken: Claim = pickle.loads(claim)
    result = run_claim(_function, taken)
    try:
        return pickle.dumps(result)
    except Exception as error:
        return pickle.dumps(failure(result.id, error, time.perf_counter() - begin))


def end_with_parent() -> None:
    """Wait until the parent process ends, and end this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
