"""docs/benchmarks.md: its example runs, and its lists are those of the registry."""

import re
from pathlib import Path

from foretell.benchmarks import benchmarks
from foretell.benchmarks._file import DTYPES, VERSION
from foretell.cli.benchmark import benchmark_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    exec(compile(block, "benchmarks.md", "exec"), {})
    said = re.findall(r"^print\(.*\)  # (.*)$", block, re.M)
    printed = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in printed] == [" ".join(s.split()) for s in said]


def test_every_command_benchmark_and_type_is_listed():
    for name in benchmark_command.commands:
        assert f"`foretell benchmark {name}" in PAGE
    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]*) \|", PAGE, re.M))
    for entry in benchmarks.entries():
        assert entry.name in rows
        if count := entry.facts.get("architectures"):
            assert rows[entry.name] == f"{count:,}"
    assert f"`foretell-table {VERSION} SIZE CRC`" in PAGE
    assert all(name in PAGE for name in DTYPES)


def test_who_needs_a_browser_is_as_registered():
    for entry in benchmarks.entries():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{entry.name}` |"))
        if links := entry.facts.get("links"):
            assert ("browser" in row) == links[0].browser
            assert ("SHA-256" in row) == bool(links[0].sha256)
