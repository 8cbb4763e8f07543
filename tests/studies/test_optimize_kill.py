"""SIGKILL in the middle of an optimisation: what is finished is kept, and the end is the same."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optimize_script as script
import pytest

from foretell.errors import ForetellError
from foretell.store import Store
from foretell.studies.optimize.read import read

SCRIPT = Path(script.__file__)
TRIALS = 24


def states(folder):
    """(state, value) of every stored trial that is finished, by its key."""
    try:
        with Store(folder / "study.db", read_only=True) as store:
            rows = store.trials("optimize")
    except ForetellError:  # killed before there was one
        return {}
    return {t.key: (t.state, t.value, t.message, t.attempts) for t in rows if t.state.final}


def start(job, folder, calls):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), job, str(folder), str(TRIALS)],
        env={**os.environ, "CALLS": str(calls)},
    )


def kill_when(process, folder, done):
    """SIGKILL when so many trials are finished; how many were, then."""
    while process.poll() is None:
        if len(states(folder)) >= done:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.005)
    process.wait()
    return process.returncode


def outcome(result):
    rows = [(t.arch, t.state, t.values, t.message, t.on_front) for t in result.trials]
    return rows, result.winner.arch, result.winner.number


def test_half_way_and_again(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    assert kill_when(start("optimize", tmp_path / "out", calls), tmp_path / "out", 12) == -9
    kept = states(tmp_path / "out")
    found = read(tmp_path / "out")
    assert found.state == "stopped"
    assert len(found.trials) == len(kept) >= 12
    assert found.winner is None
    before = calls.read_text().split()
    monkeypatch.setenv("CALLS", str(calls))
    result = script.optimize(tmp_path / "out", TRIALS)
    again = calls.read_text().split()[len(before) :]
    assert not set(again) & set(kept)
    assert {k: v for k, v in states(tmp_path / "out").items() if k in kept} == kept
    assert max(Counter([*before, *again]).values()) <= 2
    assert sum(Counter([*before, *again]).values()) <= TRIALS + 1  # one was cut off
    monkeypatch.setenv("CALLS", str(tmp_path / "others"))
    assert outcome(result) == outcome(script.optimize(tmp_path / "whole", TRIALS))
    assert result.resumed.trials == len(kept)
    assert (tmp_path / "out" / "trials.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("job", ["optimize", "ask_tell"])
def test_at_random_moments(job, tmp_path, monkeypatch):
    """Nothing is told twice, what was told stays, and the same is asked for."""
    calls = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(calls))
    whole = outcome(getattr(script, job)(tmp_path / "whole", TRIALS))
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "big"))
    kills = 0
    for episode in range(3):
        folder = tmp_path / f"killed{episode}"
        kept = {}
        for _ in range(4):
            process = start(job, folder, calls)
            deadline = time.monotonic() + 60
            while not (folder / "study.db").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(float(rng.uniform(0.0, 0.5)))
            kills += process.poll() is None
            process.kill()
            process.wait()
            now = states(folder)
            assert {k: now.get(k) for k in kept} == kept
            kept = now
        result = getattr(script, job)(folder, TRIALS)
        assert outcome(result) == whole
        assert {k: states(folder).get(k) for k in kept} == kept
    assert kills > 0
