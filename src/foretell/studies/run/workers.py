"""Which executor runs a study's claims where the caller names none."""

from foretell.errors import UsageError
from foretell.execution import Executor, Function, InlineExecutor, PoolExecutor

__all__ = ["check_workers", "executor_for"]


def executor_for(
    function: Function, workers: int, work: int, *, timeout: float | None = None
) -> Executor:
    """This process, or as many others as there is work for.

    Args:
        function: payload -> value.
        workers: processes; 0 stands for this one.
        work: how many claims there will be.
        timeout: seconds that one of them may take.
    """
    if not workers or not work:
        return InlineExecutor(function)
    return PoolExecutor(function, min(workers, work), timeout)


def check_workers(workers: int, timeout: float | None = None) -> None:
    """Refuse numbers that no executor can run with.

    Raises:
        UsageError: there are fewer than 0 workers, or a time limit without a process to end.
    """
    if workers < 0:
        raise UsageError(f"Expected 0 workers or more, but got {workers}.")
    if timeout is not None and not workers:
        raise UsageError("A time limit needs a process to end: ask for 1 worker or more with it.")
