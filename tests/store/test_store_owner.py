import os
import socket
import subprocess
import sys
import time

import pytest

from foretell.store import owner_name
from foretell.store._owner import is_dead


def other(pid: object) -> str:
    return f"{owner_name().rsplit('/', 2)[0]}/{pid}/00000000"


def test_two_names_differ_and_name_this_process():
    first, second = owner_name(), owner_name()
    assert first != second
    assert first.startswith(socket.gethostname())
    assert first.split("/")[1] == str(os.getpid())
    assert not is_dead(first)


def test_an_ended_process_is_dead_also_before_its_parent_asked():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    owner = other(process.pid)
    for _ in range(500):
        if is_dead(owner):
            break
        time.sleep(0.01)
    assert is_dead(owner), "a zombie runs no trial"
    process.wait()
    assert is_dead(owner)


def test_a_living_process_of_another_user_is_alive():
    assert not is_dead(other(1))


@pytest.mark.parametrize(
    "owner", ["", "me", "host/12", f"{socket.gethostname()}.other.boot/99999999/a", "a/b/c/d"]
)
def test_other_names_are_never_dead(owner):
    assert not is_dead(owner)


def test_impossible_process_ids_are_not_trusted():
    assert not is_dead(other(10**30))
    assert not is_dead(other("-5"))


def test_without_proc_the_host_name_serves(monkeypatch):
    from foretell.store import _owner

    def absent(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(_owner.os, "readlink", absent)
    assert owner_name().startswith(f"{socket.gethostname()}/{os.getpid()}/")
