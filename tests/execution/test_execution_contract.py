"""What holds for every executor."""

import pickle
from dataclasses import replace

import execution_jobs
import pytest

from foretell.errors import PluginError
from foretell.execution import Claim, ForkedExecutor, InlineExecutor, PoolExecutor, Result, State
from foretell.execution._base import absolute

WORK = [
    ["echo", {"accuracy": 0.5}],
    ["raise", "value"],
    ["echo", None],
    ["raise", "memory"],
    ["raise", "torch"],
    ["raise", "derived"],
    ["raise", "allocator"],
    ["raise", "enomem"],
    ["raise", "nan"],
    ["raise", "exit"],
    ["raise", "timeout"],
    ["raise", "runtime"],
    ["chain", "torch"],
    ["chain", "nan"],
    ["chain", "value"],
    ["context", "memory"],
    ["unknown"],
    ["sleep", 0.1],
    ["echo", 1],
]
STATES = [
    "done",
    "failed",
    "done",
    *["out_of_memory"] * 5,
    "not_finite",
    *["failed"] * 3,
    "out_of_memory",
    "not_finite",
    *["failed"] * 3,
    "done",
    "done",
]


@pytest.fixture(params=["inline", "forked", "pool"])
def executor(request, act):
    if request.param == "inline":
        yield InlineExecutor(act)
    elif request.param == "forked":
        with ForkedExecutor(act) as executor:
            yield executor
    else:
        yield request.getfixturevalue("pool")


def test_every_claim_gets_one_typed_result_in_order(executor):
    results = list(executor.map(Claim(f"t{i}", p) for i, p in enumerate(WORK)))
    assert [r.id for r in results] == [f"t{i}" for i in range(len(WORK))]
    assert [r.state for r in results] == STATES
    assert results[0].value == {"accuracy": 0.5}
    for result in results:
        assert isinstance(result, Result)
        assert result.ok == (result.state is State.done) == (result.error == "")
        assert result.value is None or result.ok, "a failure has no value"
        assert result.seconds >= 0
    assert results[-2].seconds >= 0.1


def test_errors_carry_class_message_and_traceback(executor):
    value, chained, exiting = executor.map(
        [Claim(0, ["raise", "value"]), Claim(1, ["chain", "torch"]), Claim(2, ["raise", "exit"])]
    )
    assert (value.error, value.message) == ("ValueError", "bad genes")
    assert value.traceback.startswith("Traceback")
    assert "raise RAISES[name]()" in value.traceback
    assert "run_claim" not in value.traceback, "our own frame is left out"
    assert value.traceback.rstrip().endswith("ValueError: bad genes")
    assert chained.error == "ModuleRaisedError"
    assert "direct cause" in chained.traceback
    assert (exiting.error, exiting.message) == ("SystemExit", "3")


def test_inline_and_pool_give_the_same_results(act, pool):
    claims = [Claim(i, p) for i, p in enumerate(WORK)]
    with ForkedExecutor(act) as forked:
        inline, copied, pooled = (
            [replace(r, seconds=0) for r in e.map(claims)]
            for e in (InlineExecutor(act), forked, pool)
        )
    assert inline == pooled
    assert inline == copied


def test_unordered_gives_the_same_set(executor):
    results = list(executor.map((Claim(i, ["echo", i]) for i in range(20)), ordered=False))
    assert sorted((r.id, r.value) for r in results) == [(i, i) for i in range(20)]


def test_claims_are_taken_as_they_are_needed(executor):
    taken: list[int] = []

    def claims():
        for i in range(6):
            taken.append(i)
            yield Claim(i, ["echo", i])

    results = executor.map(claims(), ordered=False)
    assert taken == [], "nothing runs before somebody asks"
    seen = []
    for result in results:
        seen.append(result.id)
        assert len(taken) <= len(seen) - 1 + executor.workers
    assert sorted(seen) == taken == list(range(6))


def test_workers_do_not_wait_for_a_slow_claim_at_the_front(act):
    """In order, later results queue behind the first; the other worker goes on meanwhile."""
    claims = [Claim(0, ["sleep", 2.5]), *[Claim(i, ["loaded"]) for i in range(1, 6)]]
    with PoolExecutor(act, 2) as executor:
        list(executor.map([Claim(0, ["sleep", 0.1]), Claim(1, ["sleep", 0.1])]))
        results = list(executor.map(claims))
    assert [r.id for r in results] == list(range(6))
    assert len({r.value for r in results[1:]}) == 1, "one worker did all the others"


def test_a_source_may_look_at_results_first(executor):
    """Ask and tell through one generator: as many claims ahead as there are workers, no more."""
    told: list[int] = []
    known: list[int] = []

    def claims():
        for i in range(8):
            known.append(len(told))
            yield Claim(i, ["echo", i])

    for result in executor.map(claims(), ordered=False):
        told.append(result.value)
    assert all(k >= i - executor.workers + 1 for i, k in enumerate(known))


def test_nothing_to_do(executor):
    assert list(executor.map([])) == []
    assert list(executor.map([], ordered=False)) == []


def test_an_error_in_the_source_comes_through_and_the_executor_lives_on(executor):
    def claims():
        yield Claim(0, ["echo", 0])
        raise LookupError("the source broke")

    with pytest.raises(LookupError, match="the source broke"):
        list(executor.map(claims()))
    assert [r.value for r in executor.map([Claim(1, ["echo", 1])])] == [1]


def test_leaving_early_ends_what_runs_and_the_executor_lives_on(executor):
    results = executor.map(Claim(i, ["sleep", 30] if i else ["echo", 0]) for i in range(5))
    assert next(results).value == 0
    results.close()
    assert [r.value for r in executor.map([Claim(1, ["echo", 1])])] == [1]


def test_large_payloads_and_values(executor):
    size = 3_000_000
    big, back = executor.map([Claim(0, ["length", "x" * size]), Claim(1, ["big", size])])
    assert big.value == size
    assert len(back.value) == size


def test_not_a_number_in_a_value_is_no_failure_of_the_executor(executor):
    (result,) = executor.map([Claim(0, ["nan"])])
    assert result.state is State.done
    assert result.value != result.value


@pytest.mark.parametrize("kind", [InlineExecutor, ForkedExecutor, lambda f: PoolExecutor(f, 1)])
def test_functions_that_are_none_are_refused_at_once(kind, act):
    jobs = act.removesuffix(":act")
    for text, words in (
        (f"{jobs}:absent", "no attribute 'absent'"),
        ("no_such_module_here:f", "No module named"),
        (f"{jobs}x.py:f", "no file"),
        ("act", "neither a known name"),
        (f"{jobs}:number", "is a int and cannot be called"),
    ):
        with pytest.raises(PluginError, match=words):
            kind(text)


def test_modules_files_and_callables_all_work(act):
    for function in (
        "execution_jobs:square",
        act.replace(":act", ":square"),
        execution_jobs.square,
    ):
        with PoolExecutor(function, 1) as pool:
            for executor in (InlineExecutor(function), pool):
                assert [r.value for r in executor.map([Claim(0, 3), Claim(1, 4)])] == [9, 16]
    assert [r.value for r in InlineExecutor(lambda x: x + 1).map([Claim(0, 3)])] == [4]


def test_a_relative_file_stays_the_same_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def f(x):\n    return x + 100\n")
    monkeypatch.chdir(tmp_path)
    assert absolute("mine.py:f") == f"{tmp_path}/mine.py:f"
    assert absolute("mine:f") == "mine:f"
    with PoolExecutor("mine.py:f", 1) as executor:
        monkeypatch.chdir("/")
        assert [r.value for r in executor.map([Claim(0, 1)])] == [101]


def test_claims_and_results_can_be_sent():
    for item in (Claim("a", [1]), Result("a", State.failed, error="E", message="m")):
        assert pickle.loads(pickle.dumps(item)) == item
