import contextlib
import os
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from foretell.errors import (
    StoreError,
    StoreFullError,
    StoreLockedError,
    StoreVersionError,
    UsageError,
)
from foretell.store import FORMAT, Result, State, Store, _connection
from foretell.store._connection import network_file_system


def pragma(store: Store, name: str) -> object:
    return store._db.read(f"PRAGMA {name}")[0][0]


def test_a_new_store_is_empty_and_says_its_format(tmp_path):
    with Store(tmp_path / "a.db") as store:
        assert store.studies() == ()
        assert pragma(store, "user_version") == FORMAT == 1
        assert pragma(store, "journal_mode") == "wal"
        assert pragma(store, "synchronous") == 1


def test_reopening_finds_everything(tmp_path):
    path = tmp_path / "a.db"
    with Store(str(path)) as store:
        store.put_study("s", {"a": [1, None, "x"]})
        store.add_trials("s", [("k", 1)])
        store.put_value("s", "v", 2)
        store.put_scores("s", "p", ["k"], ["n"], [[0.5]])
    with Store(path) as store:
        assert store.study("s").config == {"a": [1, None, "x"]}
        assert [t.key for t in store.trials("s")] == ["k"]
        assert store.value("s", "v") == 2
        assert store.scores("s", "p").values.tolist() == [[0.5]]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.db"], "no help files are left"


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "a.db"
    path.touch()
    with Store(path) as store:
        store.put_study("s", {})
    with Store(path) as store:
        assert store.studies()[0].name == "s"


@pytest.mark.parametrize(("journal", "mode"), [("wal", "wal"), ("delete", "delete")])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_every_journal_and_durability_works(tmp_path, journal, mode, durability):
    with Store(tmp_path / "a.db", journal=journal, durability=durability) as store:
        store.put_study("s", {})
        store.add_trials("s", [("k", 1)])
        (trial,) = store.claim("s", "me")
        assert store.finish(trial, Result(trial.id, State.done, 1.5)) is State.done
        assert pragma(store, "journal_mode") == mode
        full = durability == "power" or mode == "delete"
        assert pragma(store, "synchronous") == (2 if full else 1)


def test_a_store_can_change_its_journal(tmp_path):
    for journal in ("wal", "delete", "wal"):
        with Store(tmp_path / "a.db", journal=journal) as store:
            assert pragma(store, "journal_mode") == journal


def test_auto_avoids_wal_on_a_network_file_system(tmp_path, monkeypatch):
    lines = [
        "22 1 254:0 / / rw - ext4 /dev/vda rw",
        f"30 22 0:40 / {str(tmp_path).replace(' ', chr(92) + '040')} rw - nfs4 host:/x rw",
        f"31 30 0:41 / {tmp_path}/near rw - xfs /dev/sdb rw",
    ]
    monkeypatch.setattr(_connection, "_mounts", lambda: lines)
    assert network_file_system(tmp_path / "a.db") == "nfs4"
    assert network_file_system(tmp_path / "near" / "a.db") is None
    assert network_file_system(tmp_path.parent / "a.db") is None
    with Store(tmp_path / "a.db") as store:
        assert pragma(store, "journal_mode") == "delete"
    monkeypatch.setattr(_connection, "_mounts", list)
    assert network_file_system(tmp_path / "a.db") is None


def test_mount_points_with_spaces_are_understood(tmp_path, monkeypatch):
    folder = tmp_path / "two words"
    folder.mkdir()
    line = f"30 22 0:40 / {str(folder).replace(' ', chr(92) + '040')} rw shared:1 - fuse.sshfs h rw"
    monkeypatch.setattr(_connection, "_mounts", lambda: [line])
    assert network_file_system(folder / "a.db") == "fuse.sshfs"


def test_a_path_with_special_characters(tmp_path):
    folder = tmp_path / "100% of #1? ü"
    folder.mkdir()
    with Store(folder / "a b.db") as store:
        store.put_study("s", {})
    assert [p.name for p in folder.iterdir()] == ["a b.db"]
    assert Store(folder / "a b.db", read_only=True).studies()[0].name == "s"


@pytest.mark.parametrize(
    ("found", "advice"), [(FORMAT + 6, "install a newer foretell"), (0, "use the foretell that")]
)
def test_another_format_is_refused_with_both_versions(tmp_path, found, advice):
    path = tmp_path / "a.db"
    Store(path).close()
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {found}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match=advice) as caught:
        Store(path)
    assert (caught.value.found, caught.value.expected) == (found, FORMAT)
    assert f"format {found}" in str(caught.value)
    assert f"format {FORMAT}" in str(caught.value)
    assert path.read_bytes() == before
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    with pytest.raises(StoreVersionError):
        Store(path, read_only=True)


def test_text_is_no_database(tmp_path):
    path = tmp_path / "a.db"
    path.write_text("key,value\n" * 1000)
    with pytest.raises(StoreError, match="no SQLite database"):
        Store(path)
    assert path.read_text() == "key,value\n" * 1000


def test_anothers_database_is_left_alone(tmp_path):
    path = tmp_path / "a.db"
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE songs (title)")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no store of foretell"):
        Store(path)
    assert path.read_bytes() == before


def test_a_damaged_store_says_so(tmp_path):
    path = tmp_path / "a.db"
    with Store(path) as store:
        store.put_study("s", {})
        store.add_trials("s", [(str(i), "x" * 100) for i in range(2000)])
    data = bytearray(path.read_bytes())
    data[3 * 16384 :] = b"\xff" * (len(data) - 3 * 16384)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"), Store(path) as store:
        store.trials("s")


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        Store(tmp_path)


def test_the_folder_must_be_there(tmp_path):
    with pytest.raises(StoreError, match=r"no folder .*create it"):
        Store(tmp_path / "absent" / "a.db")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="no folder"):
        Store(tmp_path / "file" / "a.db")


@pytest.mark.parametrize("options", [{"journal": "off"}, {"durability": "none"}])
def test_unknown_options_are_refused(tmp_path, options):
    with pytest.raises(UsageError, match=r"is .* or .*, but got"):
        Store(tmp_path / "a.db", **options)
    assert not (tmp_path / "a.db").exists()


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.studies()


OPEN = """
try:
    Store(sys.argv[1])
except StoreError as error:
    print(type(error).__name__, error)
"""


def test_a_read_only_folder_is_named(public_folder, as_user):
    public_folder.chmod(0o555)
    said = as_user(OPEN, str(public_folder / "a.db"))
    assert said.startswith("StoreError")
    assert f"{str(public_folder)!r} is read-only" in said
    assert list(public_folder.iterdir()) == []


def test_a_read_only_file_is_named(public_folder, as_user):
    path = public_folder / "a.db"
    with Store(path) as store:
        store.put_study("s", {})
    path.chmod(0o444)
    public_folder.chmod(0o777)
    said = as_user(OPEN, str(path))
    assert said.startswith("StoreError")
    assert f"{str(path)!r} is read-only" in said


def test_an_unreadable_file_is_one_sentence(public_folder, as_user):
    path = public_folder / "a.db"
    Store(path).close()
    path.chmod(0o000)
    for options in ("", ", read_only=True"):
        said = as_user(OPEN.replace("])", f"]{options})", 1), str(path))
        assert said.startswith("StoreError")
        assert "\n" not in said


READ = """
with Store(sys.argv[1], read_only=True) as store:
    print(store.study("s").config["a"])
    try:
        store.put_value("s", "k", 1)
    except StoreError as error:
        print(error)
"""


def test_read_only_reads_in_a_read_only_folder(public_folder, as_user):
    path = public_folder / "a.db"
    with Store(path) as store:
        store.put_study("s", {"a": 7})
    path.chmod(0o444)
    public_folder.chmod(0o555)
    number, sentence = as_user(READ, str(path)).splitlines()
    assert number == "7"
    assert "opened read-only" in sentence


def test_read_only_sees_what_another_process_has_just_written(store):
    with Store(store.path, read_only=True) as reader:
        store.put_value("s", "k", 1)
        assert reader.value("s", "k") == 1


def test_read_only_creates_nothing(tmp_path):
    with pytest.raises(StoreError, match=r"no store .* to read"):
        Store(tmp_path / "a.db", read_only=True)
    (tmp_path / "a.db").touch()
    with pytest.raises(StoreError, match="is empty"):
        Store(tmp_path / "a.db", read_only=True)
    assert (tmp_path / "a.db").stat().st_size == 0


def test_a_locked_store_is_a_typed_error_and_recovers(store):
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with Store(store.path, busy_seconds=0.05) as waiting:
        with pytest.raises(StoreLockedError, match=r"locked by another process for 0\.05 seconds"):
            waiting.put_value("s", "k", 1)
        assert waiting.value("s", "k") is None, "reading goes on beside a writer"
        other.execute("ROLLBACK")
        waiting.put_value("s", "k", 2)
        assert waiting.value("s", "k") == 2
    other.close()


def test_a_store_locked_against_opening(tmp_path):
    path = tmp_path / "a.db"
    Store(path, journal="delete").close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLockedError):
        Store(path, busy_seconds=0.05)
    other.close()
    Store(path).close()


def test_an_error_undoes_the_whole_call(store):
    store.add_trials("s", [("a", 1)])
    with contextlib.suppress(ZeroDivisionError), store._db.write() as db:
        db.execute("DELETE FROM trials")
        raise ZeroDivisionError
    assert len(store.trials("s")) == 1
    store.put_value("s", "k", 1)


def test_no_place_for_help_files_counts_as_full(tmp_path, monkeypatch):
    """On a full disk SQLite also fails to open its help files, with another error."""
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    with Store(tmp_path / "a.db") as store:
        usage = type("Usage", (), {"free": 4096})
        monkeypatch.setattr(_connection.shutil, "disk_usage", lambda _: usage)
        assert isinstance(store._db._translated(error, "written"), StoreFullError)
        usage.free = 1 << 30
        assert not isinstance(store._db._translated(error, "written"), StoreFullError)

        def gone(_: object) -> object:
            raise FileNotFoundError

        monkeypatch.setattr(_connection.shutil, "disk_usage", gone)
        assert not isinstance(store._db._translated(error, "written"), StoreFullError)


def test_errors_of_the_system_become_sentences(store):
    full = store._db._translated(OSError(28, os.strerror(28)), "written")
    assert isinstance(full, StoreFullError)
    other = store._db._translated(OSError(5, os.strerror(5)), "written")
    assert type(other) is StoreError
    assert "could not be written" in str(other)
    odd = sqlite3.OperationalError("something new")
    assert "something new" in str(store._db._translated(odd, "read"))


def test_importing_the_store_loads_no_torch():
    code = "import sys, foretell.store, foretell.execution; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_paths_are_absolute_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store("a.db") as store:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert store.path == tmp_path / "a.db"
        assert pickle.loads(pickle.dumps(store)).path == Path(tmp_path / "a.db")
