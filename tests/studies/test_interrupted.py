"""What a run was busy with when it ended, and groups that are split where one of them fails."""

import ctypes
import faulthandler
import sys

import forked
import pytest

from foretell.errors import ProxyError
from foretell.execution import Executor, InlineExecutor
from foretell.store import Result, State, Store, owner_name
from foretell.studies.run.faults.groups import run_groups
from foretell.studies.run.faults.interrupted import Interrupted
from foretell.studies.run.folder import RunFolder


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "study.db") as store:
        store.put_study("s", {})
        yield store


def ended(store, keys, lasted, **options):
    """A run that was killed so many seconds after it began with some keys."""
    run = Interrupted(store, "s")
    run.begin(keys)
    since = store.value("s", "in flight")[keys[0]]
    return Interrupted(store, "s", last_sign=since + lasted, **options)


def test_the_third_time_it_is_given_up(store):
    second = ended(store, ["score a", "score b"], 60.0)
    assert second.suspected("score a")
    assert not second.suspected("score c")
    assert second.given_up("score a") == ""
    third = ended(store, ["score b"], 11.0)
    assert third.given_up("score a") == ""
    assert "ended 2 times" in third.given_up("score b")
    assert store.value("s", "in flight") == {}


def test_a_kill_at_another_moment_counts_for_nothing(store):
    for _ in range(5):
        run = ended(store, ["score a"], 1.0)
    assert not run.suspected("score a")
    run = ended(store, ["score a"], 1.0, fault=True)
    assert run.suspected("score a"), "it was a fault of its own"


def test_long_is_what_lasts_far_longer_than_others(store, monkeypatch):
    clock = iter([100.0, 130.0])
    monkeypatch.setattr("foretell.studies.run.faults.interrupted.time.time", lambda: next(clock))
    run = Interrupted(store, "s")
    run.begin(["score slow"])
    run.end(["score slow"])
    monkeypatch.undo()
    assert not ended(store, ["score a"], 80.0).suspected("score a"), "others take 30 s"
    assert ended(store, ["score a"], 91.0).suspected("score a")
    assert ended(store, ["cost a"], 11.0).suspected("cost a"), "another kind of work"


def test_trials_of_killed_runs_are_given_back_or_given_up(store, monkeypatch):
    monkeypatch.setattr(sys.modules[type(store).release_dead.__module__], "is_dead", bool)
    store.add_trials("s", [("a", 1), ("b", 2)])
    for lasted, state in ((1.0, State.pending), (20.0, State.pending), (20.0, State.failed)):
        (trial,) = store.claim("s", owner_name())
        sign = trial.started + lasted
        Interrupted(store, "s", last_sign=sign, last_owner=trial.owner).release("s")
        (first, _) = store.trials("s")
        assert first.state is state
    assert (first.error, first.lost) == ("WorkerLostError", 2)
    assert "2 times" in first.message
    (other,) = store.claim("s", owner_name(), 5)
    Interrupted(store, "s", last_sign=other.started + 90.0, last_owner="host/1/ab").release("s")
    assert store.trials("s")[1].lost == 0, "another process gave the last sign"


class Fragile(Executor):
    """Dies of 3, runs out of time with 5 or with more than 3 at once."""

    def __init__(self):
        self.groups = []

    def map(self, claims, *, ordered=True):
        for claim in claims:
            self.groups.append(claim.payload)
            state = State.done
            if 3 in claim.payload:
                state = State.failed
            if 5 in claim.payload or len(claim.payload) > 3:
                state = State.timed_out
            value = sum(claim.payload) if state is State.done else None
            yield Result(claim.id, state, value, error="" if value is not None else "WorkerDied")


def test_a_group_that_fails_runs_again_member_by_member():
    executor = Fragile()
    rows = list(run_groups(executor, [1, 2, 3, 4, 6, 7], 2, list))
    assert executor.groups == [[1, 2], [3, 4], [3], [4], [6, 7]]
    assert [(tuple(group), r.state) for group, r in rows] == [
        ((1, 2), "done"),
        ((3,), "failed"),
        ((4,), "done"),
        ((6, 7), "done"),
    ]


def test_after_a_group_took_too_long_all_run_alone():
    executor = Fragile()
    rows = list(run_groups(executor, list(range(10, 20)), 4, list))
    assert executor.groups == [[10, 11, 12, 13], *([i] for i in range(10, 20))]
    assert all(r.ok for _, r in rows)


def test_suspects_come_last_and_alone_and_what_is_given_up_does_not_run(store):
    ended(store, ["1", "2"], 60.0)
    watch = ended(store, ["2"], 60.0)
    executor = Fragile()
    rows = list(run_groups(executor, [1, 2, 6, 7, 8], 2, list, watch=watch, key=str))
    assert executor.groups == [[6, 7], [8], [1]]
    (failed,) = [(group, r) for group, r in rows if not r.ok]
    assert failed[0] == [2]
    assert failed[1].error == "WorkerLostError"


def test_an_error_of_ours_holds_for_all():
    def refuse(_):
        raise ProxyError("no such proxy")

    with pytest.raises(ProxyError, match="no such proxy"):
        list(run_groups(InlineExecutor(refuse), [1, 2, 3], 2, list))


def crash(folder, what):
    """In a copy of this process, without pytest's own watch over faults."""
    faulthandler.disable()
    with folder.watching_faults():
        if what == "crash":
            ctypes.string_at(0)


def test_a_fault_of_this_process_leaves_a_trace(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    for what, code, left in (("end", 0, False), ("crash", -11, True)):
        assert forked.run_for(crash, folder, what) == code
        assert folder.fault_left() == left
        assert not folder.fault_left(), "it is read once"
    monkeypatch.setattr(faulthandler, "is_enabled", lambda: True)
    with folder.watching_faults():
        assert not (tmp_path / ".fault").exists(), "somebody else watches"
