"""`foretell evaluate proxies` as a user types it."""

import csv
import json

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData, write_table
from foretell.cli._app import run
from foretell.spaces import get_space
from foretell.studies.evaluate_proxies.study import evaluate_proxies
from foretell.studies.run.session import reading


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table file of 60 cells."""
    space = get_space("nb201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(80)))[:60]
    good = rng.normal(size=60)
    metrics = {
        "digits/test_accuracy": Metric("test_accuracy", "digits", "fraction", True, split="test"),
        "digits/val_accuracy": Metric("val_accuracy", "digits", "fraction", True, split="val"),
        "digits/nwot": Metric("nwot", "digits", kind="proxy", higher_is_better=True),
    }
    values = {
        "digits/test_accuracy": 0.9 + good[:, None, None] / 100,
        "digits/val_accuracy": 0.8 + good[:, None, None] / 100,
        "digits/nwot": (good + rng.normal(size=60))[:, None, None],
    }
    texts = [space.format(a) for a in archs]
    data = TableData("tiny", texts, metrics, values, "nb201", space.genes(archs))
    return write_table(data, tmp_path_factory.mktemp("tables") / "tiny.foretell")


def say(capsys, *argv):
    code = run(["evaluate", "proxies", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_table_is_printed(table, capsys):
    code, out, err = say(capsys, table)
    assert code == 0, err
    for words in ("tiny", "60 of 60 networks", "seed 0", "nwot", "params ◆", "Kendall", "n=60"):
        assert words in out


def test_json_holds_what_python_gives(table, capsys):
    from foretell.benchmarks import open_benchmark

    options = ["--metric", "spearman", "--bootstrap", "20", "--seed", "2", "--n", "40"]
    code, out, _ = say(capsys, table, "--json", *options)
    assert code == 0
    got = json.loads(out)
    wanted = evaluate_proxies(
        open_benchmark(table), kind="spearman", samples=20, seed=2, n=40
    ).correlations()
    assert [r["spearman"] for r in got["correlations"]] == wanted["spearman"]
    assert [r["low"] for r in got["correlations"]] == wanted["low"]
    assert (got["n"], got["total"], got["kind"], got["seed"]) == (40, 60, "spearman", 2)
    assert {"arch", "regret", "rank"} <= set(got["choices"][0])


def test_every_choice_reaches_the_study(table, capsys):
    code, out, err = say(
        capsys, table, "--json", "--bootstrap", "0", "--target", "val_accuracy", "--proxy", "nwot",
        "--proxy", "flops", "--population", "alive", "--population", "top 5",
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads(out)["correlations"]
    assert {r["target"] for r in rows} == {"digits/val_accuracy"}
    assert {r["proxy"] for r in rows} == {"nwot", "flops"}
    assert {r["population"] for r in rows} == {"alive", "top 5"}
    assert {r["low"] for r in rows} == {None}


def test_a_folder_of_files(table, tmp_path, capsys):
    folder = tmp_path / "of it"
    code, _, err = say(capsys, table, "--out", folder, "--bootstrap", "10", "--target", "*")
    assert code == 0, err
    assert "report.html" in err
    page = (folder / "report.html").read_text()
    shown = f"--bootstrap 10 --out &#39;{folder}&#39;"
    assert "foretell evaluate proxies" in page
    assert shown in page
    assert "--target &#39;*&#39;" in page
    with (folder / "correlations.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 4 * 5


def test_own_proxies_stand_beside_the_published(table, tmp_path, capsys):
    argv = [
        table, "--recompute", "--data", "digits", "--n", "4", "--proxy", "nwot", "--batch-size",
        "8", "--preset", "small", "--out", tmp_path, "--json", "--seed", "1",
    ]  # fmt: skip
    code, out, err = say(capsys, *argv)
    assert code == 0, err
    got = json.loads(out)
    assert {r["proxy"] for r in got["correlations"]} == {"nwot", "nwot (own)"}
    assert got["data"] == "digits 1x8x8, 2 batches of 8, 8 channels, 1 cells, seed 1"
    with reading(tmp_path, "evaluate_proxies") as store:
        assert store.counts("evaluate_proxies") == {"done": 4}
    again = json.loads(say(capsys, *argv)[1])
    assert again["correlations"] == got["correlations"]


def test_progress_is_shown_unless_it_is_quiet(table, capsys):
    argv = [table, "--recompute", "--data", "digits", "--n", "2", "--proxy", "snip"]
    assert "score untrained" in say(capsys, *argv)[2]
    assert say(capsys, *argv, "--quiet")[2] == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--recompute"], "--data cifar10:PATH"),
        (["--data", "digits"], "--recompute"),
        (["--metric", "tau"], "kendall"),
        (["--n", "1000"], "2 to 60"),
        (["--bootstrap", "-1"], "samples >= 0"),
        (["--target", "accuracy"], "val_accuracy"),
        (["--proxy", "nwt"], "nwot"),
        (["--population", "best"], "deduplicated"),
    ],
)
def test_what_cannot_be_is_one_sentence(table, capsys, argv, words):
    code, _, err = say(capsys, table, *argv)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_an_unknown_benchmark_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(tmp_path))
    code, _, err = say(capsys, "digits-nb20")
    assert code == 2
    assert "digits-nb201" in err
    code, out, _ = say(capsys, "no-such-table", "--json")
    assert code == 2
    assert json.loads(out)["error"] == "UnknownNameError"


def test_help_names_the_options(capsys):
    code, out, _ = say(capsys, "--help")
    assert code == 0
    for option in ("--target", "--population", "--recompute", "--bootstrap", "--out", "--json"):
        assert option in out
