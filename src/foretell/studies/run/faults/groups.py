"""Groups of networks that workers take at once; one that fails is run again, member by member."""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from foretell import errors
from foretell.execution import Claim, Executor
from foretell.store import Result, State
from foretell.studies.run.faults.interrupted import Interrupted
from foretell.types import Json

__all__ = ["run_groups"]

T = TypeVar("T")


def run_groups(
    executor: Executor,
    items: Sequence[T],
    size: int,
    payload: Callable[[Sequence[T]], Json],
    *,
    watch: Interrupted | None = None,
    key: Callable[[T], str] = str,
) -> Generator[tuple[Sequence[T], Result], None, None]:
    """Run claims on groups of items; what one item does to its process costs that item only.

    A group whose process dies, hangs or is out of memory is split: each member runs alone. After a
    group took longer than the limit, which may have been its size, all others are split, too.

    Args:
        executor: runs the claims.
        items: what to run.
        size: of a group.
        payload: of the claim for a group.
        watch: keeps what is running; an item that it has given up comes as failed, one that it
            suspects runs alone and last.
        key: of an item, for ``watch``.

    Yields:
        A group and its result; a failure is that of a single item.

    Raises:
        ForetellError: the function raised one: it holds for every item.
    """
    suspects = [x for x in items if watch is not None and watch.suspected(key(x))]
    plain = [x for x in items if x not in suspects] if suspects else list(items)
    todo: deque[Sequence[T]] = deque(plain[i : i + size] for i in range(0, len(plain), size))
    for item in suspects:
        if watch is not None and (why := watch.given_up(key(item))):
            yield [item], Result(key(item), State.failed, error="WorkerLostError", message=why)
        else:
            todo.append([item])
    sent: dict[int | str, Sequence[T]] = {}
    slow = False

    def claims() -> Generator[Claim, None, None]:
        number = 0
        while todo:
            group = todo.popleft()
            if slow and len(group) > 1:
                todo.extendleft([x] for x in reversed(group[1:]))
                group = group[:1]
            sent[number] = group
            if watch is not None:
                watch.begin(map(key, group))
            yield Claim(number, payload(group))
            number += 1

    while todo:
        with contextlib.closing(executor.map(claims(), ordered=False)) as results:
            for result in results:
                group = sent.pop(result.id)
                if watch is not None:
                    watch.end(map(key, group))
                kind = getattr(errors, result.error, None)
                if isinstance(kind, type) and issubclass(kind, errors.ForetellError):
                    raise _again(kind, result.message)
                if result.ok or len(group) == 1:
                    yield group, result
                else:
                    slow = slow or result.state is State.timed_out
                    todo.extendleft([x] for x in reversed(group))


def _again(kind: type[errors.ForetellError], message: str) -> errors.ForetellError:
    """The error that a worker raised, with its sentence; its values stayed there."""
    error = kind.__new__(kind)
    error.args = (message,)
    return error
