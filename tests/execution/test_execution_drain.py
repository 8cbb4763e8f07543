"""Trials from a store through an executor and back."""

import threading
import time

import pytest

from foretell.errors import StoreError, StoreLockedError, UnknownNameError, UsageError, WorkerError
from foretell.execution import InlineExecutor, PoolExecutor, State, WorkReport, drain, work
from foretell.store import Store, owner_name


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "a.db") as opened:
        opened.put_study("s", {})
        yield opened


def add(store, *payloads):
    store.add_trials("s", [(f"k{i}", p) for i, p in enumerate(payloads)])


def test_every_trial_is_stored_before_it_is_yielded(store, act):
    add(store, ["echo", {"accuracy": 0.5}], ["raise", "value"], ["raise", "nan"], ["echo", 2])
    for count, (trial, result) in enumerate(drain(store, "s", InlineExecutor(act)), 1):
        with Store(store.path, read_only=True) as other:
            (stored,) = [t for t in other.trials("s") if t.id == trial.id]
        assert stored.state is result.state
        assert stored.value == result.value
        assert (stored.error, stored.message) == (result.error, result.message)
        assert stored.traceback == result.traceback
        assert stored.seconds == result.seconds
        assert sum(n for s, n in store.counts("s").items() if s.final) == count
    assert store.counts("s") == {State.done: 2, State.failed: 1, State.not_finite: 1}
    assert list(drain(store, "s", InlineExecutor(act))) == [], "finished trials are not run again"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_pool_drains_too(store, act, pool, ordered):
    add(store, ["sleep", 0.6], *[["echo", i] for i in range(1, 6)], ["signal", 9])
    results = [r for _, r in drain(store, "s", pool, ordered=ordered)]
    numbers = [t.number for t in store.trials("s")]
    ids = [r.id for r in results]
    assert sorted(ids) == [t.id for t in store.trials("s")]
    assert (ids == sorted(ids)) == ordered
    assert numbers == list(range(7))
    assert store.counts("s") == {State.done: 6, State.failed: 1}


def test_a_value_that_is_no_json_is_a_failed_trial(store):
    add(store, 1, 2)
    results = [r for _, r in drain(store, "s", InlineExecutor(lambda x: {x} if x == 1 else x))]
    assert [r.state for r in results] == [State.failed, State.done]
    assert results[0].error == "UsageError"
    failed, done = store.trials("s")
    assert (failed.state, done.value) == (State.failed, 2)
    assert "cannot be stored as JSON" in failed.message


def test_stop_is_asked_before_each_trial(store, act):
    add(store, *[["echo", i] for i in range(5)])
    seen = []
    for trial, _ in drain(store, "s", InlineExecutor(act), stop=lambda: len(seen) >= 2):
        seen.append(trial.number)
    assert seen == [0, 1]
    assert store.counts("s") == {State.pending: 3, State.done: 2}


def test_leaving_early_gives_unfinished_trials_back(store, act, pool):
    add(store, ["echo", 0], ["sleep", 60], ["sleep", 60], ["echo", 3])
    trials = drain(store, "s", pool)
    next(trials)
    begin = time.monotonic()
    trials.close()
    assert time.monotonic() - begin < 5
    assert store.counts("s") == {State.pending: 3, State.done: 1}


def test_an_interrupt_gives_the_running_trial_back(store):
    add(store, 0, 1, 2)

    def interrupted(payload):
        if payload == 1:
            raise KeyboardInterrupt
        return payload

    with pytest.raises(KeyboardInterrupt):
        list(drain(store, "s", InlineExecutor(interrupted)))
    assert store.counts("s") == {State.pending: 2, State.done: 1}
    assert [t.attempts for t in store.trials("s")] == [1, 1, 0]
    assert len(list(drain(store, "s", InlineExecutor(lambda p: p)))) == 2


def test_an_error_of_the_caller_keeps_what_was_stored(store, act):
    add(store, *[["echo", i] for i in range(4)])
    trials = drain(store, "s", InlineExecutor(act))
    next(trials)
    with pytest.raises(ZeroDivisionError):
        trials.throw(ZeroDivisionError())
    assert store.counts("s") == {State.pending: 3, State.done: 1}


def test_a_short_lease_is_renewed(store):
    add(store, 0)
    others = []

    def long(payload):
        with Store(store.path) as other:
            for _ in range(12):
                others.extend(other.claim("s", "other"))
                time.sleep(0.1)
        return payload

    ((_, result),) = drain(store, "s", InlineExecutor(long), lease_seconds=0.5)
    assert others == []
    assert result.state is State.done


def test_a_result_that_comes_too_late_is_stale(store, monkeypatch):
    """The heartbeat cannot reach the store; another takes over; the first result is dropped."""
    add(store, 0)

    def locked(*_: object) -> object:
        raise StoreLockedError("locked")

    monkeypatch.setattr(store, "renew", locked)
    taken = []

    def slow(payload):
        with Store(store.path) as other:
            while not taken:
                taken.extend(other.claim("s", "other"))
                time.sleep(0.02)
        return "late"

    ((trial, result),) = drain(store, "s", InlineExecutor(slow), lease_seconds=0.3)
    assert (result.state, result.value) == (State.stale, "late")
    assert trial.id == taken[0].id
    (stored,) = store.trials("s")
    assert (stored.state, stored.owner, stored.value) == (State.running, "other", None)


def test_giving_back_does_not_hide_the_error(store, monkeypatch):
    add(store, 0)

    def broken(*_: object) -> object:
        raise StoreError("gone")

    monkeypatch.setattr(store, "give_back", broken)

    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(drain(store, "s", InlineExecutor(interrupted)))


def test_workers_that_cannot_start_cost_no_trial(store, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import multiprocessing\n"
        "if multiprocessing.parent_process(): raise ImportError('no')\n"
        "def f(x): return x\n"
    )
    add(store, 0, 1)
    with PoolExecutor(f"{path}:f", 1) as executor, pytest.raises(WorkerError):
        list(drain(store, "s", executor))
    assert store.counts("s") == {State.pending: 2}


def test_work_finishes_a_study_and_reports(store, act):
    add(store, ["echo", 1], ["raise", "torch"], ["echo", 2])
    seen = []
    report = work(
        store.path, "s", act, on_result=lambda trial, result: seen.append((trial.key, result.state))
    )
    assert report.states == {State.done: 2, State.out_of_memory: 1}
    assert report.finished == 3
    assert report.seconds >= 0
    assert seen == [("k0", "done"), ("k1", "out_of_memory"), ("k2", "done")]
    assert all(t.owner.startswith(owner_name().split("/")[0]) for t in store.trials("s"))
    assert work(store.path, "s", act).finished == 0
    assert WorkReport({State.stale: 2, State.done: 1}, 0.0).finished == 1


def test_work_with_processes_and_a_time_limit(store, act):
    add(store, ["sleep", 60], ["echo", 1], ["signal", 9])
    report = work(store.path, "s", act, "me", workers=1, timeout=0.5)
    assert report.states == {State.timed_out: 1, State.done: 1, State.failed: 1}
    assert {t.owner for t in store.trials("s")} == {"me"}


def test_work_waits_for_what_others_run(store, act):
    add(store, ["echo", 1])
    (trial,) = store.claim("s", "other", lease_seconds=0.4)
    report = work(store.path, "s", act, poll_seconds=0.05)
    assert report.finished == 1
    assert report.seconds > 0.2
    stored = store.trials("s")[0]
    assert (stored.attempts, stored.lost, stored.value) == (2, 1, 1)
    del trial


def test_work_stops_when_told_to_while_it_waits(store, act):
    add(store, ["echo", 1])
    store.claim("s", "other", lease_seconds=60)
    begin = time.monotonic()
    report = work(
        store.path, "s", act, stop=lambda: time.monotonic() - begin > 0.2, poll_seconds=0.02
    )
    assert report.finished == 0
    assert store.counts("s") == {State.running: 1}


def test_work_may_wait_for_trials_that_are_yet_to_come(store, act):
    def later() -> None:
        time.sleep(0.2)
        with Store(store.path) as other:
            other.add_trials("s", [("late", ["echo", 5])])

    thread = threading.Thread(target=later)
    thread.start()
    done: list[object] = []
    work(
        store.path,
        "s",
        act,
        stop=lambda: bool(done),
        wait=True,
        poll_seconds=0.02,
        on_result=lambda _, result: done.append(result.value),
    )
    thread.join()
    assert done == [5]


def test_a_trial_that_ends_its_workers_is_given_up(store, act):
    add(store, ["echo", 1])
    for _ in range(2):
        store.claim("s", "gone", lease_seconds=0.001)
        time.sleep(0.01)
        assert store.renew(store.trials("s"), 0.001)
        time.sleep(0.01)
    report = work(store.path, "s", act, max_lost=2)
    assert report.finished == 0
    (stored,) = store.trials("s")
    assert (stored.state, stored.error) == (State.failed, "WorkerLostError")


def test_wrong_calls(store, act):
    with pytest.raises(UnknownNameError):
        work(store.path, "other", act)
    with pytest.raises(UnknownNameError):
        next(drain(store, "other", InlineExecutor(act)))
    with pytest.raises(UsageError, match="needs a process to end: give workers=1"):
        work(store.path, "s", act, timeout=3)
    with pytest.raises(UsageError):
        work(store.path, "s", act, lease_seconds=0)
