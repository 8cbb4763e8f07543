"""Several worker processes on one study, one of them killed."""

import signal
import time
from collections import Counter

import pytest

from foretell.execution import State
from foretell.store import Store

LOOP = """
import sys
from foretell.execution import work

if __name__ == "__main__":
    path, function, seconds = sys.argv[1:]
    def note(trial, result):
        print(result.state.value, trial.key, flush=True)
    print("ready", flush=True)
    report = work(path, "s", function, lease_seconds=float(seconds), poll_seconds=0.05,
                  on_result=note)
    print("end", report.finished, flush=True)
"""

SLEEPY = """
import os, time

def run(payload):
    time.sleep(payload)
    return os.getpid()
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    path = tmp_path / "a.db"
    with Store(path) as store:
        store.put_study("s", {})
        yield store, f"{tmp_path / 'sleepy.py'}:run"


def test_a_killed_workers_trial_is_redone_when_its_lease_is_over(study, script):
    store, function = study
    # The first takes far longer than the lease, which its worker renews all the while.
    store.add_trials("s", [("long", 60.0), *[(f"k{i}", 0.02) for i in range(40)]])
    victim = script(LOOP, store.path, function, 1.0)
    assert victim.stdout.readline() == "ready\n"
    until = time.monotonic() + 20
    while not store.trials("s", State.running):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert store.trials("s")[0].attempts == 1
    others = [script(LOOP, store.path, function, 1.0) for _ in range(2)]
    time.sleep(1.5)
    held = store.trials("s")[0]
    assert held.owner.split("/")[1] == str(victim.pid), "the lease was renewed"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    while (held := store.trials("s")[0]).owner.split("/")[1] == str(victim.pid):
        assert time.monotonic() < until + 20
        time.sleep(0.05)
    assert (held.attempts, held.lost, held.state) == (2, 1, State.running)
    redoing = next(p for p in others if str(p.pid) == held.owner.split("/")[1])
    (idle,) = [p for p in others if p is not redoing]
    redoing.kill()
    redoing.wait()
    # Nobody is to sleep a minute: the last worker is told of a shorter trial instead.
    store._db._connection.execute("UPDATE trials SET payload = '0.01' WHERE key = 'long'")
    idle.wait(40)
    said = [p.stdout.read().split("\n") for p in (victim, *others)]
    done = Counter(line.split()[1] for text in said for line in text if line.startswith("done"))
    assert done == Counter(t.key for t in store.trials("s")), "each was finished exactly once"
    assert store.counts("s") == {State.done: 41}
    last = store.trials("s")[0]
    assert (last.attempts, last.lost, last.value) == (3, 2, idle.pid)
    assert "end" in said[1 + others.index(idle)][-2]


def test_ctrl_c_gives_a_workers_trial_back_at_once(study, script):
    store, function = study
    store.add_trials("s", [("long", 60.0)])
    worker = script(LOOP, store.path, function, 60.0)
    until = time.monotonic() + 20
    while not store.trials("s", State.running):
        assert time.monotonic() < until
        time.sleep(0.02)
    worker.send_signal(signal.SIGINT)
    worker.wait(10)
    assert store.counts("s") == {State.pending: 1}
    assert store.trials("s")[0].lost == 0
