"""The formats page names every importer, and its example runs."""

import re
from pathlib import Path

from foretell.benchmarks.importers import importers

PAGE = Path(__file__).parents[2] / "docs" / "benchmark-formats.md"


def test_every_format_has_a_section():
    sections = re.findall(r"^## (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(importers.names())


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(code, "benchmark-formats.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(importers) + 1
    assert lines[-1] == "['small', 'large'] (2, 1, 1) 0.01"
