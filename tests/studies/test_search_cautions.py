"""What a search warns of in words, and how far its running trials are."""

import os
import time
from dataclasses import replace
from math import nan

import pytest

from foretell.cli._app import run
from foretell.report.search.terminal import summary
from foretell.studies.run import inside
from foretell.studies.run.progress import Tracker
from foretell.studies.search.cautions import cautions
from foretell.studies.search.result import ObjectiveRow, SearchResult, TaskRow, TrialRow, Winner

TASK = TaskRow("pets", 2, (3, 8, 8), 100, 100, 200, most_frequent=0.7)
ACCURACY = ObjectiveRow("accuracy", "fraction", "max", label="Accuracy")


def result(test: float, trials: list[tuple[float, float]], winner: int = 0) -> SearchResult:
    """(validation accuracy, parameters) of each trial."""
    rows = tuple(
        TrialRow(i, f"net {i}", val_accuracy=a, predicted=a, params=p, values={"accuracy": a})
        for i, (a, p) in enumerate(trials)
    )
    found = Winner("net", val_accuracy=0.9, test_accuracy=test, number=winner)
    return SearchResult("t", "s", TASK, "c", 0, trials=rows, winner=found, objectives=(ACCURACY,))


FIVE = [(0.9, 30.0), (0.8, 20.0), (0.7, 50.0), (0.6, 10.0), (0.5, 40.0)]


@pytest.mark.parametrize(
    ("test", "warned"),
    [(0.7, True), (0.755, True), (0.76, False), (0.3, True), (0.0, True), (nan, False)],
)
def test_a_winner_at_chance_level(test, warned):
    # of 200 images at .7, 151 or more are right by chance in 5.05 % of cases, 152 in 3.5 %
    said = [c for c in cautions(result(test, FIVE)) if "chance level" in c]
    assert bool(said) == warned
    if warned:
        assert "70.00%" in said[0]


def test_without_shares_of_classes_chance_is_one_class_of_all():
    balanced = replace(result(0.62, FIVE), task=replace(TASK, most_frequent=nan))
    assert cautions(balanced) == ()
    assert "50.00%" in cautions(replace(balanced, winner=Winner("n", test_accuracy=0.5)))[0]


@pytest.mark.parametrize(("n", "said"), [(1, "1 trained network "), (4, "4 trained"), (5, "")])
def test_too_few_to_compare_with_predictions(n, said):
    found = result(0.99, FIVE[:n])
    text = " ".join(cautions(found))
    assert (said in text and "fewer than 5" in text) if said else "fewer" not in text
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as shown:
        console.print(summary(found))
    assert ("not to be judged" in shown.get()) == bool(said)


@pytest.mark.parametrize(
    ("trials", "winner", "said"),
    [
        (FIVE, 0, ""),
        ([(0.9, 30.0), (0.85, 50.0), *FIVE[1:4]], 0, "no better than the biggest"),
        ([(0.9, 30.0), (0.9, 50.0), *FIVE[1:4]], 0, "50, a difference that 100 validation"),
        ([(0.9, 99.0), *FIVE[1:]], 0, "the biggest of 5 trained networks (99 parameters)"),
        ([(0.9, 9.0)] * 5, 2, ""),
        ([(0.9, nan)] * 5, 2, ""),
    ],
)
def test_the_biggest_network(trials, winner, said):
    text = " ".join(cautions(result(0.99, trials, winner)))
    assert said in text if said else "biggest" not in text
    several = replace(result(0.99, trials, winner), objectives=(ACCURACY, ACCURACY))
    assert "biggest" not in " ".join(cautions(several))


def test_a_device_that_is_not_there_is_refused_before_any_work(tmp_path, capsys):
    for device in ("cuda:7", "meta", "abacus"):
        argv = ["search", "--device", device, "--out", str(tmp_path / "run"), "--data", "gone"]
        assert run(argv) == 2
        assert f"device '{device}' cannot be used here" in capsys.readouterr().err
        assert not (tmp_path / "run" / "study.db").exists()


def test_remaining_time_counts_parts_of_a_unit():
    now, told = [0.0], []
    tell = Tracker(told.append, lambda: now[0])
    tell("train", 0, 4)
    now[0] = 10.0
    tell("train", 0, 4, part=0.25)
    now[0] = 60.0
    tell("train", 1, 4, part=0.5)
    assert [round(p.remaining) for p in told[1:]] == [150, 100]
    assert told[2].done == 1


def test_trials_of_this_process_are_told_one_after_the_other(tmp_path):
    told = []
    with inside.watch(tmp_path, lambda done, words: told.append((done, words))):
        for trial in ("first", "second"):
            tell = inside.part_teller()
            tell(0.5, f"{trial} half")
            tell(1.0, trial)
    assert [d for d, _ in told] == [0.5, 1.0, 1.5, 2.0]
    assert told[-1][1] == "second"
    inside.part_teller()(1.0, "nobody listens")
    assert not list(tmp_path.iterdir())


def test_trials_of_other_processes_are_told_too(tmp_path, monkeypatch):
    monkeypatch.setattr(inside, "_LOOK_SECONDS", 0.02)
    monkeypatch.delenv("FORETELL_PROGRESS", raising=False)
    told = []
    with (
        inside.tell_children(tmp_path),
        inside.watch(tmp_path, lambda done, words: told.append((done, words))),
    ):
        for _ in range(2):
            if (child := os.fork()) == 0:
                inside.part_teller()(0.25, "epoch 1 of 4")
                os._exit(0)
            os.waitpid(child, 0)
        end = time.monotonic() + 20
        while (not told or told[-1][0] < 0.5) and time.monotonic() < end:
            time.sleep(0.02)
    assert told[-1] == (0.5, "epoch 1 of 4")
    assert "FORETELL_PROGRESS" not in os.environ
    assert not list(tmp_path.iterdir())
