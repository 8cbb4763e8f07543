"""kill -9 at random moments: nothing finished is lost, nothing is finished twice."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from foretell.store import Result, State, Store, owner_name
from foretell.store._connection import Journal


def write(path: Path, log: Path, journal: Journal) -> None:
    """Finish trials, and note down each that the store called finished."""
    notes = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = Store(path, journal=journal)
    store.release_dead("s")
    me, pid = owner_name(), os.getpid()
    os.write(notes, b"ready\n")
    while trials := store.claim("s", me, 2):
        for trial in trials:
            key, number = trial.key, trial.number
            store.put_scores("s", "p", [f"{key}a", f"{key}b"], ["x", "y"], [[number, 1e50]] * 2)
            store.put_value("s", key, [number] * 500)
            state = store.finish(trial, Result(trial.id, State.done, {"pid": pid}))
            os.write(notes, f"{state.value} {key} {pid}\n".encode())


def start(path: Path, log: Path, journal: Journal) -> int:
    """A process that writes until it is killed."""
    pid = os.fork()
    if pid == 0:
        try:
            write(path, log, journal)
        finally:
            os._exit(1)
    return pid


def wait_for(log: Path, lines: int, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not log.exists() or log.read_bytes().count(b"ready") < lines:
        assert time.monotonic() < until, "the writer did not start"
        time.sleep(0.001)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize(("journal", "kills", "seconds"), [("wal", 25, 0.06), ("delete", 5, 0.4)])
def test_no_finished_trial_is_lost_or_finished_twice(tmp_path, journal, kills, seconds):
    path, log = tmp_path / "a.db", tmp_path / "log"
    with Store(path, journal=journal) as store:
        store.put_study("s", {})
        store.add_trials("s", [(f"k{i}", i) for i in range(20_000)])
    draw = random.Random(journal)
    in_flight = 0
    for kill in range(1, kills + 1):
        pid = start(path, log, journal)
        wait_for(log, kill)
        time.sleep(draw.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        with Store(path, journal=journal) as store:
            in_flight += store.counts("s").get(State.running, 0)
    reports = [line.split() for line in log.read_text().splitlines() if line != "ready"]
    assert len(reports) >= kills
    assert in_flight > kills / 2, "kills hit writers at work"
    reported = Counter(key for _, key, _ in reports)
    assert set(reported.values()) == {1}, "no trial was finished twice"
    assert {state for state, _, _ in reports} == {"done"}

    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()
    with Store(path, journal=journal) as store:
        finished = {t.key: t for t in store.trials("s", State.done)}
        values, scores = store.values("s"), store.scores("s", "p")
    assert not set(reported) - set(finished), "no finished trial was lost"
    # A writer killed between the commit and its note finished one more than it could report.
    assert len(finished) - len(reported) <= kills
    for _, key, pid in reports:
        assert finished[key].value == {"pid": int(pid)}
    rows = dict(zip(scores.keys, scores.values.tolist(), strict=True))
    for key in finished:
        number = finished[key].number
        assert values[key] == [number] * 500
        assert rows[f"{key}a"] == rows[f"{key}b"] == [number, 1e50]
    assert {k[:-1] for k in rows if k.endswith("a")} == {k[:-1] for k in rows if k.endswith("b")}


def test_a_store_killed_while_it_is_created_opens(tmp_path):
    code = (
        "import sys; from foretell.store import Store; sys.stdout.write('x'); sys.stdout.flush();"
        "Store(sys.argv[1]).put_study('s', {})"
    )
    draw = random.Random(0)
    for i in range(6):
        path = tmp_path / f"{i}.db"
        process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.read(1)
        time.sleep(draw.uniform(0, 0.012))
        process.kill()
        process.wait()
        process.stdout.close()
        with Store(path) as store:
            store.put_study("s", {})
            assert store.add_trials("s", [("k", 1)]) == 1
