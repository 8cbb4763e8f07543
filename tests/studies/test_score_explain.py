"""What scores mean: places among others, size beside them, an accuracy where it is honest."""

import json
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from foretell.api import explain_scores, score
from foretell.benchmarks import open_benchmark
from foretell.cli._app import run
from foretell.data import Split, load_task, make_task
from foretell.errors import UsageError
from foretell.spaces import get_space
from foretell.studies.build_benchmark.data import digits_task
from foretell.studies.score.expected import Expected
from foretell.studies.score.explain import Explained, ExplainedScore
from foretell.studies.score.reference import differences
from foretell.studies.score.verdict import verdict

CELL = "3.1.2.3.0.3"
FAMILY = """
from torch import nn
from foretell.spaces import CustomSpace

def build(*, input_shape, classes, width, depth):
    layers = [nn.Conv2d(input_shape[0], width, 3, padding=1), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

family = CustomSpace({"width": (4, 8, 12), "depth": (0, 1)}, build)

def mine(input_shape, classes):
    return build(input_shape=input_shape, classes=classes, width=10, depth=1)
"""
LOOSE = """
import os
from torch import nn

def net(in_channels, num_classes, width=4):
    print("a line of my own")
    os.write(1, b"and one past Python\\n")
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, width), nn.ReLU(),
                         nn.Linear(width, num_classes))

def wide(in_channels, num_classes):
    return net(in_channels, num_classes, 16)

def broken():
    raise OSError("not today")
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("family.py").write_text(FAMILY)
    Path("loose.py").write_text(LOOSE)
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One model instead of a stack of them."""
    monkeypatch.setattr("foretell.studies.score.expected._PREDICTOR", "gp")
    monkeypatch.setattr("foretell.studies.score.expected._CELLS", 60)


def scored(names=("nwot", "flops"), **settings):
    return score([CELL], list(names), preset="digits-nb201", **settings)


def test_cells_of_the_table_are_placed_among_its_trained_networks():
    table, task = open_benchmark("digits-nb201"), digits_task(0)
    row = next(i for i, a in enumerate(table.archs()) if i > 3 and min(a.genes) > 1)
    names = ["nwot", "synflow", "params"]
    done = score([table.archs()[row]], names, data=task, preset="digits-nb201")
    (net,) = explain_scores(done).networks
    assert net.reference == "1,598 trained networks of digits-nb201"
    accuracy = table.query(None, "digits/test_accuracy")
    for found, key in zip(net.scores, ("digits/nwot", "digits/synflow", "params"), strict=False):
        column = np.delete(table.query(None, key, missing="nan"), row)
        own = table.query(None, key, missing="nan")[row]
        assert found.value == pytest.approx(own, rel=1e-5)  # scored as the table was
        column = column[np.isfinite(column)]
        lower, equal = (column < found.value).sum(), (column == found.value).sum()
        share = (lower + equal / 2) / len(column)
        alive = 1598 if key != "params" else 1600  # dead cells have parameters, too
        assert found.percentile == pytest.approx(share, abs=3 / alive)
        assert found.direction == "higher is better"
    assert [s.size for s in net.scores] == [False, False, True, True, True]
    expected = net.expected
    assert expected is not None
    assert expected.measured == accuracy[row]
    assert 0.9 < expected.low < expected.accuracy < expected.high <= 1
    assert expected.typical == np.median(accuracy)
    assert net.verdict.count(". ") == 0
    assert "trained as the table's networks were" in net.verdict


def test_what_is_not_as_in_the_table_is_said():
    digits = load_task("digits")
    assert differences(score([CELL], ["params"]), get_space("nb201").parse(CELL)) == [
        "the skeleton has 8 channels and 1 cells a stage (there 4 and 1: --preset digits-nb201)"
    ]
    cell = get_space("nb201").parse(CELL)
    base = scored(["params"])
    assert differences(base, cell) == []
    assert differences(replace(base, task=digits_task(0)), cell) == []
    assert "is no architecture of nb201" in differences(base, "net.py:mine")[0]
    noisy = make_task("digits", Split(1 - digits.train.images, digits.train.labels))
    assert differences(replace(base, task=noisy), cell) == ["the data are not the embedded digits"]
    larger = load_task("synthetic:1x16x16")
    assert "16x16" in differences(replace(base, task=larger), cell)[0]


def test_other_batches_and_skeletons_are_placed_in_a_pool_of_the_space():
    for settings in ({"batch_size": 32, "preset": "digits-nb201"}, {"preset": "small"}):
        done = score([CELL], ["live_params"], **settings)
        (net,) = explain_scores(done, pool=6).networks
        assert net.reference == "6 networks drawn from nb201"
        size = net.scores[0]
        assert size.n in (5, 6)
        assert 0 <= size.percentile <= 1
    assert net.expected is None
    assert "skeleton has 8 channels" in net.not_expected


def test_families_of_a_file_and_of_an_option(nets):
    for item, family in (("family.py:mine", None), ("loose.py:net", "family.py:family")):
        done = score([item], ["sum_log_params"])
        (net,) = explain_scores(done, family=family, pool=9).networks
        assert net.reference == "6 networks drawn from family.py:family"  # it has no more
        space = get_space("family.py:family")
        every = [space.format(a) for a in space.enumerate()]
        values = score(every, ["params"], space=space).scores.column("params")
        own = next(s for s in net.scores if s.name == "params")
        assert own.percentile == np.mean(values < own.value)


def test_without_a_family_the_others_or_the_reason(nets):
    alone = explain_scores(score(["loose.py:net"], ["params"])).networks[0]
    assert isnan(alone.scores[0].percentile)
    assert "CustomSpace" in alone.verdict
    many = score(["loose.py:net"] * 5 + ["loose.py:wide"], ["params"])
    last = explain_scores(many).networks[-1]
    assert last.reference == "the 5 other networks that were given"
    assert last.scores[0].percentile == 1.0
    with pytest.raises(UsageError, match="at least 5"):
        explain_scores(many, pool=4)


@pytest.mark.parametrize("explain", [(), ("--explain",)])
def test_json_is_one_document_whatever_networks_print(nets, capfd, explain):
    argv = ["score", "loose.py:net", "loose.py:broken", "--proxies", "params", "--json", *explain]
    assert run(argv) == 2
    out, err = capfd.readouterr()
    rows = json.loads(out)
    assert [r["alive"] for r in rows] == [True, False]
    assert "not today" in rows[1]["failure"]
    assert "1 of 2 networks" in err
    if explain:
        assert rows[1]["explanation"]["verdict"].startswith("It could not be scored")


def test_json_is_one_document_when_the_command_ends_early(nets, capsys, monkeypatch):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    assert run(["score", "--explain", "--pool", "1", "--sample", "1", "--json"]) == 2
    assert "--pool" in json.loads(capsys.readouterr().out)["message"]
    monkeypatch.setattr("foretell.api.score", stop)
    assert run(["score", "--sample", "1", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"] == "Interrupted"
    monkeypatch.setattr("foretell.api.score", fault)
    with pytest.raises(ZeroDivisionError):
        run(["score", "--sample", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["error"] == "ZeroDivisionError"


def test_the_terminal_and_the_file_say_it_too(nets, capsys):
    argv = ["score", "loose.py:wide", "--space", "family.py:family", "--proxies", "nwot,synflow"]
    assert run([*argv, "--explain", "--quiet"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in ("params (size)", "6 networks drawn from", "its size", "No accuracy is predicted"):
        assert word in shown
    assert run([*argv, "--explain", "--quiet", "--out", "t.json"]) == 0
    row = json.loads(Path("t.json").read_text())
    assert row["synflow_percentile"] is not None
    assert row["nwot_percentile"] is None  # fewer ReLU units than images
    assert row["expected"] is None
    assert row["verdict"]


def net(places: dict[str, float], size: float = 0.5, expected: Expected | None = None) -> Explained:
    scores = [ExplainedScore(n, 1.0, "higher is better", False, p) for n, p in places.items()]
    scores.append(ExplainedScore("params", 1.0, "higher is better", True, size))
    return Explained("net", "20 others", "", tuple(scores), expected, "", "")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (net({"a": 0.8, "b": 0.9, "c": 0.7}), "more than its size promises (50% have"),
        (net({"a": 0.8, "b": 0.9, "c": 0.7}, 0.75), "which its size says as well (75% have"),
        (net({"a": 0.1, "flops": 0.9}, 0.75), "By its score it ranks above 10% of 20 others, less"),
        (net({"a": 0.0, "b": 0.1, "c": 0.9, "d": 1.0}), "Its scores disagree (the middle half"),
        (net({"a": nan}), "Only its size is known: it has more parameters than 50%"),
        (net({"a": nan}, nan), "None of its scores has a value."),
        (
            net({"a": 0.5}, expected=Expected(0.9, 0.8, 0.95, 0.9, 0.7, 0.3, nan)),
            "80.0% to 95.0%).",
        ),
        (net({"a": 0.5}, expected=Expected(0.9, 0.8, 0.95, 0.9, 0.85, 0.3, nan)), "typical 85.0%."),
    ],
)
def test_verdicts(row, said):
    sentence = verdict(row, alive=True, failure="")
    assert said in sentence
    assert sentence.endswith(".")


def test_verdicts_of_what_has_no_scores():
    assert "No path leads" in verdict(net({}), alive=False, failure="")
    assert verdict(net({}), alive=True, failure="It broke.") == "It could not be scored: It broke."
