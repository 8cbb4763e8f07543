"""foretell predict, from a file of measured cells to a ranked table."""

import csv
import json

import numpy as np
import pytest

from foretell.cli import main
from foretell.spaces import get_space


@pytest.fixture
def measured(tmp_path):
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(40)))
    costs = space.costs(archs, space.skeleton())
    path = tmp_path / "measured.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "accuracy", "note"])
        for arch, params in zip(archs, costs.params.tolist(), strict=True):
            writer.writerow([space.format(arch), np.log10(params + 1.0) / 10, "trained"])
    return path


def run(*args):
    with pytest.raises(SystemExit) as found:
        main(list(map(str, args)))
    return found.value.code


def test_the_table_on_the_terminal(measured, capsys):
    assert run("predict", measured, "--sample", "30", "--top", "3", "--predictor", "gp") == 0
    out = capsys.readouterr().out
    assert "The best of 30 by gp, graf+costs+onehot" in out
    assert "Learned from 40 architectures" in out
    assert "of parameters alone" in out
    assert "90% intervals" in out


def test_json_and_a_file(measured, tmp_path, capsys):
    out = tmp_path / "ranked.csv"
    options = ("--predictor", "bayes_linear", "--level", "0.8", "--json", "--out", out)
    assert run("predict", measured, "--sample", "12", *options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measured"] == 40
    assert found["level"] == 0.8
    assert len(found["ranking"]) == 12
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [r["arch"] for r in rows] == [r["arch"] for r in found["ranking"]]
    predicted = [float(r["predicted"]) for r in rows]
    assert predicted == sorted(predicted, reverse=True)
    assert all(float(r["low"]) <= float(r["predicted"]) <= float(r["high"]) for r in rows)


def test_a_pool_of_ones_own_and_lower_is_better(measured, tmp_path, capsys):
    pool = tmp_path / "pool.txt"
    space = get_space("nb201")
    rng = np.random.default_rng(9)
    pool.write_text("\n".join(space.format(space.sample(rng)) for _ in range(6)))
    options = ("--pool", pool, "--lower-is-better", "--level", "0", "--predictor", "gp", "--json")
    assert run("predict", measured, *options) == 0
    ranking = json.loads(capsys.readouterr().out)["ranking"]
    values = [r["predicted"] for r in ranking]
    assert values == sorted(values)
    assert "low" not in ranking[0]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (None, ("--value", "speed"), "has no column 'speed'"),
        (None, ("--value", "note"), "is no number"),
        (None, ("--sample", "0"), "--sample"),
        (None, ("--level", "1"), "--level"),
        (None, ("--predictor", "oracle"), "oracle"),
        (None, ("--encoding", "graf+tea"), "tea"),
        (None, ("--proxies", "nwot"), "images"),
        (None, ("--sample", "5", "--pool", "x.txt"), "exclude"),
        (None, ("--explain", "0"), "--explain"),
        (None, ("--bounds", "1"), "two numbers"),
        (None, ("--bounds", "a,b"), "two numbers"),
        (None, ("--bounds", "1,0"), "lower one first"),
        (None, ("--bounds", "0,0.2"), "outside the bounds"),
        (("accuracy", "accuracy,other"), (), "one column of numbers"),
        (("arch,", "cell,"), (), "no column 'arch'"),
        (("none", "nothing"), (), "Row"),
    ],
)
def test_bad_input_is_one_sentence(measured, capsys, change, options, words):
    if change is not None:
        text = measured.read_text()
        if change[0] == "accuracy":
            head, *rows = text.splitlines()
            text = "\n".join(
                [head.replace("note", "other"), *(r.replace("trained", "1") for r in rows)]
            )
        else:
            text = text.replace(*change)
        measured.write_text(text)
    assert run("predict", measured, *options) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err


def test_other_files(measured, tmp_path, capsys):
    with measured.open() as file:
        rows = list(csv.DictReader(file))
    lines = tmp_path / "measured.json"
    lines.write_text(
        "\n".join(json.dumps({"arch": r["arch"], "accuracy": float(r["accuracy"])}) for r in rows)
    )
    options = ("--sample", "5", "--predictor", "bayes_linear", "--json")
    assert run("predict", lines, *options) == 0
    first = json.loads(capsys.readouterr().out)
    duckdb = pytest.importorskip("duckdb")
    parquet = tmp_path / "measured.parquet"
    duckdb.sql(f"COPY (SELECT arch, accuracy FROM '{measured}') TO '{parquet}'")
    assert run("predict", parquet, *options) == 0
    second = json.loads(capsys.readouterr().out)
    assert [r["arch"] for r in first["ranking"]] == [r["arch"] for r in second["ranking"]]
    lines.write_text("[1, 2]")
    assert run("predict", lines, *options) == 2
    assert run("predict", tmp_path / "none.csv") == 2


def test_why_on_the_terminal(measured, capsys):
    options = ("--sample", "12", "--predictor", "bayes_linear", "--quiet")
    assert run("predict", measured, *options, "--explain") == 0
    out = capsys.readouterr().out
    for words in ("Number 1 is predicted", "points", "on edge", "drop of tau", "boosted trees"):
        assert words in out
    assert "Number 2" not in out
    assert run("predict", measured, "--explain", "2", *options) == 0
    assert "Number 2 is predicted" in capsys.readouterr().out


def test_why_as_json_and_a_report(measured, tmp_path, capsys):
    folder = tmp_path / "why"
    options = ("--sample", "12", "--predictor", "bayes_linear", "--encoding", "costs+onehot")
    options += ("--bounds", "0,1", "--explain", "--report", folder, "--json")
    assert run("predict", measured, *options) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    why = found["explanation"]
    assert len(why["edits"]) == 24
    assert {r["family"] for r in why["families"]} >= {"costs", "onehot: edge 2->3"}
    assert [r["adds"] for r in why["reasons"]]
    assert "repeat them" in why["fidelity"]
    assert why["left_out"] == []
    assert "Wrote report.html" in shown.err
    page = (folder / "report.html").read_text()
    assert "Prediction of accuracy on nb201" in page
    command = json.loads((folder / "config.json").read_text())["command"]
    assert command.startswith(f"foretell predict {measured}")
    assert "--bounds 0,1" in command
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["arch"] for r in rows] == [r["arch"] for r in found["ranking"]]


def test_a_report_without_being_asked_why(measured, tmp_path, capsys):
    folder = tmp_path / "why"
    options = ("--sample", "5", "--predictor", "bayes_linear", "--report", folder)
    assert run("predict", measured, *options) == 0
    assert "Number 1" not in capsys.readouterr().out
    assert (folder / "report.html").is_file()
