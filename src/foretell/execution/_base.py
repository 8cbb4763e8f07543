"""The contract of an executor: claims in, results out; a failure is a state, never a number."""

import errno
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias, cast

from foretell.errors import NonFiniteLossError, PluginError, TrialPrunedError, UsageError
from foretell.files import user_path
from foretell.registry import resolve
from foretell.store import Result, State
from foretell.types import Json

__all__ = [
    "Claim",
    "Executor",
    "Function",
    "absolute",
    "callable_of",
    "check_timeout",
    "failure",
    "run_claim",
]

_LONGEST = 1e8
"""Seconds, three years: what the system's clocks can wait for."""

Function: TypeAlias = str | Callable[[Json], Json]
"""``module:function``, ``file.py:function``, or a callable: payload -> value."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A unit of work.

    Args:
        id: its name; for a trial, the trial's id.
        payload: what the function is called with.
        times: how many times the executor's time limit it may take.
    """

    id: int | str
    payload: Json
    times: float = 1.0


class Executor(ABC):
    """Base class of executors: calls a function on claims, and turns errors into results.

    A context manager; leaving the block stops running claims.
    """

    workers: int = 1
    """Number of claims that run concurrently."""
    isolated: bool = True
    """Whether a claim that kills its process leaves this one alive."""

    @abstractmethod
    def map(
        self, claims: Iterable[Claim], *, ordered: bool = True
    ) -> Generator[Result, None, None]:
        """One result for each claim.

        A claim is taken from the iterable when a worker is free, after all available results were
        yielded, so that the iterable can use results before it yields the next claim.

        Args:
            claims: what to run; consumed lazily.
            ordered: whether results are yielded in the order of the claims, so that every executor
                yields the same sequence; results wait for slower earlier claims, workers do not.
                Otherwise each is yielded as soon as it is available, and at most one claim per
                worker is open.

        Yields:
            Results. Closing the generator, or an error in the caller's loop, stops running claims.
        """

    def close(self) -> None:  # noqa: B027
        """Stop running claims; the executor may be used again."""

    def __enter__(self) -> Self:
        """The executor itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def check_timeout(timeout: float | None, workers: int | None = None) -> None:
    """Refuse a time limit that no clock can wait for, or that has no process to end.

    Args:
        timeout: seconds, or None.
        workers: processes that it is for; None where there is always one.

    Raises:
        UsageError: it is not above 0 and at most 1e8 seconds, or there is no worker.
    """
    if timeout is not None and not 0 < timeout <= _LONGEST:
        raise UsageError(
            f"Expected a timeout > 0 seconds and at most {_LONGEST:g}, or None, but got "
            f"{timeout:g}."
        )
    if timeout is not None and workers is not None and not workers:
        raise UsageError("A timeout needs a process to end: give workers=1 or more with it.")


def absolute(function: Function) -> Function:
    """The same function, with an absolute path of its file."""
    if isinstance(function, str):
        location, _, attribute = function.rpartition(":")
        if location.endswith(".py"):
            return f"{user_path(location).resolve()}:{attribute}"
    return function


def callable_of(function: Function) -> Callable[[Json], Json]:
    """The callable that a text names, or the callable itself.

    Raises:
        PluginError: the text cannot be imported, or is not callable.
    """
    target = resolve(function) if isinstance(function, str) else function
    if not callable(target):
        raise PluginError(
            f"{function!r} is a {type(target).__name__} and cannot be called: name a function that "
            f"takes a payload and returns a value."
        )
    return cast(Callable[[Json], Json], target)


def run_claim(function: Callable[[Json], Json], claim: Claim) -> Result:
    """Call the function on one claim's payload.

    Every exception but KeyboardInterrupt becomes a result, SystemExit included.
    """
    start = time.perf_counter()
    try:
        value = function(claim.payload)
    except TrialPrunedError as error:
        return Result(
            claim.id,
            State.pruned,
            error.value,
            message=str(error),
            seconds=time.perf_counter() - start,
        )
    except (Exception, SystemExit) as error:
        return failure(claim.id, error, time.perf_counter() - start)
    return Result(claim.id, State.done, value, seconds=time.perf_counter() - start)


def failure(id: int | str, error: BaseException, seconds: float) -> Result:
    """The result of a claim whose function raised, without the frame of ``run_claim``."""
    trace = error.__traceback__
    shown = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    return Result(
        id,
        _state(error),
        error=type(error).__name__,
        message=str(error),
        traceback="".join(traceback.format_exception(type(error), error, shown)),
        seconds=seconds,
    )


def _state(error: BaseException) -> State:
    """State that an error stands for; a chained error has that of its cause."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, NonFiniteLossError):
            return State.not_finite
        if _is_memory(seen):
            return State.out_of_memory
        seen = seen.__cause__
    return State.failed


def _is_memory(error: BaseException) -> bool:
    # torch's class is known by its name, so that torch need not be there; its CPU allocator raises
    # a plain RuntimeError.
    return (
        isinstance(error, MemoryError)
        or any(c.__name__ == "OutOfMemoryError" for c in type(error).__mro__)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
