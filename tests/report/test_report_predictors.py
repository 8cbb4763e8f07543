"""The report of an evaluation of predictors: complete, escaped, true to its figures, printable."""

import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from html_page import Page
from rich.console import Console

from foretell.errors import RunFolderError
from foretell.report.evaluate_predictors.names import names, notes, seconds, spread_text, tau
from foretell.report.evaluate_predictors.page import (
    predictors_figures,
    render_predictors,
    write_predictors,
)
from foretell.report.evaluate_predictors.terminal import predictors_summary
from foretell.studies.evaluate_predictors.fit import METRICS
from foretell.studies.evaluate_predictors.study import (
    FitFailure,
    Method,
    PredictorEvaluation,
    Spread,
)
from foretell.studies.evaluation.facts import TargetInfo

NASTY = "</script><img src=x onerror=alert(1)>{{7*7}}"


def make(methods=None, sizes=(16, 32, 128), seeds=(100, 101, 102), targets=2, failures=()):
    """An evaluation with made-up figures."""
    methods = methods or (
        Method("gp", "graf+onehot"),
        Method("gp", "onehot"),
        Method("random_forest", "graf+onehot"),
        Method("params"),
        Method("best proxy"),
    )
    shape = (targets, len(methods), len(sizes), len(seeds))
    rng = np.random.default_rng(0)
    values = rng.uniform(0.3, 0.9, size=(len(METRICS), *shape))
    free = [m.baseline for m in methods]
    for name in ("r2", "mae", "rmse", "sparse_kendall_1", "sparse_kendall_2", "coverage", "width"):
        values[METRICS.index(name)][:, free] = np.nan
    for failure in failures:
        t = int(failure.target[-1])
        place = (sizes.index(failure.size), seeds.index(failure.seed))
        values[:, t, failure.method, *place] = np.nan
    units = ("fraction", "nats")
    info = [
        TargetInfo(
            f"digits/target_{t}", "digits", units[t % 2], t % 2 == 1, 9, (1, 2), 500, 0.9, ""
        )
        for t in range(targets)
    ]
    return PredictorEvaluation(
        benchmark="small", space="nb201", n=500, total=600, population="alive", order="row",
        split="sklearn", test=None, level=0.9, confidence=0.95, targets=tuple(info),
        methods=methods, sizes=sizes, seeds=seeds, metrics=METRICS, values=values,
        tests=np.array([[500 - n for n in sizes]] * targets), proxies=("nwot", "zen"),
        encoding_seconds={m.encodings: 0.2 for m in methods if m.encodings},
        failures=tuple(failures),
        reused=4, fits=math.prod(shape), notes=("A note on the table.",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return make(
        failures=(
            FitFailure("digits/target_0", 1, 128, 101, "timed_out", "TimeoutError", "Too slow."),
            FitFailure("digits/target_0", 1, 128, 102, "timed_out", "TimeoutError", "Too slow."),
            FitFailure("digits/target_1", 2, 16, 100, "failed", "PredictorError", "Too few."),
        )
    )


@pytest.fixture(scope="module")
def bare():
    """One method, size and seed, no baseline, and no figure at all."""
    one = make((Method("gp", "onehot"),), sizes=(20,), seeds=(100,), targets=1)
    return replace(
        one, values=np.full_like(one.values, np.nan), level=0.0, order="", split="own", notes=()
    )


@pytest.fixture(scope="module")
def nasty():
    methods = (Method(NASTY, NASTY), Method("gp", "onehot"), Method("params"))
    failure = FitFailure("digits/target_0", 0, 16, 100, "failed", NASTY, NASTY)
    return replace(make(methods, failures=(failure,)), benchmark=NASTY, notes=(NASTY,))


@pytest.mark.usefixtures("light")
class TestPage:
    def test_every_chart_has_a_place(self, found):
        page = Page(render_predictors(found))
        places = {a["id"] for _, a in page.tags if a.get("class") == "plot"}
        assert places == set(page.figures) == {"curve-0", "time-0", "curve-1", "time-1"}

    def test_says_what_every_number_is_of(self, found):
        page = Page(render_predictors(found, "foretell evaluate predictors small"))
        for text in (
            "Predictors on small", "500 of 600 networks (alive)", "scikit-learn's splits of the "
            "rows by row", "3 seeds (100 to 102)", "372 to 484 others", "95% t intervals",
            "foretell evaluate predictors small", "no model", "nwot, zen", "Lower is better",
            "A note on the table.", "2 of 90 fits: gp, onehot timed out (TimeoutError)",
            "digits/target_1, n = 16, seed 100", "4 of 90 fits were made by an earlier call.",
        ):  # fmt: skip
            assert text in page.text, text

    def test_tables_hold_means_in_their_order(self, found):
        page = Page(render_predictors(found))
        best = found.best(0, 2)
        assert tau(found.spread("kendall", 0, best, 2).mean) in page.text
        for m in range(len(found.methods)):
            spread = found.spread("spearman", 1, m, 0)
            assert tau(spread.mean) in page.text
            rank = found.ranks().mean(axis=0)[m]
            assert f"{rank.mean():.1f}" in page.text
        assert "MAE" in page.text
        shown = found.spread("mae", 0, 0, 2).mean
        assert f"{100 * shown:.2f} %" in page.text

    def test_nothing_breaks_out(self, nasty):
        page = Page(render_predictors(nasty, NASTY))
        assert not [a for tag, a in page.tags if tag == "img"]
        assert "49" not in page.text.split("Run it again")[1].split("Settings")[0]
        assert sum(tag == "script" for tag, _ in page.tags) == 3

    def test_without_a_figure(self, bare):
        page = Page(render_predictors(bare))
        assert page.figures["curve-0"]["data"] == page.figures["time-0"]["data"] == []
        assert "Failures" not in page.text
        assert "no baseline was asked for" in page.text
        assert "(100) of splits" in page.text


class TestFigures:
    def test_curves_are_means_with_bands_of_the_intervals(self, found):
        drawn = predictors_figures(found)["curve-0"]
        lines = [t for t in drawn["data"] if "markers" in t["mode"]]
        bands = [t for t in drawn["data"] if t.get("fill") == "toself"]
        assert [t["name"] for t in lines] == list(names(found).full)
        for m, line in enumerate(lines):
            means = [found.spread("kendall", 0, m, s).mean for s in range(3)]
            assert line["y"] == pytest.approx(means, rel=1e-5)
            assert line["x"] == [16, 32, 128]
        assert len(bands) == 3  # sizes learn nothing, so that they have none
        lows = [found.spread("kendall", 0, 0, s).low for s in range(3)]
        assert bands[0]["y"][:3] == pytest.approx(lows, rel=1e-5)
        assert drawn["layout"]["xaxis"]["type"] == "log"
        once = [t for t in bands if len(t["x"]) == 4]
        assert len(once) == 1  # one seed is left of gp, onehot at 128: no interval there

    def test_looks_differ(self):
        methods = (*(Method(f"p{i}", "onehot") for i in range(12)), Method("params"))
        drawn = predictors_figures(make(methods))["curve-0"]["data"]
        looks = [
            (t["line"]["color"], t["line"]["dash"], t["marker"]["symbol"])
            for t in drawn
            if "markers" in t["mode"]
        ]
        assert len(set(looks)) == 13

    def test_of_many_methods_the_best_have_bands(self, light):
        methods = (*(Method(f"p{i}", "onehot") for i in range(7)), Method("params"))
        many = make(methods)
        drawn = predictors_figures(many)["curve-1"]["data"]
        bands = [t for t in drawn if t.get("fill") == "toself"]
        best = [m for m in many.by_mean(1, 2) if m < 7][:4]
        lows = sorted(many.spread("kendall", 1, m, 2).low for m in best)
        assert sorted(t["y"][2] for t in bands) == pytest.approx(lows, rel=1e-5)
        assert "bands, of the 4 best, and" in Page(render_predictors(many)).text

    def test_times_leave_out_what_learns_nothing(self, found):
        drawn = predictors_figures(found)["time-1"]
        assert [t["name"] for t in drawn["data"]] == list(names(found).full[:3])
        spent = [found.spread("fit_seconds", 1, 0, s).mean for s in range(3)]
        assert drawn["data"][0]["x"] == pytest.approx(spent, rel=1e-5)
        free = max(found.spread("kendall", 1, m, 2).mean for m in (3, 4))
        assert drawn["layout"]["shapes"][0]["y0"] == pytest.approx(free, rel=1e-5)


class TestWords:
    def test_names_are_short_where_inputs_are_the_same(self, found):
        assert names(found).full[0] == "gp, graf+onehot"
        alike = make((Method("gp", "onehot"), Method("params")))
        assert names(alike).full == ("gp", "params ◆")
        assert not names(alike).encodings

    def test_notes_count_failures_and_say_which_sizes_have_no_intervals(self, found):
        said = notes(found)
        assert sum("timed out (TimeoutError)" in s for s in said) == 1
        assert not any("intervals need" in s for s in said)
        small = notes(replace(found, sizes=(8, 32, 128)))
        assert "90% intervals need 9 networks to learn from: smaller train sets have none." in small

    @pytest.mark.parametrize(
        ("value", "text"), [(-0.0004, ".000"), (-1.0, "−1.000"), (0.12345, ".123")]
    )
    def test_coefficients(self, value, text):
        assert tau(value) == text

    def test_spreads_and_seconds(self):
        assert spread_text(Spread(np.nan, np.nan, np.nan, np.nan, 0)) == "–"
        assert seconds(1234.5) == "1234"
        assert seconds(0.25) == "0.25"


class TestTerminal:
    def say(self, found, width=100):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(predictors_summary(found))
        return console.export_text()

    def test_every_method_and_target(self, found):
        text = self.say(found)
        for words in ("digits/target_0", "digits/target_1", "Encodings: A graf+onehot, B onehot",
                      "gp A", "gp B", "random_forest A", "params ◆", "cover", "failed",
                      "A note on the table."):  # fmt: skip
            assert words in text, words
        for m in range(len(found.methods)):
            assert spread_text(found.spread("kendall", 0, m, 1)) in text

    @pytest.mark.parametrize("width", [60, 80, 160])
    def test_fits_a_terminal(self, found, width):
        assert max(map(len, self.say(found, width).splitlines())) <= width

    def test_texts_are_no_markup_and_nothing_known_is_no_error(self, bare, nasty):
        assert "[bold]x" in self.say(replace(bare, benchmark="[bold]x"))
        assert NASTY in self.say(nasty, 200)
        assert "cover" not in self.say(bare)


class TestFiles:
    @pytest.mark.usefixtures("light")
    def test_tables_and_page(self, found, tmp_path):
        files, left_out = write_predictors(found, tmp_path / "new")
        assert [f.name for f in files] == ["report.html", "results.csv", "fits.csv", "failures.csv"]
        assert left_out == ()
        with (tmp_path / "new" / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [r["kendall"] for r in rows] == [str(v) for v in found.cells()["kendall"]]
        with (tmp_path / "new" / "failures.csv").open() as file:
            assert [r["error"] for r in csv.DictReader(file)] == [f.error for f in found.failures]

    def test_without_plotly_the_tables_are_there(self, found, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
        files, left_out = write_predictors(found, tmp_path)
        assert len(files) == 3
        assert "foretell[report]" in left_out[0]

    def test_a_folder_that_cannot_be_is_a_typed_error(self, found, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="--out"):
            write_predictors(found, tmp_path / "file")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["found", "bare", "nasty"])
def test_fits_draws_and_stays_silent(browser, tmp_path, request, which):
    path = tmp_path / "page.html"
    path.write_text(render_predictors(request.getfixturevalue(which), "foretell " + "x" * 200))
    browser.open(path, 1280)
    for width in (1280, 390):
        browser.resize(width)
        assert browser.run("document.documentElement.scrollWidth") == width
    methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [e for e in browser.events if e["method"] in methods] == []
    loaded = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e["method"] == "Network.requestWillBeSent"
    ]
    assert {u for u in loaded if not u.startswith("data:")} == {path.as_uri()}
