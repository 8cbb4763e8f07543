"""Peak memory as a function of what is read and written."""

from hypothesis import given
from hypothesis import strategies as st

from foretell.cost.memory import Operation, peak_bytes


def op(reads: str, writes: str) -> Operation:
    return Operation(frozenset(map(ord, reads)), frozenset(map(ord, writes)))


def peak(operations: list[Operation], results: str, **sizes: int) -> int:
    return peak_bytes(
        operations, ord("x"), [ord(c) for c in results], {ord(k): v for k, v in sizes.items()}
    )


def test_by_hand() -> None:
    chain = [op("x", "a"), op("a", "b"), op("b", "c")]
    assert peak(chain, "c", x=1, a=10, b=5, c=1) == 15
    assert peak([*chain, op("xc", "d")], "d", x=1, a=10, b=5, c=1, d=1) == 16
    assert peak([op("x", "ai"), op("a", "b")], "b", x=1, a=1, i=99, b=1) == 2  # i is never read
    assert peak([op("xw", "a")], "a", x=1, a=1) == 2  # w has no size: a weight
    assert peak([], "x", x=7) == 7
    assert peak([op("w", "a")], "a", x=7, a=1) == 8  # the input is there, read or not
    assert peak([op("x", "a"), op("a", "a"), op("a", "b")], "ab", x=1, a=2, b=4) == 6


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[Operation], dict[int, int], set[int]]:
    n = draw(st.integers(1, 7))
    operations = [
        Operation(
            frozenset(draw(st.sets(st.integers(0, i), min_size=1, max_size=3))), frozenset({i + 1})
        )
        for i in range(n)
    ]
    sizes = {i: draw(st.integers(0, 50)) for i in range(n + 1)}
    return operations, sizes, {n}


@given(programs())
def test_against_a_replay(program: tuple[list[Operation], dict[int, int], set[int]]) -> None:
    operations, sizes, results = program
    most = sizes[0]
    for time, operation in enumerate(operations):
        later = set().union(*(o.reads for o in operations[time:])) | results
        there = {k for k in later if k <= time} | (operation.writes & later)
        most = max(most, sum(sizes[k] for k in there))
    assert peak_bytes(operations, 0, results, sizes) == most
