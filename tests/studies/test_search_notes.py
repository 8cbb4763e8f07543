"""What a reader must know of attacks and data stands at the head of a search's result."""

import shutil
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest

from foretell.data import Split, make_task
from foretell.errors import RunFolderError, StoreError
from foretell.spaces import CustomSpace
from foretell.store import Store
from foretell.studies.optimize.read import read
from foretell.studies.search.read import _attack_notes, _task_notes, store_about


def trial(number, **details):
    return SimpleNamespace(number=number, state="done", value={"details": details})


def test_attacks_that_could_not_see_are_named():
    blind = {"clean": 0.9, "images": 40.0, "issue zero_gradient": 1.0}
    fine = {"clean": 0.9, "images": 40.0}
    trials = [
        trial(0, **{"pgd@8": fine}),
        trial(1, **{"pgd@8": blind}),
        trial(2, **{"pgd@8": blind, "fgsm@4": {"issue loss_flat": 0.5}}),
        SimpleNamespace(number=3, state="failed", value=None),
    ]
    winner = {"robust_issues": ["The gradient is zero."]}
    notes = _attack_notes(winner, trials)
    assert notes[0] == "Attack on the winner: The gradient is zero."
    assert [n.split(" may")[0] for n in notes[1:]] == [
        "pgd@8 of 2 trial(s) (1, 2)",
        "fgsm@4 of 1 trial(s) (2)",
    ]
    assert _attack_notes(None, trials[:1]) == ()
    assert _attack_notes({}, []) == ()  # of a run that was made before there were notes


def test_notes_of_the_data_are_kept():
    images = np.random.default_rng(0).integers(0, 2, (40, 1, 6, 6)).astype(np.uint8)
    with pytest.warns(match="all 0 or 1"):
        task = make_task("bits", Split(images, np.arange(40) % 2))
    kept = {}
    session = SimpleNamespace(put=lambda key, value: kept.update({key: value}))
    store_about(session, task, CustomSpace({"a": (1, 2)}, name="notes"), {})
    assert _task_notes(kept["about"]) == task.notes
    assert _task_notes({}) == ()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from foretell.api import optimize

    folder = tmp_path_factory.mktemp("damaged") / "r"
    space = CustomSpace({"a": tuple(range(6)), "b": tuple(range(6))}, name="damaged_own")
    optimize(lambda a: float(sum(a.genes)), space, out=folder, trials=4, searcher="random")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "r")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE trials SET value = '{'", StoreError),
        ("UPDATE trials SET payload = 'x'", StoreError),
        ("UPDATE trials SET state = 'finished'", StoreError),
        ("UPDATE trials SET number = number || 'x' WHERE number = 1", StoreError),
        ("UPDATE trials SET value = '[1]'", RunFolderError),
        ("UPDATE trials SET payload = '7'", RunFolderError),
    ],
)
def test_damaged_rows_are_one_sentence(run, change, error):
    read(run)
    with sqlite3.connect(run / "study.db") as base:
        base.execute(change)
    base.close()
    with pytest.raises(error, match="damaged row"):
        read(run)


def test_blocks_of_scores_of_another_size(tmp_path):
    with Store(tmp_path / "s.db") as store:
        store.put_study("s", {})
        store.put_scores("s", "k", ("a", "b"), ["x", "y"], np.ones((2, 2)))
    for change in ("data = x'00'", "keys = '7'", "keys = '[1, 2]'", "rows = 1000000000000"):
        path = tmp_path / "t.db"
        path.write_bytes((tmp_path / "s.db").read_bytes())
        with sqlite3.connect(path) as base:
            base.execute(f"UPDATE score_blocks SET {change}")
        base.close()
        with Store(path) as store:
            if change.startswith("rows"):
                assert store.scores("s", "k").keys == ("a", "b")
                continue
            with pytest.raises(StoreError, match="damaged row"):
                store.scores("s", "k")
