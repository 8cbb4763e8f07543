"""One store in many threads and processes."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest

from foretell.store import Result, State, Store

CLAIMER = """
import sys, time
from foretell.store import Result, State, Store
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while trials := store.claim("s", sys.argv[2], int(sys.argv[3])):
    for trial in trials:
        assert store.finish(trial, Result(trial.id, State.done, sys.argv[2])) is State.done
        print(trial.number)
    time.sleep(0.001)
"""


def test_processes_that_claim_at_once_never_share_a_trial(tmp_path):
    path = tmp_path / "a.db"
    with Store(path) as store:
        store.put_study("s", {})
        store.add_trials("s", [(str(i), i) for i in range(600)])
    processes = {
        owner: subprocess.Popen(
            [sys.executable, "-c", CLAIMER, path, owner, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for owner, count in (("a", "1"), ("b", "1"), ("c", "3"))
    }
    for process in processes.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    got = {o: [int(n) for n in p.communicate()[0].split()] for o, p in processes.items()}
    assert all(p.returncode == 0 for p in processes.values())
    assert sorted(n for numbers in got.values() for n in numbers) == list(range(600))
    assert sum(bool(numbers) for numbers in got.values()) >= 2, "they did run side by side"
    with Store(path) as store:
        for trial in store.trials("s"):
            assert trial.number in got[trial.value]
            assert (trial.owner, trial.attempts) == (trial.value, 1)


def test_processes_that_open_a_new_store_at_once(tmp_path):
    code = (
        "import sys; from foretell.store import Store; sys.stdin.readline(); "
        "print(Store(sys.argv[1]).put_study('s', {'a': 1}))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "a.db"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [p.communicate()[0].strip() for p in processes]
    assert sorted(said) == ["False", "True", "True", "True", "True"]


def test_threads_share_one_store(store):
    store.add_trials("s", [(str(i), i) for i in range(200)])
    got: list[int] = []
    problems: list[BaseException] = []

    def loop(owner: str) -> None:
        try:
            while trials := store.claim("s", owner, 2):
                store.renew(trials)
                for trial in trials:
                    store.put_value("s", trial.key, trial.number)
                    store.finish(trial, Result(trial.id, State.done, owner))
                    got.append(trial.number)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=loop, args=(f"t{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(got) == list(range(200))
    assert len(store.values("s")) == 200


def test_a_thread_that_writes_while_another_reads(store):
    """A reader sees whole transactions only."""
    stop = threading.Event()
    torn: list[object] = []

    def read() -> None:
        with Store(store.path, read_only=True) as reader:
            while not stop.is_set():
                keys = reader.scores("s", "p").keys
                if len(keys) % 3:
                    torn.append(keys)

    thread = threading.Thread(target=read)
    thread.start()
    for i in range(30):
        store.put_scores("s", "p", [f"{i}{j}" for j in range(3)], ["x"], [[1], [2], [3]])
    stop.set()
    thread.join()
    assert torn == []


def _use(store: Store, key: str) -> None:
    (trial,) = store.claim("s", key)
    store.finish(trial, Result(trial.id, State.done, [key, os.getpid()]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_process_opens_its_own_connection(store):
    store.add_trials("s", [(str(i), i) for i in range(3)])
    (mine,) = store.claim("s", "parent")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _use(store, "child")
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.finish(mine, Result(mine.id, State.done, "parent")) is State.done
    values = [t.value for t in store.trials("s", State.done)]
    assert values == ["parent", ["child", pid]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_another_thread_is_inside_the_store(store):
    """The lock that the other thread holds is copied locked; the child must not wait for it."""
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with store._db._lock:
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(30)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            store.put_value("s", "child", 1)
            code = 0
        finally:
            os._exit(code)
    for _ in range(1000):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        pytest.fail("the child hangs")
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.value("s", "child") == 1


def test_a_store_travels_to_a_spawned_process(tmp_path):
    with Store(tmp_path / "a.db", busy_seconds=7, durability="power") as store:
        store.put_study("s", {})
        store.add_trials("s", [("k", 1)])
        process = multiprocessing.get_context("spawn").Process(target=_use, args=(store, "x"))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert store.trials("s", State.done)[0].value[0] == "x"
        with pickle.loads(pickle.dumps(store)) as twin:
            assert twin._db.busy_seconds == 7
            assert twin._db.durability == "power"
            assert twin.studies() == store.studies()
