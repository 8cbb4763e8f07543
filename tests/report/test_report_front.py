"""Several objectives on the page: the front, its units, and what breaks a limit."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from rich.console import Console

from conftest import ACCURACY, LATENCY
from foretell.report import ConstraintRow, ObjectiveRow, figures, render, summary
from foretell.report.html.charts import scale
from foretell.report.html.format import inline, quantity, stacked
from foretell.report.search import plots, tables
from foretell.report.search.front import columns_of, front_info, front_plot, lines_plot

NASTY = "</script><img src=x onerror=alert(1)>{{7*7}}"
pytestmark = pytest.mark.usefixtures("light")


def shown(run):
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(summary(run))
    return console.export_text()


def dominated(row, others, signs):
    """Whether some other row is nowhere worse and somewhere better, by the definition."""
    return any(
        all(s * b >= s * a for a, b, s in zip(row, other, signs, strict=True))
        and any(s * b > s * a for a, b, s in zip(row, other, signs, strict=True))
        for other in others
    )


class TestInfo:
    @pytest.mark.parametrize(("name", "signs"), [("two", (1, -1)), ("three", (1, -1, 1))])
    def test_the_front_is_what_no_feasible_trial_beats(self, request, name, signs):
        info = front_info(request.getfixturevalue(name))
        rows = [info.values[i] for i in np.flatnonzero(info.feasible)]
        for i in range(len(info.trials)):
            alone = info.feasible[i] and not dominated(info.values[i], rows, signs)
            assert info.front[i] == alone
        assert info.front.sum() > 2
        assert info.front[info.winner]

    def test_the_main_objective_comes_first(self, two):
        turned = replace(two, objectives=two.objectives[::-1])
        assert [o.name for o in front_info(turned).objectives] == ["accuracy", LATENCY.name]
        assert columns_of(turned) == (LATENCY,)
        assert tables.main_objective(turned).label == "Validation accuracy"

    def test_trials_without_a_value_are_counted(self, two):
        info = front_info(two)
        failed = [t for t in two.trials if t.state in ("not_finite", "timed_out")]
        assert info.without == len(failed) == 3
        assert len(info.trials) == 37

    def test_what_was_not_trained_since_it_broke_a_limit_is_listed(self, two):
        """A limit on the latency is known before the training, so there is no accuracy then."""
        rows = tuple(
            replace(t, values={LATENCY.name: 2.5e-3}, val_accuracy=math.nan, state="infeasible",
                    feasible=False, on_front=False, violation="latency 0.0025s > 0.0016s")
            if t.number in (3, 20)
            else t
            for t in two.trials
        )  # fmt: skip
        changed = replace(two, trials=rows)
        info = front_info(changed)
        assert (~info.complete).sum() == 2
        page = Page(render(changed))
        assert "2 of them did so before being trained" in page.text
        assert "breaks a limit: latency@onnxruntime 2.5 ms > 1.6 ms" in page.text
        assert "2.5 ms" in page.data
        assert tables.hero_info(changed).failed == 3
        everything = replace(two, trials=rows[3:4], winner=None)
        page = Page(render(everything))
        assert "front-1" not in page.figures
        assert "none of 1 trial kept every limit" in page.text
        assert "No trial kept every limit." in page.text

    def test_nothing_was_trained(self, two):
        page = Page(render(replace(two, trials=(), winner=None)))
        assert "No trial has a value of both." in page.text
        assert "front-1" not in page.figures


class TestOutcomes:
    def test_what_breaks_a_limit_is_neither_trained_nor_failed(self, two):
        hero = tables.hero_info(two)
        broken = [t for t in two.trials if t.state == "infeasible"]
        assert (hero.trained, hero.failed, hero.infeasible) == (35, 3, 2)
        assert len(broken) == 2
        assert [r.error for r in tables.failure_info(two)] == [
            "NonFiniteLossError", "ModuleRaisedError", "TimeoutError",
        ]  # fmt: skip

    def test_it_is_never_the_best_so_far(self, two):
        rows = tuple(
            replace(t, val_accuracy=1.0, values={**t.values, "accuracy": 1.0})
            if t.state == "infeasible"
            else t
            for t in two.trials
        )
        changed = replace(two, trials=rows)
        assert np.nanmax(tables.progress_info(changed).best) < 1
        assert not (tables.pareto_info(changed).accuracy == 1).any()
        drawn = plots.progress_plot(tables.progress_info(changed))
        hollow = next(t for t in drawn["data"] if t["name"] == "breaks a limit")
        assert len(hollow["x"]) == 2

    def test_ended_early_is_no_failure(self, run):
        trials = tuple(replace(t, state="pruned") if t.number < 3 else t for t in run.trials)
        hero = tables.hero_info(replace(run, trials=trials))
        assert (hero.pruned, hero.trained, hero.failed) == (3, 34, 3)
        assert "3 ended early" in Page(render(replace(run, trials=trials))).text

    def test_no_feasible_trial_is_a_sentence(self, two):
        rows = tuple(
            replace(t, state="infeasible", feasible=False, violation="latency 2ms > 1ms")
            for t in two.trials
        )
        page = Page(render(replace(two, trials=rows, winner=None)))
        assert "There is no winner, because none of 40 trials kept every limit." in page.text

    @pytest.mark.parametrize(("state", "words"), [("running", "is still running"),
                                                  ("stopped", "was stopped before its end"),
                                                  ("finished", None)])  # fmt: skip
    def test_a_page_says_whether_the_search_ended(self, run, state, words):
        text = Page(render(replace(run, state=state))).text
        for each in ("is still running", "was stopped before its end"):
            assert (each in text) == (each == words)


class TestPage:
    def test_one_objective_has_no_front(self, run):
        single = replace(run, objectives=(ACCURACY,))
        assert render(single) == render(run)
        assert "front-1" not in figures(single)

    def test_values_units_and_violations(self, two):
        page = Page(render(two))
        assert ("section", {"id": "front"}) in page.tags
        winner = next(t for t in two.trials if t.number == two.winner.number)
        latency = 1e6 * winner.values[LATENCY.name]
        for words in (
            "The winner is its knee", "2 trials broke a limit and cannot win",
            "3 trials have no value of some objective", "Latency@onnxruntime (lower is better)",
            "not the same when measured again: latency@onnxruntime", f"{latency:.0f} µs",
            "Better is up and left", "breaks a limit: latency@onnxruntime", "limit 1.6 ms",
            "2 outside the limits", "as the knee of the front",
        ):  # fmt: skip
            assert words in page.text or words in page.data, words

    def test_a_named_preference(self, two):
        text = Page(render(replace(two, preferred=LATENCY.name))).text
        assert "The winner is the one of the front with the best latency@onnxruntime." in text
        assert "from the front by latency@onnxruntime" in text

    def test_three_objectives_are_lines_and_pairs(self, three):
        drawn = figures(three)
        assert {"front-lines", "front-1", "front-2"} <= set(drawn)
        info = front_info(three)
        heights = {t["name"]: t["y"] for t in drawn["front-lines"]["data"]}
        low, high = info.values.min(axis=0), info.values.max(axis=0)
        row = (info.values[info.winner] - low) / (high - low)
        assert heights["winner"][:3] == pytest.approx([row[0], 1 - row[1], row[2]], abs=1e-6)

    def test_every_trial_is_drawn_once_and_the_front_is_joined(self, two):
        info = front_info(two)
        traces = {t["name"]: t for t in front_plot(info, 1)["data"]}
        assert sum(len(traces[n]["x"]) for n in ("breaks a limit", "trained", "front")) == 37
        step = traces["front"]
        assert step["line"]["shape"] == "hv"
        assert list(step["x"]) == sorted(1e3 * info.values[info.front, 1])
        assert traces["winner"]["x"] == [1e3 * info.values[info.winner, 1]]
        assert list(traces["breaks a limit"]["marker"]["color"]) == list("@card")

    def test_steps_go_down_first_where_more_of_both_is_better(self, three):
        objectives = (three.objectives[0], three.objectives[2])
        info = front_info(replace(three, objectives=objectives))
        front = next(t for t in front_plot(info, 1)["data"] if t["name"] == "front")
        assert front["line"]["shape"] == "vh"

    def test_limits_that_are_out_of_sight_are_not_drawn(self, two):
        far = ConstraintRow("latency@onnxruntime<=1s", LATENCY.name, 1.0)
        assert front_plot(front_info(replace(two, constraints=(far,))), 1)["layout"]["shapes"] == []
        low = ConstraintRow("accuracy>=96%", "accuracy", None, 0.96)
        line = front_plot(front_info(replace(two, constraints=(low,))), 1)["layout"]["shapes"][0]
        assert line["y0"] == line["y1"] == 0.96

    def test_a_constant_objective_is_drawn_in_the_middle(self, three):
        rows = tuple(replace(t, values={**t.values, "pgd@8": 0.5}) for t in three.trials)
        drawn = lines_plot(front_info(replace(three, trials=rows)))
        assert all(t["y"][2] == 0.5 for t in drawn["data"])

    def test_nasty_names_stay_text(self, two):
        odd = ObjectiveRow(NASTY, NASTY, "min", False, NASTY)
        rows = tuple(
            replace(t, values={**t.values, NASTY: 1.0 + t.number}, violation=NASTY, arch=NASTY)
            for t in two.trials
        )
        for objectives in ((ACCURACY, odd), (odd, ACCURACY, LATENCY), (odd,)):
            changed = replace(two, objectives=objectives, trials=rows, preferred=NASTY)
            page = Page(render(changed))
            assert not [a for t, a in page.tags if t == "img" or any(k.startswith("on") for k in a)]
            assert "<img" not in str(page.figures)
            assert "{{7*7}}" in page.text


class TestOwnEvaluation:
    def test_less_may_be_better(self, own):
        info = tables.progress_info(own)
        values = [t.values.get("energy", math.inf) for t in own.trials]
        assert info.best[-1] == min(values)
        assert (np.diff(info.best[np.isfinite(info.best)]) <= 0).all()
        assert info.trials[info.winner].values["energy"] == min(values)

    def test_the_page_speaks_of_it(self, own):
        page = Page(render(own))
        for words in ("Best energy", "0.2 J", "27 networks were evaluated, 3 failed.", "by energy"):
            assert words in page.text, words
        for words in ("Test accuracy", "Under attack", "proxies knew", "validation images"):
            assert words not in page.text, words
        assert page.figures["progress-trials"]["layout"]["yaxis"]["title"]["text"] == "Energy (J)"

    def test_outliers_are_drawn_at_the_upper_edge(self, own):
        rows = tuple(
            replace(t, values={"energy": 50.0}) if t.number == 3 else t for t in own.trials
        )
        drawn = plots.progress_plot(tables.progress_info(replace(own, trials=rows)))
        above = next(t for t in drawn["data"] if t["name"] == "above the axis")
        low, high = drawn["layout"]["yaxis"]["range"]
        assert low < above["y"][0] < high < 2

    def test_an_evaluation_without_a_number_is_a_failure(self, own):
        rows = tuple(replace(t, values={}) if t.number == 0 else t for t in own.trials)
        found = tables.failure_info(replace(own, trials=rows))
        assert ("evaluation", "no energy") in {(r.stage, r.error) for r in found}

    def test_the_terminal_needs_no_task(self, own):
        assert "0.2 J energy" in shown(own)
        assert "27 of 30 networks" in shown(own)

    def test_the_terminal_shows_every_objective(self, two):
        text = shown(two)
        winner = next(t for t in two.trials if t.number == two.winner.number)
        assert quantity(winner.values[LATENCY.name], "s") in text
        for words in ("7 of 35 trials, winner: knee", "2 outside the limits"):
            assert words in text


class TestUnits:
    @pytest.mark.parametrize(
        ("value", "unit", "text"),
        [
            (0.0012, "s", "1.2 ms"), (81e-6, "s", "81 µs"), (1.5, "s", "1.5 s"),
            (102, "s", "1 min 42 s"), (0.9996e-3, "s", "1 ms"), (0.9312, "fraction", "93.12 %"),
            (2048, "bytes", "2 KiB"), (71_234, "count", "71.2k"), (-1.25, "J", "−1.25 J"),
            (0.5, "", "0.5"), (math.nan, "s", "–"), (math.inf, "count", "–"),
        ],
    )  # fmt: skip
    def test_quantities(self, value, unit, text):
        assert quantity(value, unit) == text

    @pytest.mark.parametrize(
        ("values", "unit", "factor", "suffix"),
        [
            ([0.0012, 0.2], "s", 1e3, "ms"), ([2e-6], "s", 1e6, "µs"), ([3, math.nan], "s", 1, "s"),
            ([600.0], "s", 1 / 60, "min"), ([4096], "bytes", 1 / 1024, "KiB"),
            ([0.9], "fraction", 1, ""), ([5e6], "count", 1, ""), ([5], "J", 1, "J"),
            ([], "s", 1e6, "µs"),
        ],
    )  # fmt: skip
    def test_axes(self, values, unit, factor, suffix):
        found = scale(values, unit)
        assert found.factor == pytest.approx(factor)
        assert found.suffix == suffix
        assert found.title("<b>") == ("&lt;b&gt;" + (f" ({suffix})" if suffix else ""))

    def test_labels(self):
        assert inline("Latency@torch") == "latency@torch"
        assert inline("PGD@8") == "PGD@8"
        assert stacked("Latency@<b>torch") == "Latency<br>@&lt;b&gt;torch"
        assert stacked("Validation") == "Validation"
