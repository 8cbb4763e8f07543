"""A run whose folder vanishes, whose disk is full, that waits for others, or that ends itself."""

import faulthandler
import os
import shutil
import subprocess

import forked
import own_evaluation as own
import pytest
from test_search_kill import CONFIG

import foretell
from foretell.cli._app import run as command
from foretell.errors import ForetellError, RunFolderError
from foretell.execution import InlineExecutor
from foretell.store import Store
from foretell.studies import Resources, SearchConfig
from foretell.studies.optimize.read import read
from foretell.studies.run import rounds
from foretell.studies.run.inside import part_teller, tell_children
from foretell.studies.run.session import is_running
from foretell.studies.search.study import run

SMALL = SearchConfig.from_json(
    {**CONFIG.to_json(), "pool": 6, "trials": 3, "proxies": ["params"], "attacks": []}
)


def test_a_folder_that_vanishes_is_a_sentence(tmp_path):
    gone = tmp_path / "gone"

    def remove(progress):
        if progress.stage == "score":
            shutil.rmtree(gone, ignore_errors=True)

    with pytest.raises(RunFolderError, match=r"gone: it was removed or renamed"):
        run(SMALL, gone, resources=Resources(own.tiny), on_progress=remove)
    assert not gone.exists()


def test_a_disk_that_is_full_is_a_sentence_and_nothing_is_lost(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk), "-o"]
    try:
        if subprocess.run([*mount, "size=300k"], capture_output=True).returncode:
            pytest.skip("a small file system cannot be mounted here")
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    try:
        with pytest.raises(ForetellError, match="full"):
            run(SMALL, disk / "run", resources=Resources(own.tiny))
        before = forked.finished(disk / "run", CONFIG.KIND)
        subprocess.run([*mount, "remount,size=64m"], check=True)
        result = run(SMALL, disk / "run", resources=Resources(own.tiny))
        now = forked.finished(disk / "run", CONFIG.KIND)
        assert {key: now[key] for key in before} == before
        assert len(now) == SMALL.trials
        assert result.winner is not None
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_who_waits_for_a_dead_worker_of_another_host_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "_PATIENCE", 0.1)
    said = []
    with Store(tmp_path / "a.db") as store:
        store.put_study("s", {})
        store.add_trials("s", [("a", 3)])
        store.claim("s", "elsewhere.1f.9/77/ab", 1, 1.0)
        waits = rounds.Rounds(store, "s", InlineExecutor(abs), on_wait=said.append)
        (trial,) = waits.run([("a", 3)])
    assert trial.value == 3
    assert "Waiting for trial 0, which process 77 on elsewhere works on" in said[0]
    assert "taken over when its lease ends, in 1 s" in said[0]


def test_a_run_of_another_host_counts_as_running_as_long_as_it_gives_signs(monkeypatch):
    monkeypatch.setattr("foretell.studies.run.session.time.time", lambda: 1000.0)
    values = {"owner": "elsewhere.1f.9/77/ab"}
    assert is_running({**values, "last sign of life": 990.0})
    assert not is_running({**values, "last sign of life": 600.0})
    assert not is_running(values)


def leaves(arch):
    """Ends its process where the first gene is 2."""
    if arch.genes[0] == 2:
        os._exit(0)
    return own.worth(arch)


def optimise(folder):
    faulthandler.disable()  # as without pytest
    foretell.optimize(leaves, own.space, out=folder, trials=12, searcher="random")


def test_what_ends_the_process_of_an_optimisation_is_given_up_at_the_third_meeting(tmp_path):
    codes, counts = [], []
    while not codes or codes[-1] != 0 or len(read(tmp_path).trials) < 12:
        codes.append(forked.run_for(optimise, tmp_path))
        counts.append(sum(t.state == "done" for t in read(tmp_path).trials))
        assert len(codes) < 20
    result = read(tmp_path)
    lost = [t for t in result.trials if t.state == "failed"]
    assert lost
    assert all(t.error == "WorkerLostError" for t in lost)
    assert len(codes) == 2 * len(lost) + 1, "twice each, then given up"
    assert counts == sorted(counts), "nothing that was finished is lost"


def test_progress_of_studies_that_are_closed_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_PROGRESS", "outside")
    first, second = tell_children(tmp_path / "a"), tell_children(tmp_path / "b")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert os.environ["FORETELL_PROGRESS"].startswith(str(tmp_path / "b"))
    second.__exit__(None, None, None)
    assert os.environ["FORETELL_PROGRESS"] == "outside"
    monkeypatch.delenv("FORETELL_PROGRESS")
    with foretell.create_study(own.space, out=tmp_path / "c"):
        other = foretell.create_study(own.space, out=tmp_path / "d")
    other.close()
    assert "FORETELL_PROGRESS" not in os.environ
    part_teller()(0.5, "nobody listens")


def steps(arch, trial):
    for step in range(4):
        trial.report(step, own.worth(arch) * step, of=4)
    return own.worth(arch)


def test_reports_are_progress_within_a_trial(tmp_path):
    seen = []
    foretell.optimize(
        steps, own.space, out=tmp_path, trials=2, searcher="random", on_progress=seen.append
    )
    inside = [p for p in seen if p.stage == "train" and "at step" in p.note]
    assert [p.done for p in inside] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert all(p.remaining > 0 for p in inside[:3])


def test_a_store_that_another_process_holds_is_a_sentence(tmp_path, monkeypatch, capsys):
    import sqlite3

    run(SMALL, tmp_path / "run", resources=Resources(own.tiny))
    monkeypatch.setattr(
        "foretell.studies.run.session.Store", lambda path, **o: Store(path, busy_seconds=0.2, **o)
    )
    holder = sqlite3.connect(tmp_path / "run" / "study.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert command(["resume", str(tmp_path / "run"), "--quiet"]) == 2
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert "locked by another process for 0.2 seconds" in capsys.readouterr().err


def test_damaged_values_of_a_stored_run_are_a_sentence_and_errors_of_users_stay(tmp_path):
    run(SMALL, tmp_path, resources=Resources(own.tiny))
    sound = {}
    with Store(tmp_path / "study.db") as store:
        for key, value in (("pool seconds", "x"), ("in flight", -1), ("pool", {"genes": 3})):
            sound[key] = store.value("search", key)
            store.put_value("search", key, value)
            with pytest.raises(RunFolderError, match="damaged row"):
                run(SMALL, tmp_path, resources=Resources(own.tiny))
            store.put_value("search", key, sound[key])

    def mine(progress):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run(SMALL, tmp_path, resources=Resources(own.tiny), on_progress=mine)
    assert run(SMALL, tmp_path, resources=Resources(own.tiny)).winner is not None
