"""The examples of docs/objectives.md and docs/optimize.md run as they are, and say what is true."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from foretell.cli._app import run as command_line
from foretell.quantities import Stage, get_quantity, quantities
from foretell.studies.optimize.read import read

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page, language="python"):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def run(page):
    """The page's blocks in one module; what each printed."""
    names, printed = {"__name__": page}, []
    for block in blocks(page):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, page, "exec"), names)
        printed.append(out.getvalue())
    return printed


def test_objectives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    limit, several, energy = run("objectives.md")
    assert limit == "0.6 ATTACKED pgd@8 51% < 60%\n"
    assert several.splitlines()[-1] == "1"
    assert energy == ""
    Path("energy.py").write_text(blocks("objectives.md")[2], encoding="utf-8")
    assert get_quantity("energy.py:energy").stage is Stage.BUILT


def test_every_quantity_is_in_the_table():
    text = (DOCS / "objectives.md").read_text(encoding="utf-8")
    cells = [
        [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    rows = {
        re.sub("@.*", "", name): row for row in cells for name in re.findall("`([^`]+)`", row[0])
    }
    assert set(rows) == set(quantities)
    for name, (_, unit, better, stage, _) in rows.items():
        quantity = quantities[name]
        assert unit == quantity.unit
        assert better == ("higher" if quantity.direction == "max" else "lower")
        assert stage == quantity.stage.name.lower()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["list", "search"])
def test_the_commands_of_objectives(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("energy.py").write_text(blocks("objectives.md")[2], encoding="utf-8")
    lines = [line for block in blocks("objectives.md", "bash") for line in block.splitlines()]
    chosen = [line for line in lines if line.startswith(f"foretell {command}")]
    assert chosen
    for line in chosen:
        words = shlex.split(line)[1:]
        if command == "search":  # as shown, but shorter, and loose enough for one epoch
            words = [w.replace(">=60%", ">=0%").replace("<=4ms", "<=1s") for w in words]
            words = [w.replace("<=30", "<=100") for w in words]
            words += ["--pool", "4", "--trials", "1", "--epochs", "1", "--final-epochs", "1"]
            words += ["--attacks", "", "--no-onnx", "--data", "digits?limit=400"]
        assert command_line(words) == 0, capsys.readouterr().err


def test_optimize(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, pruned, board = run("optimize.md")
    result = read("runs/optimize")
    assert first.splitlines()[0] == result.winner.arch
    assert len(result.trials) == 20
    assert all(t.feasible == (t.values["energy"] <= 200) for t in result.trials)
    assert "'pruned'" in pruned
    assert board.strip() == read("runs/board").winner.arch
    assert {t.state for t in read("runs/board").trials} <= {"done", "failed"}
    for name in ("trials.csv", "report.html", "study.db", "log.txt"):
        assert Path("runs/optimize", name).is_file()
        assert Path("runs/board", name).is_file()
