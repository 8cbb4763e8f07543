"""What users get wrong, and the one sentence that each gets: exit code 2, nothing lost."""

import os
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData, write_table
from foretell.cli._app import run

SMALL = (
    "--pool 8 --trials 1 --epochs 1 --final-epochs 1 --attacks= --proxies params,synflow "
    "--no-onnx --quiet"
)
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
_NODES = ",".join(["('sep_conv_3x3',0)", "('max_pool_3x3',1)"] * 4)
GENOTYPE = (  # longer than the name of a file may be
    f"Genotype(normal=[{_NODES}],normal_concat=[2,3,4,5],reduce=[{_NODES}],reduce_concat=[2,3,4,5])"
)
NETS = """
import torch
from torch import nn

def raises(input_shape, classes):
    return Raises()

class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
    def forward(self, x):
        raise ValueError("my own mistake")

def empty():
    return nn.Sequential(nn.Flatten(), nn.ReLU())

def no_module():
    return 3

def broken():
    raise RuntimeError("cannot even be built")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with a few bad files, as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    Path("syntax.py").write_text("def space(:\n")
    Path("broken").mkdir()
    for name in ("cats", "dogs"):
        Path("broken", name).mkdir()
        Path("broken", name, "1.png").write_bytes(b"this is no image")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (40, 8, 8, 3), dtype=np.uint8)
    np.savez("one_class.npz", x=x, y=np.zeros(40, dtype=np.int64))
    np.savez("few.npz", x=x[:3], y=np.array([0, 1, 0]))
    np.savez("wrong.npz", images=x)
    Path("file").write_text("not a folder")
    Path("archs.txt").write_text("|nor_conv_3x3~0|\n")
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(tmp_path / "tables"))
    table = write_table(
        TableData(
            "one",
            [CELL],
            {"params": Metric("params"), "gaps": Metric("gaps")},
            {"params": np.ones((1, 1, 1)), "gaps": np.full((1, 1, 1), np.nan)},
            "nb201",
            np.array([[3, 0, 1, 1, 0, 3]]),
        ),
        "one.foretell",
    ).read_bytes()
    Path("broken.foretell").write_bytes(b"not a table")
    Path("cut.foretell").write_bytes(table[:-1])
    Path("newer.foretell").write_bytes(table.replace(b"table 1", b"table 9", 1))
    return tmp_path


BAD = {
    "unknown space": ("search --space nb102", "Unknown space 'nb102': did you mean nb101"),
    "no networks": ("search --space nb101", "with 'foretell predict'"),
    "nothing to count": (f"cost --space darts {GENOTYPE}", "'darts' cannot be built"),
    "unknown proxy": ("score --sample 1 --proxies synfow", "did you mean synflow"),
    "unknown searcher": ("search --searcher robit", "did you mean robot"),
    "unknown data": ("search --data digit", "did you mean digits"),
    "unknown attack": (f"search {SMALL} --attacks fgsn", "did you mean fgsm"),
    "unknown preset": (f"search {SMALL} --preset tiny", "Unknown preset 'tiny'"),
    "unknown kind": ("list spaecs", "did you mean spaces"),
    "no data there": ("search --data folder:nowhere", "nowhere"),
    "broken image": ("search --data folder:broken", "1.png"),
    "one class": ("search --data npz:one_class.npz", "class"),
    "empty split": ("search --data npz:few.npz", "add images"),
    "arrays missing": ("search --data npz:wrong.npz", "x"),
    "non-finite loss": (f"search {SMALL} --lr 1e30", "NonFiniteLossError"),
    "module raises": ("score nets.py:raises", "my own mistake"),
    "builder raises": ("score nets.py:broken", "cannot even be built"),
    "no parameters": ("score nets.py:empty", "no parameters"),
    "no module": ("score nets.py:no_module", "torch.nn.Module"),
    "no such function": ("score nets.py:raise_", "raises"),
    "no such file": ("search --space gone.py:space", "gone.py"),
    "syntax error": ("search --space syntax.py:space", "SyntaxError"),
    "no constraint": ("search --max-params lots", "lots"),
    "unknown cost": ("search --constraint parms<=3k", "did you mean params"),
    "nothing meets it": (f"search {SMALL} --max-params 10", "excluded most"),
    "contradiction": ("search --constraint 5k<=params --max-params 1k", "params"),
    "folder is a file": ("search --out file", "is a file"),
    "read-only folder": ("search --out {readonly}", "cannot be written"),
    "bad architecture": ("score 1.2.3", "nb201"),
    "bad file of architectures": ("score archs.txt", "Entry 1 of archs.txt"),
    "nothing to score": ("score", "nothing to look at"),
    "no table": ("score --sample 1 --out table.txt", ".parquet"),
    "no folder for it": ("score --sample 1 --out gone/table.csv", "gone"),
    "bad number": ("search --trials 0", "trials must be at least 1"),
    "bad batch": ("score --sample 1 --batch-size 1", "at least 2"),
    "bad input": ("cost --sample 1 --input 32x32", "3x32x32"),
    "no run": ("report nowhere", "holds no study"),
    "no run to work on": ("worker nowhere", "holds no study"),
    "no run to resume": ("resume nowhere", "holds no study"),
    "unknown benchmark": ("benchmark info nats-ts", "did you mean nats-tss"),
    "unknown format": ("benchmark import nats-ts file", "did you mean nats-tss"),
    "benchmark not here": ("benchmark query nb101 params x", "benchmark download nb101"),
    "no such table": ("benchmark info gone.foretell", "gone.foretell"),
    "broken table": ("benchmark info broken.foretell", "broken.foretell is no table"),
    "cut table": ("benchmark query cut.foretell params {cell}", "cut.foretell is no table"),
    "table of another version": ("benchmark info newer.foretell", "install a newer foretell"),
    "not in the table": ("benchmark query one.foretell params 0.0.0.0.0.0", "1 of 1 archi"),
    "not measured": ("benchmark query one.foretell gaps {cell}", "1 of 1 architectures have no"),
    "unknown metric": ("benchmark query one.foretell parms {cell}", "did you mean params"),
    "unknown epoch": ("benchmark query one.foretell params {cell} --epoch 7", "no epoch 7"),
    "needs a browser": ("benchmark download nats-tss", "has to be fetched with a browser"),
    "unknown command": ("serch", "search"),
    "unknown option": ("search --trails 3", "--trials"),
}


@pytest.fixture(scope="module")
def readonly(tmp_path_factory):
    """A folder in which nothing can be made, for root as well."""
    if os.geteuid() == 0:
        return "/proc/foretell"
    folder = tmp_path_factory.mktemp("readonly")
    folder.chmod(0o555)
    return str(folder / "run")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_gets_one_sentence_and_code_2(name, place, readonly, capsys):
    line, expected = BAD[name]
    argv = line.format(readonly=readonly, cell=CELL).split()
    if argv[0] == "search" and "--out" not in argv:
        argv += ["--out", "run"]
    assert run(argv) == 2
    err = capsys.readouterr().err
    assert expected in err, err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.lower().startswith("error: "), err
    assert len(last) < 600


def test_errors_are_json_where_that_is_asked_for(place, capsys):
    import json

    assert run(["score", "--sample", "1", "--proxies", "synfow", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"] == "UnknownNameError"
    assert "synflow" in told["message"]


def test_one_bad_network_does_not_lose_the_scores_of_the_others(place, capsys):
    import csv

    argv = ["score", "nets.py:raises", "--sample", "2", "--proxies", "params,synflow"]
    assert run([*argv, "--out", "t.csv", "--quiet"]) == 2
    assert "1 of 3 networks could not be scored" in capsys.readouterr().err
    rows = list(csv.DictReader(Path("t.csv").read_text().splitlines()))
    assert [bool(r["synflow"]) for r in rows] == [False, True, True]
    assert "my own mistake" in rows[0]["failure"]


def test_a_store_of_another_version_is_refused_and_left_alone(place, capsys):
    assert run(["search", "--out", "run", *SMALL.split()]) == 0
    with sqlite3.connect("run/study.db") as db:
        db.execute("PRAGMA user_version = 999")
    before = Path("run/study.db").read_bytes()
    assert run(["search", "--out", "run", *SMALL.split()]) == 2
    assert "999" in capsys.readouterr().err
    assert Path("run/study.db").read_bytes() == before


@pytest.fixture
def small_disk(tmp_path):
    """A file system that can be filled and enlarged."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small file system can only be mounted by root, where mounting is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_is_lost(small_disk, monkeypatch, capsys):
    monkeypatch.chdir(small_disk)
    argv = ["search", "--out", "run", *SMALL.replace("--trials 1", "--trials 3").split()]
    assert run(argv) == 2
    err = capsys.readouterr().err
    assert "full" in err
    assert "Traceback" not in err
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    before = _finished()
    assert run(argv) == 0
    assert {k: _finished()[k] for k in before} == before
    assert Path("run/report.html").stat().st_size > 0


def _finished() -> dict[str, float]:
    with sqlite3.connect("run/study.db") as db:
        rows = db.execute("SELECT key, finished FROM trials WHERE finished IS NOT NULL")
        return dict(rows.fetchall())
