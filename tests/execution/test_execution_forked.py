"""A copy of this process: what it sees, how it dies, and what is left behind."""

import multiprocessing
import os
import signal
import time

import execution_jobs
import pytest
from execution_helpers import gone

from foretell.errors import RunFolderError, UsageError
from foretell.execution import Claim, ForkedExecutor, State, forked
from foretell.studies.run.folder import RunFolder

WORK = [
    (["signal", signal.SIGSEGV], "failed", "ended by SIGSEGV"),
    (["signal", signal.SIGKILL], "failed", "ended by SIGKILL"),
    (["exit", 0], "failed", "exited with code 0"),
    (["exit", 3], "failed", "exited with code 3"),
    (["echo", 1], "done", ""),
    (["sleep", 60], "timed_out", "limit of 0.5 seconds"),
    (["deaf", 60], "timed_out", "limit of 0.5 seconds"),
    (["closed"], "failed", "cannot be pickled"),
    (["broken"], "failed", "cannot be unpickled"),
    (["eat", 1 << 45], "out_of_memory", ""),
    (["echo", 2], "done", ""),
]


def test_each_claim_has_an_end_of_its_own():
    with ForkedExecutor(execution_jobs.act, timeout=0.5) as executor:
        results = list(executor.map(Claim(i, p) for i, (p, _, _) in enumerate(WORK)))
    for result, (payload, state, words) in zip(results, WORK, strict=True):
        assert result.state == state, payload
        assert words in result.message
    assert 0.5 <= results[5].seconds < 10
    assert [r.error for r in results[:4]] == ["WorkerDied"] * 4


def test_a_copy_has_the_memory_of_this_process_and_keeps_what_it_changes():
    seen = [1, 2]

    def append(x):
        seen.append(x)
        return list(seen)

    with ForkedExecutor(append) as executor:
        assert [r.value for r in executor.map([Claim(0, 3), Claim(1, 4)])][-1] == [1, 2, 3, 4]
        assert seen == [1, 2]
        executor.close()
        seen.append(0)
        assert [r.value for r in executor.map([Claim(0, 5)])] == [[1, 2, 0, 5]]


def test_what_another_process_kills_is_run_again_where_that_is_asked_for(tmp_path):
    with ForkedExecutor(execution_jobs.act, retries=1) as executor:
        work = [["die_once", str(tmp_path / "once")], ["signal", 9], ["echo", 1]]
        first, second, third = executor.map(Claim(i, p) for i, p in enumerate(work))
    assert (first.value, third.value) == ("again", 1)
    assert "ended by SIGKILL" in second.message


def test_lack_of_memory_is_told_from_a_kill(monkeypatch):
    kills = iter([5, 6, 6, 6])
    monkeypatch.setattr(forked, "memory_kills", lambda: next(kills))
    with ForkedExecutor(execution_jobs.act) as executor:
        first, second = executor.map([Claim(0, ["signal", 9]), Claim(1, ["signal", 9])])
    assert first.state is State.out_of_memory
    assert second.state is State.failed


def test_a_memory_limit_leaves_room_beyond_what_is_there():
    with ForkedExecutor(execution_jobs.act, memory_limit=1) as executor:
        room, more = executor.map([Claim(0, ["eat", 1 << 28]), Claim(1, ["eat", 4 << 30])])
    assert room.value == 1 << 28
    assert more.state is State.out_of_memory


def test_modules_are_imported_here():
    with ForkedExecutor(execution_jobs.act, modules=["this"]) as executor:
        assert [r.value for r in executor.map([Claim(0, ["loads", "this"])])] == [True]


def _hold(pipe):
    with ForkedExecutor(execution_jobs.act) as executor:
        (result,) = executor.map([Claim(0, ["pid"])])
        pipe.send(result.value)
        list(executor.map([Claim(1, ["deaf", 60])]))


def test_a_copy_ends_with_a_parent_that_is_killed():
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_hold, args=(theirs,))
    parent.start()
    child = ours.recv()
    time.sleep(0.1)
    parent.kill()
    parent.join()
    assert gone([child])


def test_a_copy_does_not_hold_the_lock_of_a_run_folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with ForkedExecutor(execution_jobs.act) as executor:
        with folder.lock():
            list(executor.map([Claim(0, ["pid"])]))
            with pytest.raises(RunFolderError, match="Another run"), folder.lock():
                pass
        with folder.lock():
            pass


def test_arguments_are_checked(monkeypatch):
    for options in ({"timeout": 0}, {"retries": -1}, {"memory_limit": -2}):
        with pytest.raises(UsageError, match="Expected"):
            ForkedExecutor(execution_jobs.act, **options)
    monkeypatch.setattr(forked.sys, "platform", "darwin")
    assert not forked.can_fork()
    with pytest.raises(UsageError, match="cannot fork"):
        ForkedExecutor(execution_jobs.act)
    monkeypatch.undo()
    assert forked.can_fork() == (os.uname().sysname == "Linux")
    assert not forked.can_fork("cuda")
