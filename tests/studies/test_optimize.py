"""A user's own evaluation: results, pruning, failures, constraints, workers, resuming."""

import csv
import statistics
import subprocess
import sys
from pathlib import Path

import own_evaluation as own
import pytest

from foretell.cli._app import run as cli_run
from foretell.errors import (
    ArchError,
    ConstraintError,
    NoFeasibleArchError,
    PluginError,
    RunFolderError,
    SearchError,
    UnknownNameError,
    UsageError,
)
from foretell.spaces import CustomSpace
from foretell.store import Store
from foretell.studies import Resources
from foretell.studies.optimize.read import read
from foretell.studies.optimize.study import OptimizeConfig, run

HERE = Path(__file__).parent


@pytest.fixture
def optimize(tmp_path):
    """(function, space, settings) -> the result; the folder is ``out`` in the test's own."""

    def call(function=own.worth, space=own.space, *, out="out", **settings):
        config = OptimizeConfig(**{"trials": 12, **settings})
        return run(config, tmp_path / out, resources=Resources(space, evaluate=function))

    return call


def cli(*words):
    """The exit code of a command."""
    return cli_run(list(words))


def rows(folder):
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stored(folder):
    with Store(folder / "study.db", read_only=True) as store:
        return store.trials("optimize")


class TestResults:
    def test_a_number(self, optimize, tmp_path):
        result = optimize()
        assert len(result.trials) == 12
        assert {t.state for t in result.trials} == {"done"}
        assert [t.values["value"] for t in result.trials] == [
            own.worth(own.space.parse(t.arch)) for t in result.trials
        ]
        best = max(result.trials, key=lambda t: t.values["value"])
        assert (result.winner.arch, result.winner.number) == (best.arch, best.number)
        assert result.state == "finished"
        table = rows(tmp_path / "out")
        assert [r["arch"] for r in table] == [t.arch for t in result.trials]
        assert [float(r["value"]) for r in table] == [t.values["value"] for t in result.trials]
        assert [r["on_front"] for r in table].count("True") == 1

    def test_lower_is_better_where_that_is_asked_for(self, optimize):
        result = optimize(objectives=("min:value",))
        assert result.objectives[0].direction == "min"
        assert result.winner.arch == min(result.trials, key=lambda t: t.values["value"]).arch

    def test_a_mapping(self, optimize):
        result = optimize(own.two, objectives=("value", "min:joules"))
        assert all(set(t.values) == {"value", "joules"} for t in result.trials)
        front = {t.number for t in result.trials if t.on_front}
        values = [(t.values["value"], -t.values["joules"]) for t in result.trials]
        assert front == {
            i for i, v in enumerate(values)
            if not any(w[0] >= v[0] and w[1] >= v[1] and w != v for w in values)
        }  # fmt: skip
        assert result.winner.number in front
        assert result.preferred == "knee"
        again = optimize(own.two, objectives=("value", "min:joules"), prefer="joules")
        assert again.winner.number == min(
            front, key=lambda i: (result.trials[i].values["joules"], -values[i][0])
        )

    def test_more_than_was_asked_for_is_kept(self, optimize):
        result = optimize(lambda arch: {"value": own.worth(arch), "note": 7}, trials=2)
        assert [t.values["note"] for t in result.trials] == [7, 7]

    def test_values_do_not_take_the_columns_of_a_trial(self, optimize, tmp_path):
        def evaluate(arch):
            return {"error": own.worth(arch), "state": 7.0, "params": 9.0}

        result = optimize(evaluate, objectives=("min:error",), trials=3)
        table = rows(tmp_path / "out")
        assert [r["state"] for r in table] == ["done"] * 3
        assert [r["error"] for r in table] == [""] * 3
        assert [float(r["error_value"]) for r in table] == [
            t.values["error"] for t in result.trials
        ]
        assert [(r["state_value"], float(r["params"])) for r in table] == [("7.0", 9.0)] * 3

    def test_the_trial_is_given_to_those_who_take_it(self, optimize):
        seen = []

        def asks(arch, trial):
            seen.append((trial.arch == arch, trial.number, trial.values, trial.seed))
            return own.worth(arch)

        result = optimize(asks, trials=4)
        assert [s[:2] for s in seen] == [(True, i) for i in range(4)]
        assert [s[2] for s in seen] == [own.space.values(own.space.parse(t.arch))
                                        for t in result.trials]  # fmt: skip
        assert len({s[3] for s in seen}) == 4

        class Callable:
            def __call__(self, arch):
                return own.worth(arch)

        for i, one in enumerate(
            (Callable(), lambda arch, scale=1.0: scale * own.worth(arch),
             lambda *both: own.worth(both[0]) + 0 * both[1].number)
        ):  # fmt: skip
            other = optimize(one, trials=4, out=f"out{i}")
            assert [t.values for t in other.trials] == [t.values for t in result.trials]

    @pytest.mark.parametrize("searcher", ["random", "local", "evolution"])
    def test_same_seed_same_trials(self, optimize, searcher):
        one, again = (optimize(out=o, searcher=searcher) for o in ("one", "again"))
        assert [t.arch for t in one.trials] == [t.arch for t in again.trials]
        other = optimize(out="other", searcher=searcher, seed=1)
        assert [t.arch for t in one.trials] != [t.arch for t in other.trials]

    def test_a_space_is_searched_to_its_end(self, optimize):
        result = optimize(space=CustomSpace({"a": (0, 1, 2)}, name="three"), trials=50)
        assert sorted(t.arch for t in result.trials) == ["a=0", "a=1", "a=2"]
        assert result.state == "finished"

    def test_a_space_by_its_name(self, optimize):
        result = optimize(space=None, trials=3)
        assert (result.space, len(result.trials)) == ("nb201", 3)
        assert all(t.params > 0 for t in result.trials)

    def test_the_command_repeats_it(self, optimize, tmp_path):
        result = optimize(objectives=("min:value",), trials=3)
        assert result.command == (
            f"foretell.optimize(worth, 'own', objectives=('min:value',), trials=3, "
            f"out={str(tmp_path / 'out')!r})"
        )


class TestPruning:
    STEPS = 4

    def curve(self, arch):
        """Up, then down: the best so far is what counts."""
        top = own.worth(arch)
        return [top * f for f in (0.5, 1.0, 0.7, 0.6)]

    def test_the_median_rule_by_hand(self, optimize, tmp_path):
        stopped = {}

        def evaluate(arch, trial):
            for step, value in enumerate(self.curve(arch)):
                stopped[trial.number] = step
                trial.report(step, value)
            return value

        result = optimize(evaluate, trials=30, searcher="random")
        finished = []
        for trial in result.trials:
            curve = self.curve(own.space.parse(trial.arch))
            ends = self.STEPS
            for step in range(self.STEPS):
                others = [max(c[: step + 1]) for c in finished]
                if len(others) >= 5 and max(curve[: step + 1]) < statistics.median(others):
                    ends = step
                    break
            if ends == self.STEPS:
                finished.append(curve)
                assert trial.state == "done"
                assert trial.values == {"value": pytest.approx(curve[-1])}
            else:
                assert trial.state == "pruned"
                assert trial.values == {}
                assert f"Pruned at step {ends}:" in trial.message
                assert "is worse than the median" in trial.message
                assert trial.error == ""
                assert stopped[trial.number] == ends
        states = [t.state for t in result.trials]
        assert states[:5] == ["done"] * 5
        assert states.count("pruned") > 5
        assert not any(t.on_front for t in result.trials if t.state == "pruned")
        table = rows(tmp_path / "out")
        assert [r["state"] for r in table] == states
        assert {r["value"] for r in table if r["state"] == "pruned"} == {""}
        kept = next(t for t in stored(tmp_path / "out") if t.state == "pruned")
        assert kept.value["reports"][0][0] == 0

    def test_lower_is_better(self, optimize):
        def evaluate(arch, trial):
            trial.report(0, own.worth(arch))
            return own.worth(arch)

        result = optimize(evaluate, trials=20, searcher="random", objectives=("min:value",))
        done = []
        for trial in result.trials:
            value = own.worth(own.space.parse(trial.arch))
            pruned = len(done) >= 5 and value > statistics.median(done)
            assert trial.state == ("pruned" if pruned else "done")
            done += [] if pruned else [value]

    def test_a_written_out_example(self, optimize):
        """Five finished trials make a rule; the best so far is compared, and a tie goes on."""
        reports = {
            0: {0: 14.0, 1: 1.0}, 1: {0: 13.0, 1: 1.0}, 2: {0: 12.0, 1: 1.0}, 3: {0: 11.0, 1: 1.0},
            4: {0: 10.0, 1: 1.0},  # four are finished: no rule yet
            5: {0: 11.9},  # below the median, 12, of five
            6: {0: 12.0, 1: 5.0},  # a tie at step 0, and still its best at step 1
            7: {1: 11.9},  # by step 1 the others had 12 and more, not the 1 reported there
            8: {5: 0.0},  # no one else was there
        }  # fmt: skip

        def evaluate(arch, trial):
            for step, value in reports[trial.number].items():
                trial.report(step, value)
            return 1.0

        result = optimize(evaluate, trials=9, searcher="random")
        states = [t.state for t in result.trials]
        assert states == [*["done"] * 5, "pruned", "done", "pruned", "done"]
        assert result.trials[5].message == (
            "Pruned at step 0: its best report 11.9 is worse than the median 12 of other trials "
            "there."
        )

    def test_what_is_pruned_is_told_as_no_value(self, optimize, monkeypatch):
        told = {}
        from foretell.search import RandomSearch

        def remember(self, archs, values):
            told.update(zip(archs, values.tolist(), strict=True))

        monkeypatch.setattr(RandomSearch, "_tell", remember)

        def evaluate(arch, trial):
            trial.report(0, own.worth(arch))
            return own.worth(arch)

        result = optimize(evaluate, trials=20, searcher="random")
        for trial in result.trials:
            value = told[own.space.parse(trial.arch)]
            assert (value != value) == (trial.state == "pruned")

    def test_not_without_leave_nor_with_several_objectives(self, optimize):
        def evaluate(arch, trial):
            trial.report(0, own.worth(arch))
            return {"value": own.worth(arch), "joules": 1.0}

        for i, settings in enumerate(({"prune": False}, {"objectives": ("value", "joules")})):
            result = optimize(evaluate, trials=15, searcher="random", out=f"out{i}", **settings)
            assert {t.state for t in result.trials} == {"done"}

    @pytest.mark.parametrize("report", [(-1, 0.5), (0.5, 0.5), (0, float("nan")), (0, "high")])
    def test_reports_that_are_none(self, optimize, report):
        def evaluate(arch, trial):
            if trial.number:
                trial.report(*report)
            return 1.0

        result = optimize(evaluate, trials=2)
        assert [t.state for t in result.trials] == ["done", "failed"]
        assert result.trials[1].error in ("UsageError", "TypeError")


class TestFailures:
    def test_each_is_a_state_with_a_sentence(self, optimize, tmp_path):
        def evaluate(arch, trial):
            if trial.number == 1:
                raise ZeroDivisionError("no current")
            bad = {2: float("nan"), 3: None, 4: {"other": 1.0}, 5: {"value": "high"},
                   6: float("inf"), 7: {}}  # fmt: skip
            return bad.get(trial.number, own.worth(arch))

        result = optimize(evaluate, trials=10)
        assert [t.state for t in result.trials] == ["done", *["failed"] * 7, "done", "done"]
        messages = [(t.error, t.message) for t in result.trials[1:8]]
        assert messages == [
            ("ZeroDivisionError", "no current"),
            ("QuantityError", "value could not be measured: evaluate gave nan."),
            ("QuantityError", "value could not be measured: evaluate gave None, no number."),
            ("QuantityError", "value could not be measured: evaluate gave only other."),
            ("QuantityError", "value could not be measured: evaluate gave 'high', no number."),
            ("QuantityError", "value could not be measured: evaluate gave inf."),
            ("QuantityError", "value could not be measured: evaluate gave only nothing."),
        ]
        assert [r["value"] for r in rows(tmp_path / "out")][1:8] == [""] * 7
        assert not any(t.feasible or t.on_front for t in result.trials[1:8])

    def test_a_number_is_not_enough_for_two(self, optimize):
        with pytest.raises(SearchError) as caught:
            optimize(objectives=("value", "joules"), trials=2)
        assert "None of 2 trials succeeded" in str(caught.value)
        assert "value and joules could not be measured" in str(caught.value)
        assert "return a mapping with these names" in str(caught.value)

    def test_all_fail(self, optimize, tmp_path):
        def evaluate(arch):
            raise OSError("the board is off")

        with pytest.raises(SearchError, match=r"None of 3 trials succeeded.*OSError.*board is off"):
            optimize(evaluate, trials=3)
        assert [r["error"] for r in rows(tmp_path / "out")] == ["OSError"] * 3
        found = read(tmp_path / "out")
        assert found.winner is None
        assert found.state == "stopped"
        assert len(found.trials) == 3

    def test_none_is_feasible(self, optimize, tmp_path):
        with pytest.raises(SearchError) as caught:
            optimize(own.two, trials=4, constraints=("joules<=0.5",))
        assert "None of 4 trials keeps the constraints" in str(caught.value)
        assert "joules" in str(caught.value)
        assert "> 0.5" in str(caught.value)
        table = rows(tmp_path / "out")
        assert [r["state"] for r in table] == ["infeasible"] * 4
        assert all(r["violation"].startswith("joules ") for r in table)
        assert all(r["value"] for r in table)

    def test_some_are_feasible(self, optimize):
        result = optimize(own.two, trials=15, constraints=("joules<=3",), searcher="random",
                          prune=False)  # fmt: skip
        for trial in result.trials:
            assert trial.feasible == (trial.values["joules"] <= 3)
            assert bool(trial.violation) != trial.feasible
        allowed = [t for t in result.trials if t.feasible]
        assert 0 < len(allowed) < 15
        assert result.winner.arch == max(allowed, key=lambda t: t.values["value"]).arch

    @pytest.mark.parametrize(
        ("settings", "error", "word"),
        [
            ({"objectives": ("value", "value")}, UsageError, "stands twice"),
            ({"objectives": ("value", "min:value")}, UsageError, "stands twice"),
            ({"prefer": "joules"}, UnknownNameError, "choice of a winner"),
            ({"constraints": ("value<=90%ref",)}, ConstraintError, "bound value by a number"),
            ({"constraints": ("value<5",)}, ConstraintError, "<= or >="),
            ({"constraints": ("params<=90%ref",)}, ConstraintError, "bound params by a number"),
            ({"reference": "a=9"}, ArchError, "no architecture"),
            ({"constraints": ("value<=1", "value>=2")}, ConstraintError, "No value"),
            ({"searcher": "robot"}, UsageError, "take evolution, local or random"),
            ({"searcher": "evolutoin"}, UnknownNameError, "did you mean evolution"),
        ],
    )
    def test_what_cannot_run_leaves_nothing(self, optimize, tmp_path, settings, error, word):
        with pytest.raises(error, match=word):
            optimize(**settings)
        assert not (tmp_path / "out" / "study.db").exists()
        optimize(trials=2)  # the folder is as good as new

    @pytest.mark.parametrize(
        ("name", "error", "word"),
        [
            ("no_such.py:f", PluginError, "no file"),
            ("no_such_module:f", PluginError, "No module"),
            (f"{HERE / 'own_evaluation.py'}:space", UsageError, "is a CustomSpace, not a function"),
            (f"{HERE / 'own_evaluation.py'}:wroth", PluginError, "it has worth"),
            ("worth", UsageError, "in memory"),
            ("ask and tell", UsageError, "foretell.create_study"),
        ],
    )
    def test_functions_that_are_none(self, optimize, tmp_path, name, error, word):
        with pytest.raises(error, match=word):
            optimize(None, evaluate=name)
        assert not (tmp_path / "out" / "study.db").exists()

    @pytest.mark.parametrize(
        "settings",
        [
            {"trials": 0}, {"round": 0}, {"workers": -1}, {"seed": -1}, {"pool": 0},
            {"objectives": ()}, {"timeout": 1.0}, {"timeout": 0.0, "workers": 1},
        ],
    )  # fmt: skip
    def test_settings_out_of_range(self, settings):
        with pytest.raises(UsageError):
            OptimizeConfig(**settings)


class TestCosts:
    """A space whose networks have parameters, counted by hand."""

    def worth(self, arch):
        return float(sum(arch.genes))

    def test_early_constraints_are_checked_before_anything_is_evaluated(self, optimize):
        seen = []

        def evaluate(arch):
            seen.append(arch)
            return self.worth(arch)

        result = optimize(evaluate, own.networks, constraints=("params<=5k",), trials=20)
        every = {a: own.params_of(**own.networks.values(a)) for a in own.networks.enumerate()}
        assert set(seen) == {a for a, n in every.items() if n <= 5000}
        assert len(seen) == len(result.trials)
        assert {t.arch: t.params for t in result.trials} == {
            own.networks.format(a): every[a] for a in seen
        }
        assert all(t.feasible for t in result.trials)

    def test_costs_may_be_objectives(self, optimize):
        result = optimize(self.worth, own.networks, objectives=("value", "params"), trials=12)
        assert all(
            t.values["params"] == own.params_of(**own.networks.values(own.networks.parse(t.arch)))
            for t in result.trials
        )
        assert result.objectives[1].direction == "min"

    def test_shares_of_a_reference(self, optimize):
        settings = {"constraints": ("params<=90%ref",), "trials": 12}
        with pytest.raises(ConstraintError, match="none was given"):
            optimize(self.worth, own.networks, **settings)
        text = "width=16,depth=1"
        result = optimize(self.worth, own.networks, reference=text, **settings)
        limit = 0.9 * own.params_of(16, 1)
        every = [own.params_of(**own.networks.values(a)) for a in own.networks.enumerate()]
        assert sorted(t.params for t in result.trials) == sorted(n for n in every if n <= limit)

    def test_nothing_is_feasible(self, optimize, tmp_path):
        with pytest.raises(NoFeasibleArchError, match="params<=10 excluded most"):
            optimize(self.worth, own.networks, constraints=("params<=10",), trials=3)

    def test_without_networks_the_user_measures_costs(self, optimize):
        def evaluate(arch):
            return {"value": own.worth(arch), "params": 10.0 * arch.genes[0]}

        result = optimize(evaluate, constraints=("params<=20",), trials=10, searcher="random")
        assert {t.feasible for t in result.trials} == {True, False}
        assert all(t.feasible == (t.values["params"] <= 20) for t in result.trials)

    def test_what_cannot_be_built_has_no_cost(self, optimize, tmp_path):
        def build(*, input_shape, classes, width):
            if width == 8:
                raise RuntimeError("no such width")
            return own.build(input_shape=input_shape, classes=classes, width=width, depth=1)

        space = CustomSpace({"width": (4, 8, 16)}, build, name="fragile")
        result = optimize(self.worth, space, objectives=("value", "params"), trials=3)
        bad = next(t for t in result.trials if t.arch == "width=8")
        assert bad.state == "failed"
        assert "no such width" in bad.message
        assert bad.params != bad.params
        assert result.winner.arch != "width=8"
        plain = optimize(self.worth, space, trials=3, out="plain")  # nobody asks for its cost
        assert {t.state for t in plain.trials} == {"done"}
        assert next(r["params"] for r in rows(tmp_path / "plain") if r["arch"] == "width=8") == ""


class TestQuantitiesOfOnesOwn:
    """One that is known from the architecture alone, in a file."""

    @pytest.fixture
    def weight(self, tmp_path):
        path = tmp_path / "weight.py"
        path.write_text(
            "from foretell import Quantity\n"
            "from foretell.quantities import Stage\n"
            "def grams(subject):\n"
            "    width, depth = subject.arch.genes\n"
            "    if width == depth == 0:\n"
            "        raise ZeroDivisionError('nothing to weigh')\n"
            "    return float(10 * width + depth)\n"
            "weight = Quantity('weight', 'g', 'min', Stage.GRAPH, measure=grams)\n"
        )
        return f"{path}:weight"

    def test_it_bounds_before_anything_is_evaluated(self, optimize, weight):
        seen = []

        def evaluate(arch):
            seen.append(arch.genes)
            return float(sum(arch.genes))

        optimize(evaluate, own.networks, constraints=(f"{weight}<=12",), trials=12)
        assert sorted(seen) == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]

    def test_it_is_an_objective_and_its_failure_is_one_trials(self, optimize, weight):
        result = optimize(
            lambda arch: float(sum(arch.genes)), own.networks,
            objectives=("value", weight), trials=12,
        )  # fmt: skip
        assert len(result.trials) == 12
        for trial in result.trials:
            genes = own.networks.parse(trial.arch).genes
            if genes == (0, 0):
                assert trial.state == "failed"
                assert trial.message.endswith("ZeroDivisionError: nothing to weigh.")
            else:
                assert trial.values[weight] == 10 * genes[0] + genes[1]


class TestWorkers:
    def test_the_same_trials_in_two_processes(self, optimize, monkeypatch):
        settings = {"round": 3, "trials": 9, "objectives": ("value", "min:joules")}
        here = optimize(own.two, **settings)
        there = optimize(own.two, out="there", workers=2, **settings)
        assert [(t.arch, t.values) for t in here.trials] == [
            (t.arch, t.values) for t in there.trials
        ]
        assert here.winner.arch == there.winner.arch
        again = optimize(own.two, workers=2, **settings)  # of another number of workers: taken
        assert again.resumed.trials == 9

    def test_pruned_in_a_worker(self, optimize):
        """Reports come the way of results."""
        settings = {"trials": 10, "searcher": "random"}
        here = optimize(reports_worth, **settings)
        there = optimize(reports_worth, out="there", workers=1, **settings)
        assert "pruned" in {t.state for t in here.trials}
        assert [(t.state, t.message) for t in here.trials] == [
            (t.state, t.message) for t in there.trials
        ]

    def test_a_function_or_space_that_cannot_be_sent(self, optimize, tmp_path):
        with pytest.raises(UsageError) as caught:
            optimize(lambda arch: 1.0, workers=2)
        assert "The function cannot be sent to worker processes" in str(caught.value)
        assert "my_file.py:function, or take workers=0" in str(caught.value)
        space = CustomSpace({"width": (4, 8)}, lambda **choices: None, name="hidden")
        with pytest.raises(UsageError, match="The space cannot be sent to worker processes"):
            optimize(own.worth, space, workers=2)
        assert not (tmp_path / "out" / "study.db").exists()

    def test_a_function_in_a_file(self, optimize):
        name = f"{HERE / 'own_evaluation.py'}:worth"
        one = optimize(None, evaluate=name, trials=6)
        two = optimize(None, evaluate=name, trials=6, workers=2, round=1, out="two")
        assert [t.values for t in one.trials] == [t.values for t in two.trials]


def reports_worth(arch, trial):
    trial.report(0, own.worth(arch))
    return own.worth(arch)


class TestResuming:
    def test_the_same_call_runs_nothing_again(self, optimize, tmp_path):
        calls = []

        def evaluate(arch):
            calls.append(arch)
            return own.worth(arch)

        one = optimize(evaluate)
        table = (tmp_path / "out" / "trials.csv").read_bytes()
        again = optimize(evaluate)
        assert len(calls) == 12
        assert again.trials == tuple(_resumed(one.trials))
        assert again.resumed.trials == 12
        assert again.winner.arch == one.winner.arch
        assert (tmp_path / "out" / "trials.csv").read_bytes() == table

    def test_more_trials_keep_those_that_are_there(self, optimize):
        calls = []

        def evaluate(arch):
            calls.append(arch)
            return own.worth(arch)

        short = optimize(evaluate, trials=7)
        longer = optimize(evaluate, trials=15)
        assert len(calls) == len(set(calls)) == 15
        assert longer.trials[:7] == tuple(_resumed(short.trials))
        whole = optimize(own.worth, trials=15, out="whole")
        assert [t.arch for t in longer.trials] == [t.arch for t in whole.trials]
        fewer = optimize(evaluate, trials=3)
        assert (len(fewer.trials), len(calls)) == (3, 15)
        assert fewer.winner.number < 3

    def test_failed_trials_are_not_run_again(self, optimize):
        calls = []

        def evaluate(arch):
            calls.append(arch)
            if len(calls) == 2:
                raise OSError("the board is off")
            return own.worth(arch)

        one, again = optimize(evaluate, trials=4), optimize(evaluate, trials=4)
        assert len(calls) == 4
        assert again.trials[1].message == one.trials[1].message == "the board is off"

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"version": "2"}, "version '1', but '2'"),
            ({"seed": 1}, "seed 0, but 1"),
            ({"objectives": ("min:value",)}, "objectives"),
            ({"constraints": ("value>=1",)}, "constraints"),
            ({"searcher": "random"}, "searcher"),
            ({"round": 2}, "round"),
            ({"prune": False}, "prune"),
        ],
    )
    def test_what_changes_results_is_refused(self, optimize, change, word):
        optimize(version="1", trials=2)
        with pytest.raises(RunFolderError, match=word):
            optimize(**{"version": "1", "trials": 2, **change})
        optimize(version="1", trials=3)

    def test_another_function_or_space_is_refused(self, optimize):
        optimize(trials=2)
        with pytest.raises(RunFolderError, match=r"evaluate 'memory:worth', but 'memory:two'"):
            optimize(own.two, trials=2)
        other = CustomSpace({"a": tuple(range(6)), "b": tuple(range(1, 7)), "c": (0, 1, 2)},
                            name="own")  # fmt: skip
        with pytest.raises(RunFolderError, match="space fingerprint"):
            optimize(space=other, trials=2)

    def test_stopped_by_the_user(self, optimize, tmp_path):
        calls = []

        def evaluate(arch):
            calls.append(arch)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return own.worth(arch)

        with pytest.raises(KeyboardInterrupt):
            optimize(evaluate)
        found = read(tmp_path / "out")
        assert (found.state, len(found.trials), found.winner) == ("stopped", 3, None)
        assert "stopped by KeyboardInterrupt" in (tmp_path / "out" / "log.txt").read_text()
        result = optimize(evaluate)
        assert len(calls) == 13
        whole = optimize(own.worth, out="whole")
        assert [t.arch for t in result.trials] == [t.arch for t in whole.trials]

    def test_a_longer_run_that_was_stopped_is_not_finished(self, optimize, tmp_path):
        calls = []

        def evaluate(arch):
            calls.append(arch)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return own.worth(arch)

        optimize(evaluate, trials=3)
        assert read(tmp_path / "out").state == "finished"
        with pytest.raises(KeyboardInterrupt):
            optimize(evaluate, trials=10)
        assert read(tmp_path / "out").state == "stopped"
        assert optimize(evaluate, trials=10).state == read(tmp_path / "out").state == "finished"

    def test_a_folder_in_use(self, optimize, tmp_path):
        def evaluate(arch):
            with pytest.raises(RunFolderError, match="Another run is going on"):
                optimize(own.worth)
            return 1.0

        optimize(evaluate, trials=1)

    def test_a_function_that_was_in_memory(self, optimize, tmp_path, capsys):
        optimize(trials=2)
        code = cli("resume", str(tmp_path / "out"), "--quiet")
        assert code == 2
        assert "call foretell.optimize(...) with it again" in capsys.readouterr().err
        assert len(read(tmp_path / "out").trials) == 2

    def test_a_function_in_a_file_is_resumed_by_the_command(self, optimize, tmp_path, capsys):
        calls = []

        def stop(progress):
            calls.append(progress)
            if progress.done == 4 and progress.stage == "train":
                raise KeyboardInterrupt

        name = f"{HERE / 'own_evaluation.py'}:worth"
        config = OptimizeConfig(evaluate=name, trials=7)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "out", on_progress=stop)
        assert cli("report", str(tmp_path / "out")) == 0
        assert read(tmp_path / "out").state == "stopped"
        assert cli("resume", str(tmp_path / "out"), "--quiet") == 0
        result = read(tmp_path / "out")
        assert (result.state, len(result.trials)) == ("finished", 7)
        assert (tmp_path / "out" / "report.html").is_file()
        whole = run(config, tmp_path / "whole")
        assert [t.values for t in result.trials] == [t.values for t in whole.trials]


def _resumed(trials):
    from dataclasses import replace

    return [replace(t, resumed=True) for t in trials]


class TestReading:
    CODE = (
        "import sys; from foretell.studies.optimize.read import read; r = read(sys.argv[1]); "
        "assert 'torch' not in sys.modules; r.tables(); "
        "print(r.state, len(r.trials), r.winner.arch if r.winner else None)"
    )

    def look(self, folder):
        done = subprocess.run(
            [sys.executable, "-c", self.CODE, str(folder)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def test_running_stopped_and_finished_without_torch(self, optimize, tmp_path):
        seen = []

        def evaluate(arch, trial):
            if trial.number == 2:
                seen.append(self.look(tmp_path / "out"))
            if trial.number == 3 and len(seen) == 1:
                seen.append("")
                raise KeyboardInterrupt
            return own.worth(arch)

        with pytest.raises(KeyboardInterrupt):
            optimize(evaluate, trials=5)
        assert seen[0] == "running 2 None"
        assert self.look(tmp_path / "out") == "stopped 3 None"
        result = optimize(evaluate, trials=5)
        assert self.look(tmp_path / "out") == f"finished 5 {result.winner.arch}"
        found = read(tmp_path / "out")
        assert (found.trials, found.winner) == (result.trials, result.winner)
        assert (found.settings, found.stages) == (result.settings, result.stages)

    def test_reading_changes_nothing(self, optimize, tmp_path):
        optimize(trials=2)
        before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}
        read(tmp_path / "out")
        assert {p: p.read_bytes() for p in before} == before

    def test_folders_that_hold_none(self, tmp_path):
        with pytest.raises(RunFolderError, match="holds no study"):
            read(tmp_path)
        for kind, word in (("search", "holds a study 'search', but"), ("optimize", "as it began")):
            folder = tmp_path / kind
            folder.mkdir()
            with Store(folder / "study.db") as store:
                store.put_study(kind, {})
            with pytest.raises(RunFolderError, match=word):
                read(folder)


class TestScripts:
    """As users write them: function and space in the script that is run."""

    SCRIPT = (
        "import sys\n"
        "import foretell\n"
        "from foretell.spaces import CustomSpace\n"
        "space = CustomSpace({'a': (1, 2, 3), 'b': (1, 2, 3)}, name=sys.argv[2])\n"
        "def evaluate(arch, trial):\n"
        "    return trial.values['a'] * trial.values['b']\n"
        "if __name__ == '__main__':\n"
        "    result = foretell.optimize(evaluate, space, trials=6, round=2, workers=2,\n"
        "                               out=sys.argv[1])\n"
        "    print(result.space, len([t for t in result.trials if t.state == 'done']))\n"
    )

    @pytest.mark.parametrize(("name", "shown"), [("mine", "mine"), ("nb201", "memory:nb201")])
    def test_two_workers(self, tmp_path, name, shown):
        (tmp_path / "mine.py").write_text(self.SCRIPT)
        command = [sys.executable, "mine.py", "out", name]
        for _ in range(2):
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout.split() == [shown, "6"]
