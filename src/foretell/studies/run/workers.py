"""Which executor runs a study's claims where the caller names none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from foretell.errors import NetworkError, UsageError
from foretell.execution import (
    Claim,
    Executor,
    ForkedExecutor,
    Function,
    InlineExecutor,
    PoolExecutor,
    can_fork,
    check_timeout,
)
from foretell.studies.run.threads import one_thread

__all__ = ["COUNTING", "TORCH", "check_workers", "executor_for", "within"]

T = TypeVar("T")

RETRIES = 2
"""A worker that another process killed is replaced so often for one claim."""
TORCH = (
    "foretell.networks.custom",
    "foretell.proxies.autograd_pass.run",
    "foretell.cost",
    "foretell.training",
)
"""What processes import that build, score and train networks."""
COUNTING = ("torch._dynamo",)
"""What counting on the meta device imports with its first network."""


def executor_for(
    function: Function,
    workers: int,
    work: int,
    *,
    timeout: float | None = None,
    memory_limit: float | None = None,
    forked: bool = False,
    modules: Sequence[str] = (),
) -> Executor:
    """This process, a copy of it, or as many others as there is work for.

    Args:
        function: payload -> value.
        workers: processes; 0 stands for this one.
        work: how many claims there will be.
        timeout: seconds that one of them may take.
        memory_limit: bytes that a worker may allocate; None for a share of the machine's memory.
        forked: whether 0 workers stand for one copy of this process, where the system can make
            one: what the function does to its process costs the claim, and what it changes in
            memory is not seen here.
        modules: imported before the first claim, outside its time.
    """
    if workers and work:
        return PoolExecutor(
            function,
            min(workers, work),
            timeout,
            memory_limit=memory_limit,
            retries=RETRIES,
            modules=modules,
        )
    if forked and can_fork():
        return ForkedExecutor(
            function, timeout, memory_limit=memory_limit, retries=RETRIES, modules=modules
        )
    return InlineExecutor(function)


def check_workers(workers: int, timeout: float | None = None) -> None:
    """Refuse numbers that no executor can run with.

    Raises:
        UsageError: there are fewer than 0 workers, or a time limit without a process to end.
    """
    if workers < 0:
        raise UsageError(f"Expected 0 workers or more, but got {workers}.")
    check_timeout(timeout)
    if timeout is not None and not workers:
        raise UsageError("A time limit needs a process to end: ask for 1 worker or more with it.")


def within(
    timeout: float | None, function: Callable[[int], T], names: Sequence[str]
) -> Iterator[T]:
    """Call a function that may run a user's code with 0 to n - 1, where a time limit is asked for.

    Args:
        timeout: seconds that one call may take; None calls it here.
        function: index -> value, which pickle can send.
        names: n names, for messages.

    Yields:
        The values, in order.

    Raises:
        NetworkError: a call took too long, or ended its process.
        UsageError: the limit is none, or this system has no copies of processes.
        Exception: what the function raised, where there is no limit.
    """
    if timeout is None:
        yield from map(function, range(len(names)))
        return
    copy = ForkedExecutor(partial(_one_thread, function), timeout, modules=TORCH)
    claims = (Claim(i, i) for i in range(len(names)))
    with copy, closing(copy.map(claims)) as results:
        for name, result in zip(names, results, strict=True):
            if not result.ok:
                raise NetworkError(f"{name}: {result.error}: {result.message}")
            yield result.value


def _one_thread(function: Callable[[int], T], index: int) -> T:
    with one_thread():
        return function(index)
