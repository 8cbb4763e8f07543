"""`foretell benchmark` as a user types it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faulty_server import serving

from foretell.benchmarks import (
    Table,
    benchmarks,
    imported,
    open_benchmark,
    table_path,
    write_table,
)
from foretell.benchmarks.download import Link
from foretell.cli import benchmark
from foretell.cli._app import run

IMPORTER = """
from foretell.benchmarks import Metric, TableData
import numpy as np
def read(path, progress):
    texts = path.read_text().split()
    progress(1, len(texts))
    values = np.arange(len(texts), dtype=float)[:, None, None]
    return TableData("words", texts, {"m": Metric("m")}, {"m": values})
"""


def say(capsys, *argv: object) -> str:
    code = run(["benchmark", *map(str, argv)])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def fails(capsys, *argv: object) -> str:
    assert run(["benchmark", *map(str, argv)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def words(tmp_path) -> list[str]:
    """Format and source of a small import."""
    (tmp_path / "imp.py").write_text(IMPORTER)
    (tmp_path / "words.txt").write_text("one two three")
    return [f"{tmp_path / 'imp.py'}:read", str(tmp_path / "words.txt")]


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from foretell.cli._app import run; code = run(['benchmark', '--help']);"
        "heavy = {'torch', 'numpy', 'scipy', 'rich', 'msgspec', 'urllib.request'};"
        "print(heavy & set(sys.modules), code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set() 0")
    assert all(f"\n  {name} " in done.stdout for name in benchmark.benchmark_command.commands)


@pytest.mark.parametrize("name", benchmark.benchmark_command.commands)
def test_every_command_has_help(name, capsys):
    assert f"Usage: foretell benchmark {name}" in say(capsys, name, "--help")
    assert "Usage" in say(capsys, name, "-h")


def test_the_list_has_what_is_registered_and_what_was_imported(small_data, capsys):
    write_table(small_data, table_path("mine"))
    write_table(small_data, table_path("nb201"))
    rows = {r["name"]: r for r in json.loads(say(capsys, "list", "--json"))}
    assert list(rows) == [*benchmarks.names(), "mine"]
    assert rows["mine"]["here"]
    assert rows["nb201"]["here"]
    assert not rows["nb101"]["here"]
    assert rows["nb101"]["links"][0]["sha256"]
    assert "benchmark download nb101" in rows["nb101"]["get"]
    assert rows["nb201"]["file"] == str(table_path("nb201"))
    shown = say(capsys, "list")
    assert all(name in shown for name in rows)
    assert max(map(len, shown.splitlines())) <= 80


def test_info_says_what_a_table_holds(small_data, tmp_path, capsys):
    path = write_table(small_data, tmp_path / "small.foretell")
    write_table(small_data, table_path("nb201"))
    for name in (path, "nb201"):
        told = json.loads(say(capsys, "info", name, "--json"))
        assert (told["name"], told["architectures"], told["space"]) == ("small", 30, "nb201")
        assert told["facts"] == dict(small_data.facts)
        rows = {m["metric"]: m for m in told["metrics"]}
        assert list(rows) == list(small_data.metrics)
        row = rows["cifar10/test_accuracy"]
        values = small_data.values["cifar10/test_accuracy"][:, :, -1].astype(float)
        with np.errstate(all="ignore"):
            best = np.nanmax([np.nanmean(v) for v in values if not np.isnan(v).all()]) / 100
        assert row["max"] == pytest.approx(best, rel=1e-12)
        assert (row["measured"], row["seeds"], row["epochs"]) == (29, 3, 36)
        shown = say(capsys, "info", name)
        for part in ("30", "made up", "licence", "cifar100/val_accuracy", "seconds"):
            assert part in shown
    assert "drive.google.com" in shown


def test_info_of_what_is_not_here_says_how_to_get_it(capsys):
    shown = say(capsys, "info", "nb101")
    for link in benchmarks.entry("nb101").facts["links"]:
        assert link.file in shown
        assert link.url in shown
    assert "foretell benchmark import nb101 PATH" in " ".join(shown.split())
    told = json.loads(say(capsys, "info", "nats-tss", "--json"))
    assert told["here"] is False
    assert "metrics" not in told


def test_info_finds_damage_anywhere(small_data, capsys, monkeypatch):
    from foretell.benchmarks import _file

    monkeypatch.setattr(_file, "SMALL", 0)
    path = write_table(small_data, table_path("mine"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "check sums" in fails(capsys, "info", "mine")


def test_queries(small_data, capsys):
    write_table(small_data, table_path("mine"))
    text = small_data.texts[3]
    stored = small_data.values["cifar10/test_accuracy"]
    argv = ["query", "mine", "cifar10/test_accuracy", text, small_data.texts[0]]
    rows = json.loads(say(capsys, *argv, "--json"))
    assert [r["arch"] for r in rows] == [text, small_data.texts[0]]
    expected = stored[3, :, -1].astype(float).mean() / 100
    assert rows[0]["cifar10/test_accuracy"] == pytest.approx(expected, rel=1e-12)
    (row,) = json.loads(say(capsys, *argv[:4], "--epoch", 4, "--seed", 888, "--json"))
    assert row["cifar10/test_accuracy"] == pytest.approx(float(stored[3, 1, 1]) / 100, rel=1e-12)
    shown = say(capsys, *argv)
    assert text in shown
    assert f"{expected:.4g}" in shown
    assert "not in" in fails(capsys, "query", "mine", "params", "0.0.0.0.0.0")
    assert "no epoch 5" in fails(capsys, *argv, "--epoch", 5)


def test_imports(words, tmp_path, tables_home, capsys):
    shown = say(capsys, "import", *words)
    assert "3 architectures, 1 metrics" in shown
    assert shown.rstrip().endswith("foretell benchmark info words")
    assert imported() == ("words",)
    out = tmp_path / "x.foretell"
    told = json.loads(say(capsys, "import", *words, "--name", "w", "--out", out, "--json"))
    assert told == {"file": str(out), "name": "w", "architectures": 3, "metrics": ["m"]}
    assert imported() == ("words",)
    shown = say(capsys, "import", *words, "--out", out, "--quiet")
    assert str(out) in shown.splitlines()[-1]
    assert capsys.readouterr().err == ""
    assert "Unknown importer 'nats'" in fails(capsys, "import", "nats", words[1])
    assert "gone" in fails(capsys, "import", words[0], "gone")
    assert "leave arch and space out" in fails(capsys, "import", *words, "--arch", "x")


def test_names_the_column_and_the_space_of_a_csv(tmp_path, tables_home, capsys):
    path = tmp_path / "mine.csv"
    path.write_text("key,cell,acc\na,0.0.0.0.0.1,0.5\nb,1.1.1.1.1.1,0.75\n")
    say(capsys, "import", "csv", path, "--arch", "cell", "--space", "nb201")
    table = open_benchmark("mine")
    assert table.space == "nb201"
    assert table.query(["1.1.1.1.1.1"], "acc").tolist() == [0.75]
    assert "no column" in fails(capsys, "import", "csv", path, "--arch", "cells")
    assert "space" in fails(capsys, "import", "csv", path, "--space", "nb2O1")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as state:
        state.content = bytes(2_500_000)
        links = (Link("a.bin", state.url), Link("b.bin", state.url, size=3))
        entry = replace(benchmarks.entry("nb-macro"), name="served", facts={"links": links})
        monkeypatch.setitem(benchmarks._entries, "served", entry)
        yield state


def test_downloads(server, tmp_path, tables_home, capsys):
    shown = say(capsys, "download", "served")
    path = tables_home / "downloads" / "a.bin"
    assert path.stat().st_size == 2_500_000
    assert f"foretell benchmark import served {path}" in shown
    told = json.loads(say(capsys, "download", "served", "--to", tmp_path, "--json"))
    assert told == {"file": str(tmp_path / "a.bin")}
    assert say(capsys, "download", "served", "--to", tmp_path, "--quiet")
    assert "3 are expected" in fails(capsys, "download", "served", "--file", "b.bin")
    assert "browser" in fails(capsys, "download", "nats-tss")
    assert not (tables_home / "downloads" / "b.bin").exists()


def test_build_is_one_call(small_data, monkeypatch, tmp_path, capsys):
    from foretell.studies.build_benchmark import study as build_benchmark
    from foretell.studies.build_benchmark.config import BuildConfig
    from foretell.studies.build_benchmark.result import BenchmarkBuild
    from foretell.studies.run.progress import Progress

    asked = {}

    def build(config, out, *, on_progress):
        asked.update(config=config, work=Path(out))
        on_progress(Progress("cells", 1, 2))
        write_table(small_data, config.file)
        return BenchmarkBuild(config, {}, {}, config.file, "")

    monkeypatch.setattr(build_benchmark, "run", build)
    monkeypatch.chdir(tmp_path)
    Path("w").mkdir()
    Path("digits-nb201.runs").mkdir()
    assert "30 architectures" in say(capsys, "build", "digits-nb201")
    assert asked == {"config": BuildConfig(), "work": Path("digits-nb201.runs")}
    argv = ["--cells", 4, "--workers", 2, "--out", "x.foretell", "--work", "w", "--json"]
    told = json.loads(say(capsys, "build", "digits-nb201", *argv))
    assert (told["file"], told["architectures"]) == ("x.foretell", 30)
    assert asked == {
        "config": BuildConfig(cells=4, workers=2, file="x.foretell"), "work": Path("w"),
    }  # fmt: skip
    assert len(Table.open("x.foretell")) == 30
    assert "digits-nb201" in fails(capsys, "build", "nb201")
