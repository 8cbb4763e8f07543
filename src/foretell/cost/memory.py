"""Definition of peak activation memory.

One image goes through the network in eval mode, without gradients, operation by operation in the
order in which the module runs them. A value lives from the operation that makes it to the last one
that reads it; the input lives from the start to its last reading, the result from its making to the
end. The peak is the largest sum, over operations, of the bytes of all live values, including those
that the operation reads and writes.

Views share memory and count once, in-place operations make nothing new, and what nobody reads
(indices of a pooling, statistics of a normalisation) does not count. Parameters and buffers do not
count, nor does scratch space inside an operation.

This is the arena size of a runtime for small devices with static memory planning, this order of
operations and no fusion. It depends neither on Python's memory management nor on the machine.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Operation", "peak_bytes"]


@dataclass(frozen=True)
class Operation:
    """One operation of a forward pass; memories are named by numbers.

    Args:
        reads: memories of its arguments.
        writes: memories of its results.
        depends: whether the results depend on the values of the arguments.
        factors: memory and number of elements of each tensor that a product multiplies.
    """

    reads: frozenset[int]
    writes: frozenset[int]
    depends: bool = True
    factors: tuple[tuple[int, int], ...] = ()


def peak_bytes(
    operations: Sequence[Operation], image: int, results: Collection[int], sizes: Mapping[int, int]
) -> int:
    """The largest sum of live bytes during one operation.

    Args:
        operations: in the order of execution.
        image: memory of the input.
        results: memories of the output.
        sizes: bytes of each counted memory.
    """
    end = len(operations)
    birth, death = {image: 0}, {image: 0} | dict.fromkeys(results, end)
    for time, operation in enumerate(operations):
        for key in operation.writes:
            birth.setdefault(key, time)
        for key in operation.reads:
            if birth.get(key, time) < time or key == image:  # made before, and no constant
                death[key] = max(death.get(key, 0), time)
    change = [0] * (end + 2)
    for key, start in birth.items():
        if key in sizes and key in death:
            change[start] += sizes[key]
            change[death[key] + 1] -= sizes[key]
    peak = now = 0
    for step in change:
        now += step
        peak = max(peak, now)
    return peak
