"""Worker loops: claim trials from a store, run them, store the results."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from foretell.errors import StoreError, UsageError
from foretell.execution._base import Claim, Executor, Function, check_timeout
from foretell.execution.inline import InlineExecutor
from foretell.execution.pool import PoolExecutor
from foretell.store import Result, State, Store, Trial, owner_name

__all__ = ["WorkReport", "drain", "work"]


@dataclass(frozen=True)
class WorkReport:
    """Summary of a worker loop.

    Args:
        states: number of results in each state; stale ones were not stored.
        seconds: wall time, waiting included.
    """

    states: Mapping[State, int]
    seconds: float

    @property
    def finished(self) -> int:
        """Number of finished trials, failed ones included."""
        return sum(n for state, n in self.states.items() if state is not State.stale)


def drain(
    store: Store,
    study: str,
    executor: Executor,
    *,
    owner: str | None = None,
    lease_seconds: float = 60.0,
    stop: Callable[[], bool] | None = None,
    max_lost: int | None = None,
    ordered: bool = False,
) -> Generator[tuple[Trial, Result], None, None]:
    """Claim and run trials until none is left.

    Each trial is leased while it runs, and the lease renewed by a thread; its result is on disk
    before it is yielded. Leaving early, by Ctrl-C or a break, releases unfinished trials.

    Args:
        store: holds the study.
        study: its name.
        executor: runs the trials' payloads.
        owner: of the leases, unique to this loop; by default a new ``owner_name()``.
        lease_seconds: after which others take over if this process stops responding.
        stop: called before each trial; True claims no more.
        max_lost: see ``Store.claim``.
        ordered: whether to store and yield results in the order of the trials' numbers: a finished
            trial then waits for earlier ones.

    Yields:
        The trial as claimed, and its result; stale if another owner has taken it over.

    Raises:
        UnknownNameError: there is no such study.
        StoreError: the store cannot be read or written.
        WorkerError: the executor's workers cannot be started.
    """
    owner = owner or owner_name()
    held: dict[int | str, Trial] = {}

    def claims() -> Generator[Claim, None, None]:
        while not (stop and stop()):
            claimed = store.claim(study, owner, 1, lease_seconds, max_lost=max_lost)
            if not claimed:
                return
            held[claimed[0].id] = claimed[0]
            yield Claim(claimed[0].id, claimed[0].payload)

    with _Heartbeat(store, held, lease_seconds):
        try:
            with contextlib.closing(executor.map(claims(), ordered=ordered)) as results:
                for result in results:
                    trial = held[result.id]
                    result = _finish(store, trial, result)
                    del held[result.id]
                    yield trial, result
        finally:
            # What cannot be given back is free when its lease is over.
            with contextlib.suppress(StoreError):
                store.give_back(tuple(held.values()))


def _finish(store: Store, trial: Trial, result: Result) -> Result:
    try:
        state = store.finish(trial, result)
    except UsageError as error:
        result = Result(
            result.id,
            State.failed,
            error=type(error).__name__,
            message=str(error),
            seconds=result.seconds,
        )
        state = store.finish(trial, result)
    return result if state is not State.stale else result.as_stale()


class _Heartbeat:
    """A thread that renews leases three times within their duration."""

    def __init__(self, store: Store, held: dict[int | str, Trial], lease_seconds: float) -> None:
        self.store, self.held, self.lease_seconds = store, held, lease_seconds
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, name="foretell-lease", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.thread.join()

    def _beat(self) -> None:
        while not self.ended.wait(self.lease_seconds / 3):
            # A store that is locked or full now may not be so at the next beat; and if it is, the
            # lease ends, which costs a second run of the trial and nothing else.
            with contextlib.suppress(StoreError):
                if trials := list(self.held.values()):
                    self.store.renew(trials, self.lease_seconds)


def work(
    store_path: str | Path,
    study: str,
    function: Function | Executor,
    owner: str | None = None,
    lease_seconds: float = 60.0,
    stop: Callable[[], bool] | None = None,
    *,
    workers: int = 0,
    timeout: float | None = None,
    wait: bool = False,
    poll_seconds: float = 1.0,
    max_lost: int | None = 3,
    on_result: Callable[[Trial, Result], None] | None = None,
) -> WorkReport:
    """Run trials of a study until all are finished, concurrently with other workers.

    Any number of processes, on every machine that can access the file, may call this. A trial is
    taken over when its lease has expired; each is finished exactly once.

    Args:
        store_path: the store's file.
        study: name of the study in it.
        function: payload -> value; a callable, ``module:function`` or ``file.py:function``; or an
            executor that calls one.
        owner: see ``drain``.
        lease_seconds: see ``drain``; well above the clock skew between machines.
        stop: called before each trial and while waiting; True ends the loop.
        workers: processes that run trials; 0 runs them here.
        timeout: seconds that one trial may take; needs ``workers`` of 1 or more.
        wait: whether to keep waiting for new trials when all are finished.
        poll_seconds: interval of polling for new trials.
        max_lost: a trial whose lease expired this often is finished as failed.
        on_result: called after each trial.

    Returns:
        A summary.

    Raises:
        UnknownNameError: there is no such study.
        StoreError: the store cannot be read or written.
        PluginError: the function cannot be found.
        UsageError: a timeout without workers, or a number out of range.
        WorkerError: worker processes cannot be started.
    """
    check_timeout(timeout, workers)
    begin = time.monotonic()
    states: Counter[State] = Counter()
    if isinstance(function, Executor):
        executor = function
    else:
        executor = PoolExecutor(function, workers, timeout) if workers else InlineExecutor(function)
    with Store(store_path) as store, executor:
        while True:
            for trial, result in drain(
                store,
                study,
                executor,
                owner=owner,
                lease_seconds=lease_seconds,
                stop=stop,
                max_lost=max_lost,
            ):
                states[result.state] += 1
                if on_result is not None:
                    on_result(trial, result)
            if stop is not None and stop():
                break
            counts = store.counts(study)
            if not wait and not {State.pending, State.running} & counts.keys():
                break
            time.sleep(poll_seconds)
    return WorkReport(MappingProxyType(dict(states)), time.monotonic() - begin)
