import math
import sys
from dataclasses import replace

import pytest

from foretell.errors import StudyConflictError, UsageError
from foretell.store import Result, State, Store, owner_name


def done(trial, value=0.5, **rest):
    return Result(trial.id, State.done, value, **rest)


def test_trials_are_added_in_order_and_once(store, clock):
    assert store.add_trials("s", [("b", [1]), ("a", {"g": 2})]) == 2
    clock.time += 1
    assert store.add_trials("s", [("c", None), ("b", [1]), ("d", 4)]) == 2
    assert store.add_trials("s", []) == 0
    trials = store.trials("s")
    assert [(t.number, t.key, t.payload) for t in trials] == [
        (0, "b", [1]),
        (1, "a", {"g": 2}),
        (2, "c", None),
        (3, "d", 4),
    ]
    assert {t.state for t in trials} == {State.pending}
    assert trials[0].created == clock.time - 1
    assert trials[2].created == clock.time
    assert trials[0].attempts == trials[0].lost == 0
    assert trials[0].owner is trials[0].lease_until is trials[0].value is None
    assert trials[0].started is trials[0].finished is trials[0].seconds is None


def test_the_same_key_twice_in_one_call(store):
    assert store.add_trials("s", [("a", 1), ("a", 1)]) == 1
    with pytest.raises(StudyConflictError):
        store.add_trials("s", [("b", 1), ("b", 2)])
    assert [t.key for t in store.trials("s")] == ["a"]


def test_another_payload_is_refused_and_nothing_added(store):
    store.add_trials("s", [("a", {"g": 1, "h": math.nan})])
    assert store.add_trials("s", [("a", {"g": 1, "h": math.nan})]) == 0
    store.add_trials("s", [("m", {"g": 1, "h": 2})])
    assert store.add_trials("s", [("m", {"h": 2, "g": 1})]) == 0, "order in a mapping is nothing"
    with pytest.raises(StudyConflictError, match="trial 'a' is stored with another payload"):
        store.add_trials("s", [("n", 1), ("a", {"g": 2})])
    assert [t.key for t in store.trials("s")] == ["a", "m"]


def test_a_payload_that_is_no_json_adds_nothing(store):
    with pytest.raises(UsageError, match="payload of 'b'"):
        store.add_trials("s", [("a", 1), ("b", {1})])
    assert store.trials("s") == []


def test_a_trial_goes_from_pending_to_done(store, clock):
    store.add_trials("s", [("a", [7])])
    clock.time += 1
    (trial,) = store.claim("s", "me", lease_seconds=10)
    assert (trial.state, trial.owner, trial.attempts) == (State.running, "me", 1)
    assert (trial.started, trial.lease_until) == (clock.time, clock.time + 10)
    assert store.trials("s") == [trial]
    clock.time += 2
    assert store.finish(trial, done(trial, {"accuracy": 0.5}, seconds=1.5)) is State.done
    (stored,) = store.trials("s")
    assert (stored.state, stored.value, stored.seconds) == (State.done, {"accuracy": 0.5}, 1.5)
    assert (stored.started, stored.finished) == (clock.time - 2, clock.time)
    assert (stored.owner, stored.lease_until, stored.payload) == ("me", None, [7])
    assert store.claim("s", "me") == []


@pytest.mark.parametrize("state", [s for s in State if s.final and s is not State.done])
def test_a_failure_keeps_its_reason_and_no_value(store, state):
    store.add_trials("s", [("a", 1)])
    (trial,) = store.claim("s", "me")
    result = Result(
        trial.id, state, error="ValueError", message="x \udcff", traceback="T\nU", seconds=2.0
    )
    assert store.finish(trial, result) is state
    (stored,) = store.trials("s", state)
    assert (stored.value, stored.error, stored.traceback) == (None, "ValueError", "T\nU")
    assert stored.message == "x \\udcff", "characters that SQLite refuses are spelled out"
    assert stored.seconds == 2.0


def test_claims_come_by_number_and_are_exclusive(store):
    store.add_trials("s", [(str(i), i) for i in range(5)])
    assert [t.number for t in store.claim("s", "a", 2)] == [0, 1]
    assert [t.number for t in store.claim("s", "b", 2)] == [2, 3]
    assert [t.number for t in store.claim("s", "a", 9)] == [4]
    assert store.claim("s", "b") == []


def test_a_lease_that_is_over_is_handed_on(store, clock):
    store.add_trials("s", [(str(i), i) for i in range(3)])
    first, second = store.claim("s", "a", 2, lease_seconds=10)
    clock.time += 9.9
    assert [t.number for t in store.claim("s", "b")] == [2]
    assert store.claim("s", "b") == []
    assert store.renew([second], 10) == [second]
    clock.time += 0.1
    (taken,) = store.claim("s", "b", 5, lease_seconds=10)
    assert (taken.number, taken.owner, taken.attempts, taken.lost) == (0, "b", 2, 1)
    assert store.finish(first, done(first, "old")) is State.stale
    assert store.renew([first, second], 10) == [second], "the loser learns it from renew, too"
    assert store.finish(taken, done(taken, "new")) is State.done
    assert store.finish(first, done(first, "old")) is State.stale
    assert store.finish(taken, done(taken, "twice")) is State.stale
    assert store.trials("s")[0].value == "new"


def test_a_late_finish_counts_when_nobody_took_over(store, clock):
    store.add_trials("s", [("a", 1)])
    (trial,) = store.claim("s", "me", lease_seconds=10)
    clock.time += 1000
    assert store.finish(trial, done(trial)) is State.done


def test_two_leases_of_one_owner_are_told_apart(store, clock):
    store.add_trials("s", [("a", 1)])
    (old,) = store.claim("s", "me", lease_seconds=1)
    clock.time += 2
    (new,) = store.claim("s", "me", lease_seconds=1)
    assert store.finish(old, done(old)) is State.stale
    assert store.finish(new, done(new)) is State.done


def test_expired_and_pending_trials_mix_by_number(store, clock):
    store.add_trials("s", [(str(i), i) for i in range(6)])
    zero, one, two = store.claim("s", "a", 3, lease_seconds=1)
    store.finish(one, done(one))
    clock.time += 2
    assert [t.number for t in store.claim("s", "b", 3)] == [0, 2, 3]
    del zero, two


def test_a_trial_that_loses_its_workers_again_and_again_fails(store, clock):
    store.add_trials("s", [("bad", 1), ("good", 2)])
    for attempt in range(1, 4):
        trial = store.claim("s", f"w{attempt}", 1, 10, max_lost=3)[0]
        assert (trial.key, trial.attempts, trial.lost) == ("bad", attempt, attempt - 1)
        clock.time += 11
    assert [t.key for t in store.claim("s", "w4", 5, 10, max_lost=3)] == ["good"]
    (failed,) = store.trials("s", State.failed)
    assert failed.error == "WorkerLostError"
    assert "went silent 3 times" in failed.message
    assert (failed.lost, failed.finished, failed.seconds) == (3, clock.time, 11)


def test_without_a_limit_a_trial_is_handed_out_for_ever(store, clock):
    store.add_trials("s", [("bad", 1)])
    for attempt in range(1, 20):
        assert store.claim("s", "me", 1, 10)[0].attempts == attempt
        clock.time += 11


def test_released_trials_are_free_at_once(store):
    store.put_study("t", {})
    store.add_trials("s", [(str(i), i) for i in range(4)])
    store.add_trials("t", [("x", 1)])
    mine = store.claim("s", "me", 2)
    store.claim("s", "other")
    store.claim("t", "me")
    store.finish(mine[0], done(mine[0]))
    assert store.release("me", "s") == 1
    assert store.release("me", "s") == 0
    assert store.counts("s") == {State.pending: 2, State.running: 1, State.done: 1}
    assert store.finish(mine[1], done(mine[1])) is State.stale
    free = store.trials("s", State.pending)[0]
    assert (free.number, free.owner, free.attempts, free.lost) == (1, None, 1, 0)
    assert store.release("me") == 1
    assert store.counts("t") == {State.pending: 1}


def test_giving_back_only_what_is_still_held(store, clock):
    store.add_trials("s", [(str(i), i) for i in range(3)])
    trials = store.claim("s", "me", 3, lease_seconds=10)
    store.finish(trials[0], done(trials[0]))
    clock.time += 11
    (taken,) = store.claim("s", "other", 1)
    assert taken.number == 1
    assert store.give_back(trials) == 1
    assert [t.state for t in store.trials("s")] == [State.done, State.running, State.pending]


def test_retry_makes_failures_pending(store):
    store.add_trials("s", [(str(i), i) for i in range(3)])
    for trial, state in zip(
        store.claim("s", "me", 3), ("done", "failed", "timed_out"), strict=True
    ):
        value = 1 if state == "done" else None
        error = "" if state == "done" else "E"
        store.finish(trial, Result(trial.id, State(state), value, error=error, seconds=1))
    assert store.retry("s", [State.failed, State.not_finite]) == 1
    assert store.retry("s", []) == 0
    again = store.trials("s", State.pending)[0]
    assert (again.number, again.error, again.seconds, again.finished) == (1, "", None, None)
    assert store.claim("s", "me")[0].attempts == 2
    with pytest.raises(UsageError, match="Only finished trials can be tried again, but got 'runn"):
        store.retry("s", ["running"])


def freed(store, clock, how):
    """A trial that became pending again in some way, as it was before and as it is now."""
    store.add_trials("s", [("a", {"x": 1})])
    (trial,) = store.claim("s", "owner", 1, lease_seconds=10)
    clock.time += 3
    if how in ("done", "failed"):
        reason = {} if how == "done" else {"error": "E", "message": "why", "traceback": "line 1"}
        value = 7 if how == "done" else None
        store.finish(trial, Result(trial.id, State(how), value, seconds=2.5, **reason))
    before = store.trials("s")[0]
    clock.time += 3
    if how == "release":
        assert store.release("owner") == 1
    elif how == "give back":
        assert store.give_back([trial]) == 1
    elif how == "dead":
        assert store.release_dead("s") == 1
    else:
        assert store.retry("s", [how]) == 1
    return before, store.trials("s")[0]


@pytest.mark.parametrize("how", ["done", "failed", "release", "give back", "dead"])
def test_a_trial_that_is_pending_again_keeps_only_what_names_and_counts_it(
    store, clock, how, monkeypatch
):
    monkeypatch.setattr(sys.modules[type(store).release_dead.__module__], "is_dead", bool)
    before, after = freed(store, clock, how)
    assert before.owner == "owner"
    if how == "done":
        assert (before.value, before.seconds) == (7, 2.5)
    if how == "failed":
        assert (before.error, before.message, before.traceback) == ("E", "why", "line 1")
    assert (before.lease_until is None) == (before.finished is not None) == before.state.final
    expected = replace(
        before,
        state=State.pending,
        lost=1 if how == "dead" else 0,
        owner=None,
        lease_until=None,
        value=None,
        error="",
        message="",
        traceback="",
        seconds=None,
        finished=None,
    )
    assert after == expected
    (again,) = store.claim("s", "other", 1, lease_seconds=5)
    assert again == replace(
        expected,
        state=State.running,
        owner="other",
        attempts=2,
        started=clock.time,
        lease_until=clock.time + 5,
    )


@pytest.mark.parametrize(("first", "second"), [("failed", "done"), ("done", "failed")])
def test_a_trial_tried_again_ends_with_the_second_outcome_alone(store, first, second):
    store.add_trials("s", [("a", 1)])
    for state in (first, second):
        (trial,) = store.claim("s", "me")
        reason = {} if state == "done" else {"error": "E", "message": "m"}
        value = 7 if state == "done" else None
        store.finish(trial, Result(trial.id, State(state), value, seconds=1.0, **reason))
        store.retry("s", [first])
    (trial,) = store.trials("s")
    expected = (7, "", "") if second == "done" else (None, "E", "m")
    assert (trial.value, trial.error, trial.message) == expected
    assert (trial.state, trial.attempts) == (second, 2)


def test_a_lease_ends_at_the_second_it_names(store, clock):
    store.add_trials("s", [("a", 1)])
    store.claim("s", "me", 1, lease_seconds=10)
    clock.time += 9.999
    assert store.claim("s", "other") == []
    clock.time = store.trials("s")[0].lease_until
    assert [t.owner for t in store.claim("s", "other")] == ["other"]


def test_trials_by_state_and_counts(store):
    store.add_trials("s", [(str(i), i) for i in range(4)])
    one, two = store.claim("s", "me", 2)
    store.finish(one, done(one))
    store.finish(two, Result(two.id, State.failed, error="E"))
    numbers = {s: [t.number for t in store.trials("s", s)] for s in State}
    assert numbers[State.pending] == [2, 3]
    assert numbers[State.done] == [0]
    assert numbers[State.stale] == []
    assert [t.number for t in store.trials("s", [State.done, State.failed])] == [0, 1]
    assert [t.number for t in store.trials("s", "failed")] == [1]
    assert store.trials("s", []) == []
    assert store.counts("s") == {State.pending: 2, State.done: 1, State.failed: 1}


def test_results_that_say_two_things_are_refused():
    for state in ("pending", "running"):
        with pytest.raises(UsageError, match=f"but got the state '{state}'"):
            Result(1, State(state))
    with pytest.raises(UsageError, match="'failed' has no value, but got one of type float"):
        Result(1, State.failed, -1.0)
    assert Result(1, State.done, 0.5).as_stale() == Result(1, State.stale, 0.5)
    assert Result(1, State.done).ok
    assert not Result(1, State.failed).ok


def test_wrong_calls_are_refused(store):
    store.add_trials("s", [("a", 1), ("b", 2)])
    for count, lease in ((0, 1.0), (1, 0.0), (1, math.nan)):
        with pytest.raises(UsageError, match="count >= 1 and lease_seconds > 0"):
            store.claim("s", "me", count, lease)
    a, b = store.claim("s", "me", 2)
    with pytest.raises(UsageError, match=f"result of trial {a.id}, but got {b.id}'s"):
        store.finish(a, done(b))
    with pytest.raises(UsageError, match="value of trial 'a' cannot be stored"):
        store.finish(a, done(a, {1}))
    assert store.finish(a, done(a).as_stale()) is State.stale
    assert store.counts("s") == {State.running: 2}


def test_final_states():
    names = {s for s in State if s.final}
    assert names == {"done", "failed", "timed_out", "out_of_memory", "not_finite", "pruned"}


def test_dead_owners_are_found_on_this_machine_only(store, tmp_path):
    import multiprocessing

    store.add_trials("s", [(str(i), i) for i in range(4)])
    process = multiprocessing.get_context("spawn").Process(target=_claim_two, args=(store.path,))
    process.start()
    process.join()
    store.claim("s", owner_name())
    store.claim("s", "elsewhere.boot.space/1/abcd")
    assert store.counts("s") == {State.running: 4}
    assert store.release_dead("s") == 2
    assert store.release_dead("s") == 0
    freed = store.trials("s", State.pending)
    assert [(t.number, t.lost) for t in freed] == [(0, 1), (1, 1)]


def _claim_two(path):
    with Store(path) as store:
        store.claim("s", owner_name(), 2)
