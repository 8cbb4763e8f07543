"""`foretell evaluate predictors` as a user types it."""

import csv
import json

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData, open_benchmark, write_table
from foretell.cli._app import run
from foretell.spaces import get_space
from foretell.studies.evaluate_predictors.study import PredictorsConfig, evaluate_predictors

QUICK = ("--pair", "bayes_linear:graf+onehot", "--sizes", "20", "--seeds", "100,101",
         "--workers", "0")  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table file of 60 cells."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(90)))[:60]
    good = rng.normal(size=60)
    columns = {
        Metric("test_accuracy", "digits", "fraction", True, split="test"): 0.9 + good / 100,
        Metric("val_loss", "digits", "nats", False, split="val"): 1 - good / 10,
        Metric("nwot", "digits", kind="proxy", higher_is_better=True): good + rng.normal(size=60),
        Metric("row", kind="cost"): rng.permutation(60).astype(np.float64),
    }
    data = TableData(
        "tiny",
        [space.format(a) for a in archs],
        {m.key: m for m in columns},
        {m.key: v[:, None, None] for m, v in columns.items()},
        "nb201",
        space.genes(archs),
    )
    return write_table(data, tmp_path_factory.mktemp("tables") / "tiny.foretell")


def say(capsys, *argv):
    code = run(["evaluate", "predictors", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


def test_tables_are_printed(table, capsys):
    code, out, err = say(capsys, table, *QUICK)
    assert code == 0, err
    for words in ("tiny", "60 of 60 networks", "Encodings: graf+onehot", "params ◆", "best proxy ◆",
                  "n=20", "behind", "2 seeds (100 to 101)", "bayes_linear"):  # fmt: skip
        assert words in out, words
    assert "fit predictors" in err


def test_every_choice_reaches_the_study(table, capsys):
    code, out, err = say(
        capsys, table, "--json", "--predictor", "bayes_linear", "--predictor", "linear",
        "--encoding", "graf+scores", "--encoding", "onehot", "--pair", "linear:costs",
        "--target", "val_loss", "--target", "test_accuracy", "--proxy", "nwot", "--sizes", "5, 10",
        "--seeds", "100-101,105", "--test", "15", "--split", "sklearn", "--population", "alive",
        "--order", "row", "--n", "55", "--level", "0.5", "--no-baselines", "--workers", "0",
    )  # fmt: skip
    assert code == 0, err
    got = json.loads(out)
    wanted = evaluate_predictors(
        open_benchmark(table),
        PredictorsConfig(
            predictors=("bayes_linear", "linear"),
            encodings=("graf+scores", "onehot"),
            pairs=("linear:costs",),
            targets=("val_loss", "test_accuracy"),
            proxies=("nwot",),
            sizes=(5, 10),
            seeds=(100, 101, 105),
            test=15,
            split="sklearn",
            population="alive",
            order="row",
            n=55,
            level=0.5,
            baselines=False,
        ),
    )
    cells = wanted.cells()
    for column in ("target", "predictor", "encodings", "train_size", "kendall", "rmse", "coverage",
                   "behind_best_low", "seeds_won_from_best", "mean_rank"):  # fmt: skip
        assert [r[column] for r in got["cells"]] == cells[column]
    assert [r["kendall"] for r in got["each"]] == wanted.each()["kendall"]
    for name in ("n", "total", "population", "order", "split", "test", "level", "fits", "reused"):
        assert got[name] == getattr(wanted, name)
    assert got["seeds"] == [100, 101, 105]
    assert got["failures"] == []
    assert got["proxies"] == ["nwot"]


def test_seeds_may_be_a_number(table, capsys):
    argv = ["--pair", "linear:onehot", "--sizes", "10", "--workers", "0", "--json"]
    assert json.loads(say(capsys, table, *argv, "--seeds", "3")[1])["seeds"] == [0, 1, 2]
    assert json.loads(say(capsys, table, *argv)[1])["seeds"] == [0, 1, 2, 3, 4]


def test_a_folder_of_files_that_goes_on(table, tmp_path, capsys):
    folder = tmp_path / "of it"
    code, _, err = say(capsys, table, *QUICK, "--out", folder)
    assert code == 0, err
    assert "report.html" in err
    page = (folder / "report.html").read_text()
    assert "foretell evaluate predictors" in page
    assert f"--workers 0 --out &#39;{folder}&#39;" in page
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["train_size"] for r in rows] == ["20"] * 4
    assert {r["predictor"] for r in rows} == {"bayes_linear", "params", "flops", "best proxy"}
    with (folder / "fits.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert (folder / "failures.csv").read_text().count("\n") == 1
    code, out, _ = say(capsys, table, *QUICK, "--sizes", "10,20", "--out", folder)
    assert code == 0
    assert "8 of 16 fits were made by an earlier call." in out
    code, _, err = say(capsys, table, *QUICK, "--test", "9", "--out", folder)
    assert code == 2
    assert "another folder" in err


def test_workers_are_the_default_and_failures_are_told(table, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "from foretell.predictors import Predictor\n"
        "class Mine(Predictor):\n"
        "    def _fit(self, encodings, y):\n"
        "        raise ValueError('no idea')\n"
        "    def _predict(self, encodings): ...\n"
    )
    argv = [table, "--pair", f"{path}:Mine:onehot", "--sizes", "20", "--seeds", "100,101"]
    code, out, _ = say(capsys, *argv, "--timeout", "60", "--json")
    assert code == 0
    got = json.loads(out)
    assert [(f["state"], f["error"], f["message"]) for f in got["failures"]] == [
        ("failed", "ValueError", "no idea")
    ] * 2
    assert got["failures"][0]["method"].endswith("Mine, onehot")
    failed = [r for r in got["cells"] if r["failed"]]
    assert [(r["failed"], r["seeds"], r["kendall"]) for r in failed] == [(2, 0, None)]
    code, out, _ = say(capsys, *argv, "--workers", "0")
    flat = " ".join(out.split())
    assert "2 of 8 fits" in flat
    assert "failed (ValueError)" in flat
    assert "no idea" in flat


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--sizes", "a"], "--sizes should be numbers"),
        (["--seeds", "1..3"], "--seeds should be numbers"),
        (["--seeds", "3-1"], "--seeds should rise"),
        (["--seeds", "1000000000"], "10,000 numbers at most"),
        (["--seeds", "1" * 30], "--seeds should be numbers"),
        (["--seeds", "5,5"], "stands twice"),
        (["--sizes", "1"], "train sizes of 2"),
        (["--sizes", "59"], "too few"),
        (["--pair", "gp"], "PREDICTOR:ENCODING"),
        (["--predictor", "gpp"], "did you mean gp"),
        (["--target", "accuracy"], "test_accuracy"),
        (["--split", "half"], "own, sklearn"),
        (["--level", "1"], "level in"),
        (["--timeout", "3"], "needs a process"),
        (["--population", "top 10"], "deduplicated"),
    ],
)
def test_what_cannot_be_is_one_sentence(table, capsys, argv, words):
    code, _, err = say(capsys, table, "--workers", "0", *argv)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_an_unknown_benchmark_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(tmp_path))
    code, out, _ = say(capsys, "no-such-table", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "UnknownNameError"


def test_quiet_is_quiet_and_help_names_the_options(table, capsys):
    assert say(capsys, table, *QUICK, "--quiet")[2] == ""
    code, out, _ = say(capsys, "--help")
    assert code == 0
    for option in ("--pair", "--sizes", "--seeds", "--split", "--workers", "--timeout", "--level"):
        assert option in out
