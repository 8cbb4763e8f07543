"""Worker processes: limits, deaths, and what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import execution_jobs
import pytest
from execution_helpers import children, deaf, gone

from foretell.errors import UsageError, WorkerError
from foretell.execution import Claim, PoolExecutor, State, _deaths, _memory
from foretell.execution import pool as pool_module


def values(executor, payloads, **options):
    claims = [Claim(i, p) for i, p in enumerate(payloads)]
    return [r.value for r in executor.map(claims, **options)]


def pids(executor):
    """Process ids of workers, as many as claims that wait for one another make work."""
    return set(values(executor, [["pid"]] * 8))


def test_workers_stay_and_have_one_thread_and_torch_only_where_this_process_has(pool):
    assert values(pool, [["threads"]]) == ["1"]
    assert values(pool, [["torch"]]) == ["torch" in sys.modules]
    assert values(pool, [["interrupt"]]) == [True], "Ctrl-C is the parent's to handle"
    first, second = pids(pool), pids(pool)
    assert len(first | second) <= 2
    assert os.getpid() not in first


COPIES = """
import os, sys, time
import torch
from foretell.execution import Claim, PoolExecutor

def look(payload):
    import torch
    parent = open(f"/proc/{os.getppid()}/cmdline").read()
    return [os.environ.get("LAMP"), torch.get_num_threads(), os.getcwd(), "forkserver" in parent]

def one(threads=1):
    with PoolExecutor(look, 1, threads_per_worker=threads) as pool:
        return next(iter(pool.map([Claim(0, None)]))).value

if __name__ == "__main__":
    os.environ["LAMP"] = "on"
    assert one() == ["on", 1, os.getcwd(), True], one()
    os.environ["LAMP"] = "off"
    os.chdir("below")
    assert one() == ["off", 1, os.getcwd(), True], one()
    del os.environ["LAMP"]
    assert one() == [None, 1, os.getcwd(), True], one()
    assert one(2)[1:] == [2, os.getcwd(), False], one(2)
    if (child := os.fork()) == 0:
        os._exit(0 if one() == [None, 1, os.getcwd(), False] else 7)
    assert os.waitpid(child, 0)[1] == 0
    print("good")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux alone")
def test_copies_have_the_environment_of_the_moment_in_which_they_start(tmp_path):
    (tmp_path / "copies.py").write_text(COPIES)
    (tmp_path / "below").mkdir()
    told = subprocess.run(
        [sys.executable, "copies.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert told.stdout == "good\n", told.stderr


def test_claims_run_side_by_side(pool):
    values(pool, [["sleep", 0.05]] * 2)
    begin = time.monotonic()
    values(pool, [["sleep", 1.0]] * 4)
    assert time.monotonic() - begin < 3.7, "four seconds on two workers take two"


def test_unordered_results_come_when_they_are_there(pool):
    values(pool, [["echo", 1]] * 2)
    claims = [Claim(0, ["sleep", 1.0]), *[Claim(i, ["echo", i]) for i in range(1, 5)]]
    assert [r.id for r in pool.map(claims, ordered=False)] == [1, 2, 3, 4, 0]
    assert [r.id for r in pool.map(claims)] == [0, 1, 2, 3, 4]


def test_a_time_limit_ends_one_claim_only(act):
    with PoolExecutor(act, 2, timeout=0.5) as executor:
        work = [["echo", 1], ["sleep", 60], ["echo", 2], ["sleep", 60], ["echo", 3]]
        begin = time.monotonic()
        results = list(executor.map(Claim(i, p) for i, p in enumerate(work)))
        assert time.monotonic() - begin < 15
    assert [r.state for r in results] == ["done", "timed_out", "done", "timed_out", "done"]
    late = results[1]
    assert (late.error, late.value) == ("TimeoutError", None)
    assert "limit of 0.5 seconds" in late.message
    assert 0.5 <= late.seconds < 10


def test_the_time_limit_leaves_out_the_start_of_a_worker(act, tmp_path):
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(1.0)\ndef f(x):\n    return x\n")
    with PoolExecutor(f"{slow}:f", 1, timeout=0.7) as executor:
        assert values(executor, [1]) == [1]


def test_a_function_that_does_not_listen_is_ended_too(act):
    with PoolExecutor(act, 1, timeout=0.3) as executor:
        late, fine = executor.map([Claim(0, ["deaf", 60]), Claim(1, ["echo", 1])])
    assert late.state is State.timed_out
    assert fine.value == 1


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (["signal", signal.SIGKILL], "ended by SIGKILL, by a user or for lack of memory"),
        (["signal", signal.SIGSEGV], "ended by SIGSEGV"),
        (["signal", signal.SIGTERM], "ended by SIGTERM"),
        (["exit", 3], "exited with code 3 in the middle"),
    ],
)
def test_a_worker_that_dies_takes_its_own_claim_only(pool, payload, words):
    work = [["echo", 1], payload, ["sleep", 0.2], ["echo", 3], ["echo", 4]]
    results = list(pool.map(Claim(i, p) for i, p in enumerate(work)))
    assert [r.state for r in results] == ["done", "failed", "done", "done", "done"]
    assert results[1].error == "WorkerDied"
    assert words in results[1].message
    assert results[1].value is None


def test_a_quiet_exit_is_a_failure_too(act):
    """Exit code 0 in the middle of a claim, without any time limit."""
    with PoolExecutor(act, 2) as executor:
        work = [["exit", 0], ["sleep", 3], ["echo", 1]]
        quiet, slow, fine = executor.map(Claim(i, p) for i, p in enumerate(work))
    assert (quiet.state, quiet.error) == (State.failed, "WorkerDied")
    assert "exited with code 0" in quiet.message
    assert (slow.value, fine.value) == (3, 1)


def test_many_deaths_among_many_claims(act):
    work = [["signal", 9] if i % 5 == 1 else ["echo", i] for i in range(10)]
    with PoolExecutor(act, 3) as executor:
        results = list(executor.map(Claim(i, p) for i, p in enumerate(work)))
    assert [r.id for r in results] == list(range(10))
    assert [r.state for r in results] == ["failed" if i % 5 == 1 else "done" for i in range(10)]


def test_a_worker_killed_in_the_middle_of_sending(act):
    with PoolExecutor(act, 2) as executor:
        work = [["die_while_sending", 64], ["echo", 1], ["echo", 2], ["echo", 3]]
        begin = time.monotonic()
        results = list(executor.map(Claim(i, p) for i, p in enumerate(work)))
        assert [r.value for r in results[1:]] == [1, 2, 3]
        assert results[0].state in (State.failed, State.done)
        assert values(executor, [["echo", 4]] * 4) == [4] * 4
        assert time.monotonic() - begin < 40
    assert time.monotonic() - begin < 40


def test_an_idle_worker_may_be_killed(pool):
    for pid in pids(pool):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)
    assert values(pool, [["echo", i] for i in range(6)]) == list(range(6))


def test_a_worker_killed_from_outside_while_it_runs(pool):
    (pid,) = set(values(pool, [["pid"]]))
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    results = list(pool.map([Claim(0, ["sleep", 1.0]), Claim(1, ["sleep", 1.0])]))
    assert sorted(r.state for r in results) == ["done", "failed"]


def test_lack_of_memory_is_told_from_a_kill(act, monkeypatch):
    kills = iter([5, 6, 6, 6])
    monkeypatch.setattr(pool_module, "memory_kills", lambda: next(kills))
    with PoolExecutor(act, 1) as executor:
        first, second = executor.map([Claim(0, ["signal", 9]), Claim(1, ["signal", 9])])
    assert first.state is State.out_of_memory
    assert "lack of memory: use fewer workers" in first.message
    assert second.state is State.failed


@pytest.fixture
def memory_group():
    """A control group of 64 MB, old or new kind."""
    line = next(
        (x for x in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in x), "0::/"
    )
    old = ":memory:" in line
    root = Path("/sys/fs/cgroup/memory" if old else "/sys/fs/cgroup")
    group = root / line.split(":")[2].strip("/") / f"foretell-test-{os.getpid()}"
    limit = "memory.limit_in_bytes" if old else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(64 << 20))
    except OSError as error:
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    yield group
    for _ in range(100):
        try:
            group.rmdir()
            break
        except OSError:
            time.sleep(0.05)


def test_a_worker_that_the_system_ends_for_lack_of_memory(act, memory_group):
    with PoolExecutor(act, 2) as executor:
        work = [["echo", 1], ["devour", str(memory_group), 300], ["echo", 2]]
        results = list(executor.map(Claim(i, p) for i, p in enumerate(work)))
    assert [r.state for r in results] == ["done", "out_of_memory", "done"]
    assert results[1].error == "WorkerDied"


def test_the_count_of_memory_kills_is_read(monkeypatch):
    assert pool_module.memory_kills() >= 0

    class Lines:
        def __init__(self, _: str) -> None:
            pass

        def read_text(self) -> str:
            return "oom_killer 3\noom_kill 12\npgfault 5\n"

    monkeypatch.setattr(_deaths, "Path", Lines)
    assert pool_module.memory_kills() == 12
    monkeypatch.setattr(Lines, "read_text", lambda _: "pgfault 5\n")
    assert pool_module.memory_kills() == 0

    def absent(_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Lines, "read_text", absent)
    assert pool_module.memory_kills() == 0


def test_a_value_that_cannot_be_sent_is_a_failure(pool):
    closed, broken, fine = pool.map(
        [Claim(0, ["closed"]), Claim(1, ["broken"]), Claim(2, ["echo", 1])]
    )
    assert (closed.state, closed.error) == (State.failed, "ValueError")
    assert "cannot be pickled" in closed.message
    assert (broken.state, broken.error) == (State.failed, "LookupError")
    assert "cannot be unpickled" in broken.message
    assert fine.value == 1


def test_a_payload_that_cannot_be_sent_is_a_failure(pool):
    payloads = [["echo", 1], lambda: 1, execution_jobs._Closed(), ["echo", 2]]
    results = list(pool.map(Claim(i, p) for i, p in enumerate(payloads)))
    assert [r.state for r in results] == ["done", "failed", "failed", "done"]
    assert [r.id for r in results] == [0, 1, 2, 3]
    assert "pickle" in results[1].message
    assert {r.id for r in pool.map([Claim(7, lambda: 1)], ordered=False)} == {7}


def test_workers_are_replaced_after_max_tasks(act):
    with PoolExecutor(act, 1, max_tasks=2) as executor:
        found = values(executor, [["pid"]] * 5)
    assert found[0] == found[1] != found[2] == found[3] != found[4]


@pytest.mark.parametrize(("threads", "found"), [(3, "3"), (None, "5")])
def test_threads_of_a_worker(act, monkeypatch, threads, found):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with PoolExecutor(act, 1, threads_per_worker=threads) as executor:
        assert values(executor, [["threads"]]) == [found]
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_the_environment_is_put_back(act, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with PoolExecutor(act, 1) as executor:
        assert values(executor, [["threads"]]) == ["1"]
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_callable_object_travels():
    with PoolExecutor(execution_jobs.Adder(10), 1) as executor:
        assert values(executor, [1, 2]) == [11, 12]


def test_one_map_at_a_time(pool):
    first = pool.map([Claim(i, ["echo", i]) for i in range(3)])
    next(first)
    with pytest.raises(UsageError, match="already running a map"):
        next(pool.map([Claim(0, ["echo", 0])]))
    assert [r.value for r in first] == [1, 2]
    assert values(pool, [["echo", 1]]) == [1]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": 1, "timeout": 0},
        {"workers": 1, "timeout": float("nan")},
        {"workers": 1, "max_tasks": -1},
        {"workers": 1, "threads_per_worker": 0},
        {"workers": 1, "retries": -1},
        {"workers": 1, "memory_limit": 0},
    ],
)
def test_numbers_out_of_range_are_refused(act, options):
    with pytest.raises(UsageError, match=r"Expected .*but got"):
        PoolExecutor(act, **options)


def test_a_callable_that_cannot_be_sent_is_refused_at_once():
    with pytest.raises(UsageError, match="name it as 'module:function'"):
        PoolExecutor(lambda x: x, 1)


def test_a_function_that_loads_here_but_not_in_a_worker(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import multiprocessing\n"
        "if multiprocessing.parent_process(): raise ImportError('not in a worker')\n"
        "def f(x): return x\n"
    )
    with (
        PoolExecutor(f"{path}:f", 2) as executor,
        pytest.raises(WorkerError, match=r"cannot load '.*mine.py:f': .*not in a worker"),
    ):
        values(executor, [1, 2, 3])


def test_workers_that_end_while_they_load(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import multiprocessing, os\n"
        "if multiprocessing.parent_process(): os._exit(9)\n"
        "def f(x): return x\n"
    )
    begin = time.monotonic()
    with (
        PoolExecutor(f"{path}:f", 1) as executor,
        pytest.raises(WorkerError, match="end before they take any work"),
    ):
        values(executor, [1])
    assert time.monotonic() - begin < 20


def test_leaving_the_block_ends_the_workers(act):
    with PoolExecutor(act, 2) as executor:
        found = pids(executor)
    assert gone(list(found), 1.0)
    assert values(executor, [["echo", 1]]) == [1], "and it may be used again"
    last = pids(executor)
    executor.close()
    executor.close()
    assert gone(list(last), 1.0)


def test_closing_early_ends_running_workers_soon(act):
    with PoolExecutor(act, 2) as executor:
        found = pids(executor)
        results = executor.map([Claim(0, ["echo", 0]), *[Claim(i, ["sleep", 60]) for i in (1, 2)]])
        next(results)
        begin = time.monotonic()
        results.close()
        assert time.monotonic() - begin < 3
        assert len(found) <= 2
    assert gone(list(found))


INTERRUPTED = """
import sys
from foretell.execution import Claim, PoolExecutor

if __name__ == "__main__":
    act = sys.argv[1]
    with PoolExecutor(act, 2) as executor:
        claims = [Claim(0, ["pid"]), Claim(1, ["echo", 1])]
        claims += [Claim(i, ["deaf", 60] if i % 2 else ["sleep", 60]) for i in range(2, 9)]
        for result in executor.map(claims):
            print(result.id, result.value, flush=True)
"""


@pytest.mark.parametrize("to_group", [True, False], ids=["terminal", "process"])
def test_ctrl_c_ends_everything_and_keeps_what_was_yielded(script, act, to_group):
    process = script(INTERRUPTED, act)
    first = process.stdout.readline().split()
    assert process.stdout.readline() == "1 1\n"
    time.sleep(0.5)
    workers = children(process.pid)
    assert int(first[1]) in workers
    begin = time.monotonic()
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    process.wait(20)
    assert time.monotonic() - begin < 8
    assert process.returncode != 0
    assert "KeyboardInterrupt" in process.stderr.read()
    assert gone(workers), "no worker is left"


def test_a_killed_parent_leaves_no_workers(script, act):
    process = script(INTERRUPTED, act)
    process.stdout.readline()
    process.stdout.readline()
    time.sleep(0.5)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    # One worker is deaf to SIGTERM in the middle of its claim, as no real function is.
    assert gone([c for c in workers if not deaf(c)])


UNGUARDED = """
import sys
from foretell.execution import Claim, PoolExecutor
print([r.value for r in PoolExecutor(sys.argv[1], 1).map([Claim(0, ["echo", 1])])])
"""


def test_a_script_without_the_guard_is_told_so(script, act):
    process = script(UNGUARDED, act)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "WorkerError" in errors
    assert "if __name__ == '__main__'" in errors.splitlines()[-1]


def test_other_errors_of_the_pool_are_results(act):
    """Whatever the pool raises for one future belongs to that claim."""

    class Broken:
        def result(self) -> bytes:
            raise LookupError("odd")

    with PoolExecutor(act, 1) as executor:
        job = pool_module._Job(0, Claim(5, None), b"", executor._slots[0])
        result = job.end(Broken())
        assert (result.id, result.state, result.error) == (5, State.failed, "LookupError")

        class Gone:
            def result(self) -> bytes:
                raise BrokenProcessPool

        assert job.end(Gone()) is None
        with pytest.raises(WorkerError):
            job.end(Gone())


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "SIGKILL"), (-64, "SIGRTMAX"), (-63, "signal 63"), (1, "code 1")]
)
def test_endings_have_names(code, words):
    assert words in _deaths._ending(code)


def test_what_another_process_kills_is_run_again_where_that_is_asked_for(act, tmp_path):
    once, always = ["die_once", str(tmp_path / "once")], ["signal", 9]
    with PoolExecutor(act, 1, retries=1, modules=["wave"]) as executor:
        work = [once, always, ["signal", 11], ["loads", "wave"]]
        first, second, third, fourth = executor.map(Claim(i, p) for i, p in enumerate(work))
    assert first.value == "again"
    assert (second.state, third.state) == (State.failed, State.failed)
    assert "ended by SIGKILL" in second.message
    assert "ended by SIGSEGV" in third.message
    assert fourth.value, "it was imported before the first claim"


def test_a_worker_has_a_memory_limit(act):
    with PoolExecutor(act, 1, memory_limit=2**30) as executor:
        eater, fine = executor.map([Claim(0, ["eat", 4 << 30]), Claim(1, ["eat", 1 << 20])])
    assert (eater.state, eater.error) == (State.out_of_memory, "MemoryError")
    assert fine.value == 1 << 20


def test_the_default_limit_is_a_share_of_the_machine(act, monkeypatch):
    monkeypatch.setattr(_memory, "_total", lambda: 64 * 2**30)
    assert PoolExecutor(act, 4).memory_limit == 8 * 2**30
    assert PoolExecutor(act, 64).memory_limit == 2 * 2**30, "never less than a network needs"
    assert PoolExecutor(act, 4, memory_limit=2.5e9).memory_limit == 2.5e9
    monkeypatch.setattr(_memory, "_total", lambda: float("inf"))
    assert PoolExecutor(act, 4).memory_limit == float("inf")
