"""SIGKILL in the middle of an optimisation: what is finished is kept, and the end is the same."""

import os
from collections import Counter

import forked
import numpy as np
import optimize_script as script
import pytest

from foretell.studies.optimize.read import read

TRIALS = 24


def outcome(result):
    rows = [(t.arch, t.state, t.values, t.message, t.on_front) for t in result.trials]
    return rows, result.winner.arch, result.winner.number


def test_half_way_and_again(tmp_path, monkeypatch):
    calls, out = tmp_path / "calls", tmp_path / "out"
    monkeypatch.setenv("CALLS", str(calls))

    def half_way():
        return len(forked.finished(out, "optimize")) >= 12

    assert forked.run_for(script.optimize, out, TRIALS, condition=half_way) == -9
    kept = forked.finished(out, "optimize")
    found = read(out)
    assert found.state == "stopped"
    assert len(found.trials) == len(kept) >= 12
    assert found.winner is None
    before = calls.read_text().split()
    result = script.optimize(out, TRIALS)
    again = calls.read_text().split()[len(before) :]
    assert not set(again) & set(kept)
    assert {k: v for k, v in forked.finished(out, "optimize").items() if k in kept} == kept
    assert max(Counter([*before, *again]).values()) <= 2
    assert sum(Counter([*before, *again]).values()) <= TRIALS + 1  # one was cut off
    monkeypatch.setenv("CALLS", str(tmp_path / "others"))
    assert outcome(result) == outcome(script.optimize(tmp_path / "whole", TRIALS))
    assert result.resumed.trials == len(kept)
    assert (out / "trials.csv").exists()


@pytest.mark.parametrize("job", [script.optimize, script.ask_tell])
def test_at_random_moments(job, tmp_path, monkeypatch):
    """Nothing is told twice, what was told stays, and the same is asked for."""
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    whole = outcome(job(tmp_path / "whole", TRIALS))
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "big"))
    kills = 0
    for episode in range(2):
        folder = tmp_path / f"killed{episode}"
        kept = {}
        for _ in range(6):
            kills += forked.run_for(job, folder, TRIALS, seconds=float(rng.uniform(0, 0.4))) == -9
            now = forked.finished(folder, "optimize")
            assert {k: now.get(k) for k in kept} == kept
            kept = now
        assert outcome(job(folder, TRIALS)) == whole
        assert {k: forked.finished(folder, "optimize").get(k) for k in kept} == kept
    assert kills > 0
