"""Trials that do not depend on each other: stored one by one, failures again, nothing twice."""

import pytest

from foretell.execution import InlineExecutor, PoolExecutor
from foretell.store import Store
from foretell.studies.run.rounds import Rounds


def double(payload):
    if payload < 0:
        raise ValueError("below zero")
    return 2 * payload


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "a.db") as opened:
        opened.put_study("s", {})
        yield opened


def finish(store, payloads, executor=None):
    with executor or InlineExecutor(double) as opened:
        return [
            (trial.key, result.value if result.ok else result.error)
            for trial, result in Rounds(store, "s", opened).each(payloads)
        ]


def test_each_is_run_once_and_failures_again(store):
    pairs = [("a", 1), ("b", -1), ("c", 3)]
    assert finish(store, pairs) == [("a", 2), ("b", "ValueError"), ("c", 6)]
    assert finish(store, pairs) == [("b", "ValueError")]
    assert finish(store, [("a", 1), ("d", 4)]) == [("d", 8)]  # what nobody asks for stays failed
    assert [t.attempts for t in store.trials("s")] == [1, 2, 1, 1]


def test_one_that_stops_has_stored_no_more_than_it_has_taken(store):
    with InlineExecutor(double) as executor:
        for trial, _ in Rounds(store, "s", executor).each([(str(i), i) for i in range(9)]):
            if trial.key == "2":
                break
    assert [(t.key, str(t.state)) for t in store.trials("s")] == [
        ("0", "done"), ("1", "done"), ("2", "done"),
    ]  # fmt: skip
    assert finish(store, [("1", 1), ("3", 3)]) == [("3", 6)]


def test_processes_give_the_same(store):
    pairs = [(str(i), i) for i in range(5)]
    found = finish(store, pairs, PoolExecutor(f"{__file__}:double", 2))
    assert sorted(found) == [(str(i), 2 * i) for i in range(5)]
