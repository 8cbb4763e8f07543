"""Ask and tell: a loop of one's own, that may be left and taken up at any time."""

import subprocess
import sys

import numpy as np
import own_evaluation as own
import pytest

from foretell.errors import QuantityError, RunFolderError, SearchError, UsageError
from foretell.spaces import CustomSpace
from foretell.store import Store
from foretell.studies import Resources
from foretell.studies.optimize.ask_tell import AskTellStudy
from foretell.studies.optimize.config import ASK_TELL, OptimizeConfig
from foretell.studies.optimize.read import read
from foretell.studies.optimize.study import run


@pytest.fixture
def open_study(tmp_path):
    """(settings) -> the study in the test's folder, open until the test's end."""
    opened = []

    def call(space=own.space, *, out="out", **settings):
        config = OptimizeConfig(evaluate=ASK_TELL, **settings)
        opened.append(AskTellStudy(config, tmp_path / out, resources=Resources(space)))
        return opened[-1]

    yield call
    for study in opened:
        study.close()


def test_a_loop(open_study, tmp_path):
    study = open_study()
    told = {}
    for _ in range(10):
        (trial,) = study.ask()
        assert trial.values == own.space.values(trial.arch)
        told[trial.number] = own.worth(trial.arch)
        study.tell(trial, told[trial.number])
    result = study.result()
    assert {t.number: t.values["value"] for t in result.trials} == told
    assert list(told) == list(range(10))
    assert result.winner.number == max(told, key=lambda n: told[n])
    assert (tmp_path / "out" / "trials.csv").read_text().count("\n") == 11
    assert result.command == f"foretell.create_study('own', out={str(tmp_path / 'out')!r})"
    assert result.state == "running"
    assert result.budget is None
    study.close()
    assert read(tmp_path / "out").state == "finished"


def test_it_asks_as_an_optimisation_does(open_study, tmp_path):
    settings = {"searcher": "evolution", "seed": 3}
    config = OptimizeConfig(trials=20, **settings)
    whole = run(config, tmp_path / "o", resources=Resources(own.space, evaluate=own.worth))
    study = open_study(**settings)
    asked = []
    for _ in range(20):
        (trial,) = study.ask()
        asked.append(own.space.format(trial.arch))
        study.tell(trial, own.worth(trial.arch))
    assert asked == [t.arch for t in whole.trials]


def test_what_was_asked_for_and_not_told_is_given_out_again(open_study):
    study = open_study()
    first = study.ask(4)
    study.tell(first[1], 0.5)
    more = study.ask(2)  # not those in flight
    assert not {t.arch for t in first} & {t.arch for t in more}
    assert [t.number for t in more] == [4, 5]
    study.close()
    study = open_study()
    waiting = [first[0], first[2], first[3], *more]
    assert study.ask(1) == waiting[:1]
    assert study.ask(2) == waiting[1:3]
    assert study.ask(5) == waiting[3:]  # and no new ones with them
    new = study.ask(3)
    assert [t.number for t in new] == [6, 7, 8]
    for trial in (*waiting, *new):
        study.tell(trial.number, 0.1)
    study.close()
    study = open_study()
    assert [t.number for t in study.ask(2)] == [9, 10]
    assert len(study.result().trials) == 9


def test_what_was_told_by_its_number_is_not_given_out_again(open_study):
    study = open_study()
    first = study.ask(3)
    study.close()
    study = open_study()
    study.tell(1, 0.5)
    assert study.ask(3) == [first[0], first[2]]


@pytest.mark.parametrize("searcher", ["random", "local", "evolution"])
@pytest.mark.parametrize("objectives", [("value",), ("value", "min:joules")])
def test_left_and_taken_up_it_asks_the_same(open_study, searcher, objectives):
    def value(trial):
        if len(objectives) == 1:
            return own.worth(trial.arch)
        return {"value": own.worth(trial.arch), "joules": 1.0 + trial.arch.genes[0]}

    def go(out, leave):
        study = open_study(out=out, searcher=searcher, objectives=objectives)
        rng = np.random.default_rng(0)
        asked = []
        flying = []
        for _ in range(15):
            flying += study.ask(int(rng.integers(1, 4)))
            flying = [flying[i] for i in rng.permutation(len(flying))]  # home in any order
            for _ in range(int(rng.integers(0, len(flying) + 1))):
                trial = flying.pop()
                asked.append((trial.number, trial.arch))
                if trial.number % 7 == 3:
                    study.tell(trial, error="the board is off")
                else:
                    study.tell(trial, value(trial))
            if leave:
                study.close()
                study = open_study(out=out, searcher=searcher, objectives=objectives)
                if flying:
                    again = study.ask(len(flying))
                    assert again == sorted(flying, key=lambda t: t.number)
        return asked, [(t.arch, t.state, t.values) for t in study.result().trials]

    assert go("left", leave=True) == go("stayed", leave=False)


def test_a_kill_between_two_writes(open_study, tmp_path):
    """After an ask's event and before its trials; after a trial's end and before its event."""
    study = open_study()
    first = study.ask(3)
    study.tell(first[0], 0.5)

    def killed(*_):
        raise RuntimeError("killed")

    study._payload, payload = killed, study._payload
    with pytest.raises(RuntimeError):
        study.ask(2)
    study._payload = payload
    study._event = killed
    with pytest.raises(RuntimeError):
        study.tell(first[1], 0.7)
    study.close()
    study = open_study()
    other = open_study(out="other")
    mine = other.ask(3)
    other.tell(mine[0], 0.5)
    mine += other.ask(2)
    other.tell(mine[1], 0.7)
    assert [t.arch for t in study.ask(4)] == [t.arch for t in mine[2:]]
    assert study.ask(2) == other.ask(2)
    with pytest.raises(UsageError, match="Trial 1 was told before"):
        study.tell(1, 0.7)
    with Store(tmp_path / "out" / "study.db", read_only=True) as store:
        told = [t.payload["tell"] for t in store.trials("optimize/events") if "tell" in t.payload]
    assert told == [[0], [1]]


def test_asking_wrongly_loses_nothing(open_study):
    study = open_study()
    first = study.ask(3)
    study.close()
    study = open_study()
    for n in (0, -1, -2):
        with pytest.raises(SearchError, match="at least 1"):
            study.ask(n)
    assert study.ask(3) == first


def test_telling_wrongly_changes_nothing(open_study):
    study = open_study(objectives=("value", "min:joules"), constraints=("heat<=9",))
    (trial,) = study.ask()
    wrong = {"value": 1.0, "joules": 2.0}
    for value, error, word in (
        (None, UsageError, "Give the trial's value, or error="),
        (1.0, QuantityError, "value and joules and heat"),
        (wrong, QuantityError, "heat could not be measured"),
        ({**wrong, "heat": float("nan")}, QuantityError, "heat could not be measured"),
        ({**wrong, "heat": "hot"}, QuantityError, "heat could not be measured"),
        ("high", QuantityError, "return a mapping"),
    ):
        with pytest.raises(error, match=word):
            study.tell(trial, value)
    with pytest.raises(UsageError, match="Give the trial's value, or error="):
        study.tell(trial, {**wrong, "heat": 1.0}, error="the board is off")
    with pytest.raises(UsageError, match="There is no trial 7: ask first"):
        study.tell(7, 1.0)
    assert study.result().trials == ()
    study.tell(trial, {**wrong, "heat": 10.0})
    with pytest.raises(UsageError, match="Trial 0 was told before"):
        study.tell(trial, {**wrong, "heat": 1.0})
    with pytest.raises(UsageError, match="Trial 0 was told before"):
        study.tell(0, error="the board is off")
    (row,) = study.result().trials
    assert (row.state, row.violation, row.feasible) == ("infeasible", "heat 10 > 9", False)
    assert study.result().winner is None


def test_failures_are_kept(open_study):
    study = open_study()
    one, two = study.ask(2)
    study.tell(one, error="the board is off")
    study.tell(two, 0.5)
    rows = study.result().trials
    assert [(r.state, r.message) for r in rows] == [("failed", "the board is off"), ("done", "")]
    assert study.result().winner.number == 1


def test_more_trials_than_an_optimisation_has_by_default(open_study, tmp_path):
    study = open_study(searcher="random")
    best = None
    for i in range(60):
        (trial,) = study.ask()
        study.tell(trial, float(i))
        best = trial
    assert len(study.result().trials) == 60
    assert study.result().winner.number == best.number == 59
    study.close()
    assert len(read(tmp_path / "out").trials) == 60


def test_the_end_of_a_space(open_study):
    study = open_study(CustomSpace({"a": (0, 1, 2)}, name="three"))
    assert len(study.ask(2)) == 2
    assert len(study.ask(2)) == 1
    assert study.ask(2) == []
    study.close()
    study = open_study(CustomSpace({"a": (0, 1, 2)}, name="three"))
    assert len(study.ask(9)) == 3


def test_costs_are_known_before(open_study):
    study = open_study(own.networks, objectives=("value", "params"), constraints=("params<=5k",))
    for trial in study.ask(20):
        assert own.params_of(**trial.values) <= 5000
        study.tell(trial, 1.0)
    rows = study.result().trials
    assert [r.values["params"] for r in rows] == [
        own.params_of(**own.networks.values(own.networks.parse(r.arch))) for r in rows
    ]


def test_two_spaces_of_one_name_at_once(open_study):
    one = open_study(CustomSpace({"width": (4, 8), "depth": (1,)}, own.build), out="one",
                     objectives=("value", "params"))  # fmt: skip
    two = open_study(CustomSpace({"width": (16, 32), "depth": (1,)}, own.build), out="two",
                     objectives=("value", "params"))  # fmt: skip
    for study in (one, two):
        for trial in study.ask(2):
            study.tell(trial, 1.0)
    for study, widths in ((one, (4, 8)), (two, (16, 32))):
        found = sorted(r.values["params"] for r in study.result().trials)
        assert found == [own.params_of(w, 1) for w in widths]


def test_what_is_refused(open_study, tmp_path):
    study = open_study()
    with pytest.raises(RunFolderError, match="Another run is going on"):
        open_study()
    study.close()
    for wrong in (study.ask, study.result, lambda: study.tell(0, 1.0)):
        with pytest.raises(UsageError, match="closed: open it again"):
            wrong()
    study.close()
    for change, word in (({"seed": 1}, "seed"), ({"version": "2"}, "version"),
                         ({"searcher": "random"}, "searcher")):  # fmt: skip
        with pytest.raises(RunFolderError, match=word):
            open_study(**change)
    with pytest.raises(RunFolderError, match="space fingerprint"):
        open_study(CustomSpace({"a": (1, 2)}, name="own"))
    with pytest.raises(UsageError, match="Shares of a reference"):
        open_study(own.networks, out="x", constraints=("params<=90%ref",),
                   reference="width=4,depth=1")  # fmt: skip
    with pytest.raises(RunFolderError, match="evaluate"):
        run(OptimizeConfig(), tmp_path / "out", resources=Resources(own.space, evaluate=own.worth))
    open_study()  # none of this has done it any harm


def test_no_torch_without_networks(tmp_path):
    code = (
        "import sys, foretell; from foretell.spaces import CustomSpace\n"
        "from foretell.studies import Resources\n"
        "from foretell.studies.optimize.ask_tell import AskTellStudy\n"
        "from foretell.studies.optimize.config import OptimizeConfig\n"
        "space = CustomSpace({'a': (1, 2, 3)})\n"
        "with AskTellStudy(OptimizeConfig(), sys.argv[1], resources=Resources(space)) as study:\n"
        "    for trial in study.ask(3): study.tell(trial, trial.values['a'])\n"
        "    print(study.result().winner.arch, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["a=3", "False"]
