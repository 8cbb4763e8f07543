"""Execution in worker processes, with time limits and isolated failures."""

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from pebble import ProcessExpired, ProcessPool

from foretell.errors import UsageError, WorkerError
from foretell.execution._base import (
    Claim,
    Executor,
    Function,
    absolute,
    callable_of,
    check_timeout,
    failure,
)
from foretell.execution._child import NotLoadedError, call, start
from foretell.execution._deaths import death, memory_kills, out_of_time
from foretell.execution._memory import check_limit, memory_share
from foretell.execution._spawn import LimitedContext, thread_limits
from foretell.store import Result

__all__ = ["PoolExecutor"]

_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.5


class PoolExecutor(Executor):
    """Runs claims in persistent worker processes.

    Every worker has a pebble pool, and so a pipe, of its own: killing a worker at any moment loses
    only its own claim. Workers are spawned, so a script that uses them needs the ``if __name__ ==
    "__main__":`` guard; they end with this process, even if it is killed.

    Args:
        function: payload -> value; ``module:function``, ``file.py:function``, or a callable that
            pickle can send. It is loaded once in each worker, outside the time limit.
        workers: number of processes.
        timeout: seconds that one claim may take before its worker is killed; None for no limit.
        threads_per_worker: threads of numpy and torch in each worker; None to inherit the
            environment. Results can depend on this number through rounding.
        max_tasks: a worker is restarted after this many claims, to bound memory leaks; 0 for never.
        memory_limit: bytes that one worker may allocate: more than that fails its claim as out of
            memory (on Linux); by default half of this machine's memory, shared among the workers.
        retries: a claim whose worker was ended by SIGKILL, as another process does, is run again so
            often.
        modules: imported in each worker before its first claim, outside the time limit.

    Raises:
        PluginError: the text cannot be imported, or is not callable.
        UsageError: a number is out of range, or the callable cannot be sent to a process.
    """

    def __init__(
        self,
        function: Function,
        workers: int,
        timeout: float | None = None,
        *,
        threads_per_worker: int | None = 1,
        max_tasks: int = 0,
        memory_limit: float | None = None,
        retries: int = 0,
        modules: Sequence[str] = (),
    ) -> None:
        """Validate the arguments; processes are started with the first claims."""
        threads = 1 if threads_per_worker is None else threads_per_worker
        if workers < 1 or max_tasks < 0 or threads < 1 or retries < 0:
            raise UsageError(
                f"Expected workers >= 1, threads_per_worker >= 1, max_tasks >= 0 and retries >= 0, "
                f"but got {workers}, {threads_per_worker}, {max_tasks} and {retries}."
            )
        check_timeout(timeout)
        check_limit(memory_limit)
        callable_of(function)
        try:
            sent = pickle.dumps(absolute(function))
        except Exception as error:
            raise UsageError(
                f"The function {function!r} cannot be sent to a worker process ({error}): define it"
                f" at the top of a module, or name it as 'module:function'."
            ) from error
        self.function = function
        self.workers = workers
        self.timeout = timeout
        self.memory_limit = memory_share(workers) if memory_limit is None else memory_limit
        self.retries = retries
        context = LimitedContext(thread_limits(threads_per_worker))
        arguments = (sent, tuple(modules), self.memory_limit)
        self._slots = [_Slot(arguments, context, max_tasks, timeout) for _ in range(workers)]
        self._busy = False

    def map(
        self, claims: Iterable[Claim], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """One result for each claim; see ``Executor.map``.

        Yields:
            Results: done, failed (the function raised, or its worker died), timed_out,
            out_of_memory or not_finite.

        Raises:
            WorkerError: workers cannot be started, or cannot load the function.
            UsageError: another ``map`` of this executor is still running.
        """
        if self._busy:
            raise UsageError(
                "This pool is already running a map: finish or close that one first, or make "
                "another pool."
            )
        self._busy = True
        running: dict[Future[bytes], _Job] = {}
        try:
            yield from self._run(enumerate(claims), running, ordered)
        finally:
            _stop([job.slot for job in running.values()])
            self._busy = False

    def close(self) -> None:
        """Stop the worker processes; results that were not yielded are lost."""
        _stop(self._slots)

    def _run(
        self,
        source: "enumerate[Claim]",
        running: "dict[Future[bytes], _Job]",
        ordered: bool,
    ) -> Generator[Result, None, None]:
        idle = list(reversed(self._slots))
        ready: dict[int, Result] = {}
        due = 0
        more = True
        while more or running or ready:
            while ready and (not ordered or due in ready):
                yield ready.pop(due if ordered else next(iter(ready)))
                due += 1
            while more and idle:
                number, claim = next(source, (-1, None))
                if claim is None:
                    more = False
                    break
                try:
                    sent = pickle.dumps(claim)
                except Exception as error:
                    ready[number] = failure(claim.id, error, 0.0)
                    break
                job = _Job(number, claim, sent, idle.pop(), self.retries)
                running[job.begin()] = job
            if running and not (ready and (not ordered or due in ready)):
                finished, _ = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for future in sorted(finished or running, key=lambda f: running[f].number):
                    job = running[future]
                    if not finished and not job.vanished():
                        continue
                    del running[future]
                    result = job.end(future) if finished else job.died(0)
                    if result is None:
                        running[job.begin()] = job
                    else:
                        ready[job.number] = result
                        idle.append(job.slot)


class _Slot:
    """A slot for a worker process and its replacements."""

    def __init__(
        self,
        arguments: tuple[bytes, tuple[str, ...], float],
        context: LimitedContext,
        max_tasks: int,
        timeout: float | None,
    ) -> None:
        self.function, self.context = arguments[0], context
        self.max_tasks, self.timeout = max_tasks, timeout
        self.arguments = arguments
        self.pool: ProcessPool | None = None
        self.number = 0
        self.sign = context.RawArray("q", 2)

    def schedule(self, claim: bytes, times: float) -> "Future[bytes]":
        if self.pool is None or not self.pool.active:
            self.stop()
            self.pool = ProcessPool(
                max_workers=1,
                max_tasks=self.max_tasks,
                initializer=start,
                initargs=(self.sign, *self.arguments),
                context=self.context,
            )
        self.number += 1
        arguments = (self.number, claim)
        limit = None if self.timeout is None else self.timeout * times
        future: Future[bytes] = self.pool.schedule(call, args=arguments, timeout=limit)
        return future

    def deserted(self) -> bool:
        """Whether the process that took the last claim has ended."""
        pid, number = self.sign
        if number != self.number:
            return False
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def stop(self) -> None:
        """Stop the process, in any state of its pipe."""
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            # A worker killed while it wrote leaves half a message, and a thread that waits for the
            # other half for ever: leave that one behind.
            joiner = threading.Thread(target=_join, args=(pool,), daemon=True)
            joiner.start()
            joiner.join(_STOP_SECONDS)


def _join(pool: ProcessPool) -> None:
    with contextlib.suppress(Exception):
        pool.join()


def _stop(slots: Iterable[_Slot]) -> None:
    threads = [threading.Thread(target=slot.stop, daemon=True) for slot in slots if slot.pool]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class _Job:
    """A claim that is running in a worker.

    Args:
        number: index of the claim.
        claim: the claim.
        sent: the same, pickled.
        slot: of the worker.
        started: seconds of a monotonic clock.
        kills: the system's out-of-memory kills at the start.
        retries: how often it is sent again if another process kills the worker.
        restarts: times the worker was lost before it took the claim.
        deserted: times it was seen without a process.
    """

    number: int
    claim: Claim
    sent: bytes
    slot: _Slot
    retries: int = 0
    started: float = 0.0
    kills: int = 0
    restarts: int = 0
    deserted: int = 0

    def begin(self) -> "Future[bytes]":
        """Send the claim to the worker."""
        self.started = time.perf_counter()
        self.kills = memory_kills()
        return self.slot.schedule(self.sent, self.claim.times)

    def vanished(self) -> bool:
        """Whether the worker exited with code 0 without a result, which pebble does not detect."""
        # Twice, because the result may be on its way.
        self.deserted += self.slot.deserted()
        return self.deserted > 1

    def end(self, future: "Future[bytes]") -> Result | None:
        """The result; None if the worker was lost before it took the claim: send it again.

        Raises:
            WorkerError: the worker cannot be started, or cannot load the function.
        """
        try:
            result: Result = pickle.loads(future.result())
        except TimeoutError:
            limit = (self.slot.timeout or 0.0) * self.claim.times
            return out_of_time(self.claim.id, limit, self._seconds())
        except ProcessExpired as error:
            return self.died(error.exitcode)
        except NotLoadedError as error:
            raise WorkerError(
                f"A worker process cannot load {pickle.loads(self.slot.function)!r}: {error}"
            ) from error
        except (BrokenProcessPool, RuntimeError) as error:
            self.slot.stop()
            self.restarts += 1
            if self.restarts > 1:
                raise WorkerError(
                    "Worker processes end before they take any work; the reason stands in their "
                    "output above. A script that uses workers needs the guard "
                    "if __name__ == '__main__':"
                ) from error
            return None
        except Exception as error:
            return failure(self.claim.id, error, self._seconds())
        return result

    def _seconds(self) -> float:
        return time.perf_counter() - self.started

    def died(self, code: int) -> Result | None:
        """The result of a claim whose worker was lost; None to send it again."""
        self.slot.stop()
        for_memory = memory_kills() > self.kills
        if code == -signal.SIGKILL and not for_memory and self.retries > 0:
            self.retries -= 1
            self.deserted = 0
            return None
        return death(self.claim.id, code, self._seconds(), for_memory=for_memory)
