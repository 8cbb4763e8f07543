"""A full disk: one sentence, what was committed is there, and work goes on when there is room."""

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from foretell.errors import StoreFullError
from foretell.store import Result, State, Store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(store: Store) -> tuple[int, StoreFullError]:
    """Finish trials until the disk is full: how many, and the error."""
    for i in range(10_000):
        try:
            store.add_trials("s", [(f"k{i}", "x" * 10_000)])
            (trial,) = store.claim("s", "me")
            store.finish(trial, Result(trial.id, State.done, "y" * 10_000))
        except StoreFullError as error:
            return i, error
    raise AssertionError("the disk never filled up")


def check(error: StoreFullError) -> None:
    assert "disk is full; free some space" in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_full_disk_loses_nothing(small_disk, journal):
    path = small_disk / "a.db"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    store = Store(path, journal=journal)
    store.put_study("s", {})
    count, error = fill(store)
    check(error)
    assert count > 5
    done = store.trials("s", State.done)
    assert [t.key for t in done] == [f"k{i}" for i in range(count)]
    with pytest.raises(StoreFullError):
        store.put_scores("s", "p", [str(i) for i in range(9000)], ["x"], np.zeros((9000, 1)))
    assert store.score_kinds("s") == (), "not even a part of it"
    ballast.unlink()
    store.release("me")
    store.add_trials("s", [("last", 1)])
    late = store.claim("s", "me", 2)
    for trial in late:
        assert store.finish(trial, Result(trial.id, State.done, 1)) is State.done
    store.close()
    with Store(path, journal=journal) as again:
        assert again.counts("s") == {State.done: count + len(late)}


def test_a_full_disk_can_be_read_by_a_new_process(small_disk):
    path = small_disk / "a.db"
    store = Store(path)
    store.put_study("s", {})
    count, _ = fill(store)
    store.close()
    (small_disk / "rest").write_bytes(b"")
    with contextlib.suppress(OSError), open(small_disk / "rest", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with Store(path, read_only=True) as again:
        assert [t.key for t in again.trials("s", State.done)] == [f"k{i}" for i in range(count)]


def test_no_room_for_a_new_store(small_disk):
    with contextlib.suppress(OSError), open(small_disk / "rest", "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(StoreFullError) as caught:
        Store(small_disk / "a.db")
    check(caught.value)
    (small_disk / "rest").unlink()
    Store(small_disk / "a.db").close()


def test_a_page_limit_acts_like_a_full_disk(store):
    """SQLite's own "database or disk is full", on every system."""
    store._db._connection.execute("PRAGMA max_page_count = 40")
    count, error = fill(store)
    check(error)
    assert len(store.trials("s", State.done)) == count > 5
    store._db._connection.execute("PRAGMA max_page_count = 4000")
    store.put_value("s", "k", 1)


LIMITED = """
import resource, signal, sys
from foretell.errors import StoreError
from foretell.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
store = Store(sys.argv[1])
store.put_study("s", {})
for i in range(1000):
    try:
        store.put_value("s", str(i), "x" * 10_000)
    except StoreError as error:
        print(i, len(store.values("s")), error)
        break
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit on file sizes here")
def test_a_quota_is_one_sentence_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path / "a.db"], capture_output=True, text=True
    )
    count, kept, sentence = done.stdout.split(" ", 2)
    assert int(count) == int(kept) > 5, done.stderr
    assert "your quota" in sentence
    with Store(tmp_path / "a.db") as store:
        assert len(store.values("s")) == int(count)
