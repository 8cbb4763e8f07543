"""Execution in a copy of this process, so that what a claim does to its process costs the claim."""

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Generator, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from foretell.errors import UsageError
from foretell.execution._base import (
    Claim,
    Executor,
    Function,
    callable_of,
    check_timeout,
    failure,
    run_claim,
)
from foretell.execution._child import end_with_parent
from foretell.execution._deaths import death, memory_kills, out_of_time
from foretell.execution._memory import check_limit, limit_memory, memory_share
from foretell.store import Result

__all__ = ["ForkedExecutor", "can_fork"]

_PR_SET_PDEATHSIG = 1


def can_fork(device: str = "cpu") -> bool:
    """Whether claims may run in a copy of this process: on Linux, without an accelerator."""
    return sys.platform == "linux" and device == "cpu"


class ForkedExecutor(Executor):
    """Runs claims sequentially in one forked copy of this process, which is replaced when it dies.

    The copy has everything that this process had in memory when the first claim came, so nothing
    needs to be sent but claims and results; what the function changes stays in the copy. It ends
    with this process, even if that is killed.

    Args:
        function: payload -> value; a callable, ``module:function`` or ``file.py:function``.
        timeout: seconds that one claim may take before the copy is killed; None for no limit.
        memory_limit: bytes that the copy may allocate; by default half of this machine's memory.
        retries: a claim whose process was ended by SIGKILL, as another process does, is run again
            so often.
        modules: imported here before the copy is made, so that every copy has them.

    Raises:
        PluginError: the text cannot be imported, or is not callable.
        UsageError: a number is out of range, or this system cannot fork.
    """

    def __init__(
        self,
        function: Function,
        timeout: float | None = None,
        *,
        memory_limit: float | None = None,
        retries: int = 0,
        modules: Sequence[str] = (),
    ) -> None:
        """Resolve the function; the copy is made with the first claim."""
        if not can_fork():
            raise UsageError("This system cannot fork safely: use an InlineExecutor.")
        check_timeout(timeout)
        if retries < 0:
            raise UsageError(f"Expected retries >= 0, but got {retries}.")
        check_limit(memory_limit)
        self.function = function
        self.timeout = timeout
        self.memory_limit = memory_share(1) if memory_limit is None else memory_limit
        self.retries = retries
        self._modules = tuple(modules)
        self._call = callable_of(function)
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def map(
        self, claims: Iterable[Claim], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """One result for each claim, in their order.

        Yields:
            Results: done, failed (the function raised, or its process died), timed_out,
            out_of_memory or not_finite.
        """
        for claim in claims:
            yield self._run(claim)

    def close(self) -> None:
        """End the copy."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None and pipe is not None:
            pipe.close()
            if process.is_alive():
                process.kill()
            process.join()
            process.close()

    def _run(self, claim: Claim) -> Result:
        try:
            sent = pickle.dumps(claim)
        except Exception as error:
            return failure(claim.id, error, 0.0)
        limit = None if self.timeout is None else self.timeout * claim.times
        retries = self.retries
        while True:
            kills, start = memory_kills(), time.perf_counter()
            try:
                received = self._ask(sent, limit)
            except BaseException:
                self.close()
                raise
            seconds = time.perf_counter() - start
            if isinstance(received, bytes):
                try:
                    result: Result = pickle.loads(received)
                except Exception as error:
                    return failure(claim.id, error, seconds)
                return result
            if received is None:
                return out_of_time(claim.id, limit or 0.0, seconds)
            for_memory = memory_kills() > kills
            if received != -signal.SIGKILL or for_memory or not retries:
                return death(claim.id, received, seconds, for_memory=for_memory)
            retries -= 1

    def _ask(self, sent: bytes, limit: float | None) -> bytes | int | None:
        """The pickled result; the exit code if the copy died; None if the time was over."""
        if self._process is None or not self._process.is_alive():
            self.close()
            self._start()
        process, pipe = self._process, self._pipe
        assert process is not None
        assert pipe is not None
        try:
            pipe.send_bytes(sent)
            ready = wait([pipe, process.sentinel], limit)
            if pipe in ready or pipe.poll():
                return pipe.recv_bytes()
        except (EOFError, OSError):  # it died, possibly in the middle of sending
            ready = [process.sentinel]
        code = None
        if ready:
            process.join()
            code = process.exitcode or 0
        self.close()
        return code

    def _start(self) -> None:
        for name in self._modules:
            importlib.import_module(name)
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._call, theirs, self._pipe, self.memory_limit, os.getpid())
        )
        self._process.daemon = True
        with warnings.catch_warnings():
            # Other threads of this process hold no lock that claims need.
            warnings.filterwarnings("ignore", "This process.*is multi-threaded", DeprecationWarning)
            self._process.start()
        theirs.close()


def _serve(
    function: Function, pipe: Connection, others: Connection, memory_limit: float, parent: int
) -> None:
    """Run claims from a pipe until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    others.close()
    threading.Thread(target=end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError, AttributeError):
        # The thread cannot run while code outside Python holds the interpreter.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    limit_memory(memory_limit)
    call = callable_of(function)
    with contextlib.suppress(EOFError, OSError):
        while True:
            claim: Claim = pickle.loads(pipe.recv_bytes())
            begin = time.perf_counter()
            result = run_claim(call, claim)
            try:
                answer = pickle.dumps(result)
            except Exception as error:
                answer = pickle.dumps(failure(claim.id, error, time.perf_counter() - begin))
            pipe.send_bytes(answer)
