"""Fixtures of the store's tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foretell.store import Store


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store(tmp_path / "study.db", now=clock) as opened:
        opened.put_study("s", {"seed": 0})
        yield opened


@pytest.fixture
def as_user() -> Callable[..., str]:
    """Run Python code as a user without root's right to write everywhere; gives its output."""

    def run(code: str, *arguments: str) -> str:
        drop = "import os\nif os.getuid() == 0: os.setresgid(*[65534] * 3); "
        drop += "os.setresuid(*[65534] * 3)\n"
        head = "import sys\nfrom foretell.store import Store\nfrom foretell.errors import *\n"
        done = subprocess.run(
            [sys.executable, "-c", head + drop + code, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are the owner's alone."""
    folder = Path(tempfile.mkdtemp(prefix="foretell-test-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        os.chmod(path, 0o755)
    shutil.rmtree(folder)
