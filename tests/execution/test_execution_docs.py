"""The documentation's examples run as they stand."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "store.md"


@pytest.fixture
def blocks(tmp_path):
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_trials.py").write_text("def run(payload):\n    return payload['width'] * 2\n")
    for i, block in enumerate(found):
        (tmp_path / f"block{i}.py").write_text(block)
    return len(found)


def run(folder: Path, name: str) -> str:
    done = subprocess.run(
        [sys.executable, name], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_says_what_happens(blocks, tmp_path):
    assert blocks == 2
    lines = run(tmp_path, "block0.py").splitlines()
    assert sorted(lines) == [f"trial{i} done {16 * i}" for i in range(1, 9)]
    assert run(tmp_path, "block0.py") == "", "the second time there is nothing left to do"
    assert run(tmp_path, "block1.py") == ""


def test_the_query_on_the_page_is_valid(blocks, tmp_path):
    run(tmp_path, "block0.py")
    query = re.search(r'sqlite3 study.db "(.*)"', PAGE.read_text())
    assert query is not None
    raw = sqlite3.connect(tmp_path / "study.db")
    ((state, count, seconds),) = raw.execute(query.group(1)).fetchall()
    raw.close()
    assert (state, count) == ("done", 8)
    assert seconds >= 0


def test_the_tables_on_the_page_are_the_tables_of_the_store(blocks, tmp_path):
    run(tmp_path, "block0.py")
    raw = sqlite3.connect(tmp_path / "study.db")
    names = [n for (n,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {n: [c[1] for c in raw.execute(f"PRAGMA table_info({n})")] for n in names}
    raw.close()
    text = PAGE.read_text().split("meant to be read by others:")[1].split("```")[1]
    text = re.sub(r" \(JSON\)", "", text)
    shown = {
        words[0]: words[1:]
        for words in (re.findall(r"\w+", part) for part in re.split(r"\n(?=\w)", text))
        if words
    }
    assert shown == columns
