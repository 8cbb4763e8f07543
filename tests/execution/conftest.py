"""Fixtures of the execution tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foretell.execution import PoolExecutor

JOBS = Path(__file__).with_name("execution_jobs.py")
ACT = f"{JOBS}:act"


@pytest.fixture(scope="session")
def act() -> str:
    return ACT


@pytest.fixture(scope="module")
def pool() -> Iterator[PoolExecutor]:
    """Two workers for all the tests of a file: starting them is what takes time."""
    with PoolExecutor(ACT, 2, timeout=20) as executor:
        yield executor


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start Python code as a script of its own, in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> "subprocess.Popen[str]":
        path = tmp_path / f"script{len(started)}.py"
        path.write_text(code)
        process = subprocess.Popen(
            [sys.executable, str(path), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
