"""A small share of ``experiments/fuzz_commands.py``: command lines end well or with a sentence."""

import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from foretell.cli import _app
from foretell.errors import UsageError
from foretell.files import user_path

ROOT = Path(__file__).resolve().parents[1]
LINES = 25


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location(
        "_fuzz_commands", ROOT / "experiments" / "fuzz_commands.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "_fuzz_commands", module)
    spec.loader.exec_module(module)
    return module


def test_command_lines_end_well_or_with_a_sentence(fuzz, tmp_path, monkeypatch):
    pytest.importorskip("PIL")
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for slow in ("search", "resume", "worker", "evaluate predictors", "score"):
        monkeypatch.setitem(fuzz.SHARES, slow, 0)
    for command in fuzz.commands().values():
        monkeypatch.setattr(command, "callback", command.callback)  # put back afterwards
    fuzz.make(tmp_path)
    counts, faults = fuzz.run_lines(LINES, 7, tmp_path, lambda line: None)
    whole = sum(counts.values(), Counter())
    assert faults == []
    assert whole["lines"] == LINES
    assert whole["reached"] > LINES / 2


def test_every_command_is_in_the_table_or_left_out_for_a_reason(fuzz):
    slow = {"benchmark build", "benchmark download", "doctor"}
    assert set(fuzz.commands()) == set(fuzz.LINES) | slow


def test_devices_pipes_and_loops_of_links_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in (tmp_path / "pipe", tmp_path / "link", "/dev/null"):
        with pytest.raises(UsageError, match="is a device or a pipe"):
            user_path(name)
    with pytest.raises(UsageError, match="leads to itself"):
        user_path(tmp_path / "loop")
    assert user_path(tmp_path / "none") == tmp_path / "none"


def test_a_command_that_runs_out_of_memory_ends_with_a_sentence(monkeypatch, capsys):
    def hungry(*arguments, **options):
        np.zeros(1 << 60, dtype=np.uint8)

    monkeypatch.setattr(_app.app.get_command(None, "list"), "callback", hungry)
    assert _app.run(["list", "spaces"]) == 2
    assert "not enough memory" in capsys.readouterr().err
    assert _app.run(["score", "1.2.3.4.0.1", "--data", "synthetic:9x99999x99999x2"]) == 2
    assert "more than 268,435,456 values" in capsys.readouterr().err
