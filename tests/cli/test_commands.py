"""Commands as a user types them: what they print and write."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foretell.cli._app import COMMANDS, run
from foretell.cli.list import KINDS

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|nor_conv_1x1~1|skip_connect~2|"
SMALL = ["--pool", "8", "--trials", "2", "--epochs", "1", "--final-epochs", "2"]


def say(capsys, *argv: str) -> str:
    code = run(list(argv))
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def test_help_loads_no_torch_and_names_every_command():
    code = (
        "import sys; from foretell.cli._app import run; code = run(['--help']);"
        "heavy = {'torch', 'numpy', 'scipy', 'rich'} & set(sys.modules); print(heavy, code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("set() 0")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert "Usage: foretell" in say(capsys, name, "--help")


@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_read_from_the_registries(kind, capsys):
    from foretell.registry import resolve

    rows = json.loads(say(capsys, "list", kind, "--json"))
    assert [r["name"] for r in rows] == list(resolve(KINDS[kind]).names())
    shown = say(capsys, "list", kind)
    assert all(r["name"] in shown for r in rows)
    assert all(r["summary"] for r in rows)


def test_doctor_names_versions_and_devices(capsys):
    info = json.loads(say(capsys, "doctor", "--json"))
    assert info["packages"]["numpy"] == np.__version__
    assert "torch threads" in info["devices"]
    assert "plotly" in info["extras"]["report"]
    assert "numpy" in say(capsys, "doctor")


@pytest.mark.parametrize(("given", "found"), [({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, 2)])
def test_small_matrices_get_one_thread_unless_more_are_asked_for(given, found):
    threads = pytest.importorskip("threadpoolctl")
    if not any(p["internal_api"] == "openblas" for p in threads.threadpool_info()):
        pytest.skip("numpy is not built with OpenBLAS")
    if found > (os.cpu_count() or 1):
        pytest.skip("one core")
    code = (
        "from foretell.cli import _app; _app.run = lambda argv: 0\n"
        "try: _app.main([])\nexcept SystemExit: pass\n"
        "import numpy, threadpoolctl\n"
        "blas = [p for p in threadpoolctl.threadpool_info() if p['internal_api'] == 'openblas']\n"
        "print(blas[0]['num_threads'])"
    )
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, **given}, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(found), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell, capsys):
    assert "_FORETELL_COMPLETE" in say(capsys, "completion", shell)


def test_completion_completes_commands():
    words = {"COMP_WORDS": "foretell se", "COMP_CWORD": "1", "_FORETELL_COMPLETE": "bash_complete"}
    command = [str(Path(sys.executable).parent / "foretell")]
    done = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True)
    assert done.stdout.strip() == "plain,search"


def test_cost_agrees_with_the_closed_form(capsys):
    from foretell.spaces import get_space

    (row,) = json.loads(say(capsys, "cost", CELL, "--input", "3x32x32", "--json"))
    space = get_space("nb201")
    table = space.costs([space.parse(CELL)], space.skeleton())
    assert (row["params"], row["flops"], row["memory"]) == (
        table.params[0], table.flops[0], table.memory[0],
    )  # fmt: skip


def test_scores_are_the_same_in_every_form(tmp_path, capsys):
    argv = ["score", CELL, "--sample", "2", "--proxies", "params,synflow", "--seed", "3"]
    rows = json.loads(say(capsys, *argv, "--json"))
    assert rows[0]["arch"] == CELL
    for ending in ("csv", "json", "parquet"):
        say(capsys, *argv, "--out", str(tmp_path / f"t.{ending}"))
    with (tmp_path / "t.csv").open() as file:
        from_csv = [float(r["synflow"]) for r in csv.DictReader(file)]
    lines = (tmp_path / "t.json").read_text().splitlines()
    import duckdb

    query = f"SELECT synflow FROM '{tmp_path / 't.parquet'}'"
    from_parquet = [r[0] for r in duckdb.sql(query).fetchall()]
    expected = [r["synflow"] for r in rows]
    assert from_csv == [json.loads(line)["synflow"] for line in lines] == from_parquet == expected


def test_scores_of_a_file_are_those_of_its_texts(tmp_path, capsys):
    file = tmp_path / "archs.csv"
    file.write_text(f'arch,other\n"{CELL}",1\n')
    argv = ["--proxies", "synflow", "--json"]
    direct = json.loads(say(capsys, "score", CELL, *argv))
    from_file = json.loads(say(capsys, "score", str(file), *argv))
    assert from_file[0]["synflow"] == direct[0]["synflow"]


def test_scores_of_any_module_and_sorting(tmp_path, capsys, monkeypatch):
    nets = Path(__file__).parents[2] / "tutorials" / "my_net.py"
    argv = ["score", f"{nets}:small", f"{nets}:wide", "--proxies", "params,nwot"]
    rows = json.loads(say(capsys, *argv, "--sort", "params", "--json"))
    assert [Path(r["arch"]).name for r in rows] == ["my_net.py:wide", "my_net.py:small"]
    shown = say(capsys, *argv)
    assert "nwot" in shown
    assert "my_net.py:small" in shown.replace("\n", "")


def test_the_terminal_table_fits_its_width(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = say(capsys, "score", "--sample", "2", "--quiet")
    lines = [line for line in shown.splitlines() if "~" not in line]
    assert max(map(len, lines)) <= 80


def test_dead_networks_have_no_scores(capsys):
    dead = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    (row,) = json.loads(say(capsys, "score", dead, "--json"))
    assert row["alive"] is False
    assert row["synflow"] is row["params"] is row["zico"] is None


def test_a_search_writes_its_folder_and_resumes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["search", *SMALL, "--max-params", "50k", "--attacks", "fgsm", "--out", "run"]
    first = json.loads(say(capsys, *argv, "--json"))
    assert first["reused_trials"] == 0
    assert first["params"] <= 50_000
    for name in ("report.html", "trials.csv", "study.db", "best/train.py", "best/arch.json",
                 "best/weights.safetensors", "best/model.onnx"):  # fmt: skip
        assert Path("run", name).stat().st_size > 0, name
    weights = Path("run/best/weights.safetensors").read_bytes()
    shown = say(capsys, *argv)
    assert "2 trials and 8 scores reused" in shown.replace("\n", " ")
    assert Path("run/best/weights.safetensors").read_bytes() == weights
    with Path("run/trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["state"] for r in rows] == ["done", "done"]
    assert all(0 < float(r["accuracy"]) <= 1 for r in rows)
    Path("run/report.html").unlink()
    assert "report.html" in say(capsys, "report", "run")
    assert Path("run/report.html").is_file()
    assert "Finished 0 trials" in say(capsys, "worker", "run")
    page = Path("run/report.html").read_text()
    assert "foretell search --constraint" in page


def test_without_an_extra_the_rest_is_written_and_the_extra_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    argv = ["search", *SMALL, "--out", str(tmp_path / "run"), "--attacks", "", "--no-onnx"]
    told = json.loads(say(capsys, *argv, "--json"))
    assert any("foretell[report]" in line for line in told["left_out"])
    assert (tmp_path / "run" / "best" / "weights.safetensors").is_file()


def test_ctrl_c_says_how_to_go_on(monkeypatch, capsys):
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("foretell.api.find", interrupt)
    assert run(["search"]) == 130
    assert "run the same command again" in capsys.readouterr().err
