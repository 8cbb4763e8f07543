"""The report of a prediction: complete, escaped, true to its arrays, readable at any width."""

import csv
import io
import json
import re
import sys
from dataclasses import dataclass, replace
from html import unescape

import numpy as np
import pytest
from html_page import Page
from rich.console import Console

from foretell.errors import RunFolderError
from foretell.metrics import mae
from foretell.report.predict.page import prediction_figures, render_prediction, write_prediction
from foretell.report.predict.terminal import explanation_summary
from foretell.report.predict.units import Unit, unit_of
from foretell.spaces import NB201, get_space
from foretell.studies.predict.explain import explain_ranking
from foretell.studies.predict.study import PredictConfig, predict_values

NASTY = "</script><img src=x onerror=alert(1)>{{7*7}}"


@dataclass(frozen=True)
class NastySpace(NB201):
    """Texts that try to become HTML."""

    name: str = NASTY

    def format(self, arch):
        return NASTY + super().format(arch)

    def edit(self, before, after):
        return NASTY + super().edit(before, after)

    def gene_name(self, index):
        return f"{NASTY} {index}"


def make(config, n=60, pool=90, space=None, explained=1):
    space = space or get_space("nb201")
    rng = np.random.default_rng(5)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(n + 2 * pool)))
    params = space.costs(archs[:n], space.skeleton()).live_params
    y = 0.6 + 0.05 * np.log10(params + 1) + 0.003 * rng.normal(size=n)
    ranking = predict_values(space, archs[:n], y, archs[n : n + pool], config)
    return ranking, explain_ranking(ranking, explained, repeats=2)


@pytest.fixture(scope="module")
def full():
    return make(PredictConfig("gp", target="accuracy", bounds=(0, 1)), explained=2)


@pytest.fixture(scope="module")
def auto():
    return make(PredictConfig(encodings="costs+onehot", target="top1"), n=25, pool=30)


@pytest.fixture(scope="module")
def bare():
    """No interval, no uncertainty, no contribution, no importance, no candidate."""
    ranking, found = make(
        PredictConfig("lightgbm", level=0.0, higher_is_better=False), n=12, pool=3
    )
    left_out = ("Contributions of families: nothing there.", "Permutation importance: too few.")
    first = replace(found.explained[0], families=np.empty(0), rest=float("nan"), edits=())
    return ranking, replace(
        found, contributions=None, importance=None, tables=None, left_out=left_out, refitted=True,
        explained=(first,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def nasty():
    config = PredictConfig("bayes_linear", encodings="onehot", target=NASTY)
    return make(config, n=30, pool=12, space=NastySpace())


@pytest.mark.usefixtures("light")
class TestPage:
    @pytest.mark.parametrize(
        ("name", "charts"),
        [
            ("full", {"best", "pool", "measured", "calibration", "strip", "families",
                      "reasons-0", "reasons-1", "importance"}),
            ("auto", {"best", "pool", "measured", "calibration", "strip", "families",
                      "reasons-0", "importance"}),
            ("bare", {"best", "pool", "measured"}),
        ],
    )  # fmt: skip
    def test_every_chart_has_a_place(self, request, name, charts):
        ranking, found = request.getfixturevalue(name)
        page = Page(render_prediction(ranking, found))
        places = {a["id"] for _, a in page.tags if a.get("class") == "plot"}
        assert places == set(page.figures) == set(prediction_figures(ranking, found)) == charts

    def test_says_what_every_number_is_of(self, full):
        ranking, found = full
        text = Page(render_prediction(ranking, found, "foretell predict x.csv")).text
        best = found.explained[0]
        for words in (
            "Prediction of accuracy on nb201", "learned from 60 measured", "90 ranked",
            "gp on graf+costs+onehot", "foretell predict x.csv", "0 to 1", "seed 0",
            f"{ranking.held_out.value:.3f}", f"{ranking.baseline.value:.3f}",
            f"{100 * ranking.mean[0]:.2f} %", "gp was asked for; nothing was chosen",
            f"{100 * float(mae(ranking.learned.mean, ranking.learned.values)):.2f} points",
            best.edits[0].words.replace("->", "→"), "they repeat them with R2",
            "convolutions with a kernel above 1", "The best", "Number 2",
        ):  # fmt: skip
            assert words in text, words

    def test_drawn_numbers_are_those_of_the_ranking(self, full):
        ranking, found = full
        figures = Page(render_prediction(ranking, found)).figures
        best = figures["best"]["data"][0]
        assert np.allclose(best["y"], 100 * ranking.mean[:30], rtol=1e-6)
        high = np.array(best["y"]) + best["error_y"]["array"]
        assert np.allclose(high, 100 * ranking.high[:30], atol=1e-4)
        assert figures["best"]["data"][1]["y"][0] == pytest.approx(
            100 * ranking.learned.values.max()
        )
        assert np.allclose(figures["pool"]["data"][-1]["y"], 100 * ranking.mean, rtol=1e-6)
        drawn = sum(len(t["x"]) for t in figures["measured"]["data"][1:])
        assert drawn == ranking.measured
        shares = found.contributions
        order = shares.order()[:12]
        names = [unescape(name) for name in figures["families"]["data"][0]["y"]]
        assert names == [shares.families[k] for k in order]
        assert np.allclose(figures["families"]["data"][0]["x"], 100 * shares.size[order], rtol=1e-5)
        drops = found.importance
        assert np.allclose(
            figures["importance"]["data"][0]["x"], drops.mean[drops.order()[:12]], atol=1e-6
        )

    def test_the_steps_lead_from_the_average_to_the_prediction(self, full):
        ranking, found = full
        trace = Page(render_prediction(ranking, found)).figures["reasons-1"]["data"][0]
        assert trace["base"][0] == pytest.approx(100 * found.contributions.base, rel=1e-5)
        ends = np.array(trace["base"]) + trace["x"]
        assert np.allclose(trace["base"][1:], ends[:-1], rtol=1e-5)
        assert ends[-1] == pytest.approx(100 * found.explained[1].mean, rel=1e-5)

    def test_calibration_is_counted(self, full):
        ranking, found = full
        line = Page(render_prediction(ranking, found)).figures["calibration"]["data"][1]
        at = line["x"].index(0.5)
        mean, std = ranking.fitted.held_out.mean, ranking.learned.std
        inside = np.abs(ranking.learned.values - mean) <= 0.6744897501960817 * std
        assert line["y"][at] == pytest.approx(inside.mean())

    def test_what_was_chosen(self, auto):
        ranking, found = auto
        text = Page(render_prediction(ranking, found)).text
        assert ranking.candidates
        for one in ranking.candidates:
            assert one.name in text
            assert f"{one.kendall:.3f}".replace("-", "−") in text

    def test_what_is_not_there_is_said(self, bare):
        ranking, found = bare
        text = Page(render_prediction(ranking, found)).text
        for words in (
            "Left out: Contributions of families", "Left out: Permutation importance",
            "No intervals were asked for", "without an interval", "fitted once more",
            "0 edits",
        ):  # fmt: skip
            assert words in text, words

    def test_a_predictor_worse_than_parameters_is_warned_of(self, full):
        ranking, found = full
        warned = "do not trust this ranking"
        assert warned not in Page(render_prediction(ranking, found)).text
        worse = replace(ranking, held_out=replace(ranking.held_out, value=0.1))
        assert warned in Page(render_prediction(worse, found)).text
        unknown = replace(ranking, held_out=replace(ranking.held_out, value=float("nan")))
        assert warned in Page(render_prediction(unknown, found)).text

    def test_nasty_names_stay_text(self, nasty):
        html = render_prediction(*nasty, NASTY)
        page = Page(html)
        assert not [a for t, a in page.tags if t == "img" or any(k.startswith("on") for k in a)]
        assert "{{7*7}}" in page.text
        allowed = {"b", "br", "extra"}
        for chart in page.figures.values():
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(chart)):
                assert set(re.findall(r"</?([A-Za-z]+)", text)) <= allowed

    def test_same_ranking_same_bytes(self, full):
        assert render_prediction(*full) == render_prediction(*full)


class TestFiles:
    @pytest.mark.usefixtures("light")
    def test_tables_and_settings(self, full, tmp_path):
        ranking, found = full
        files, left_out = write_prediction(ranking, found, tmp_path / "new" / "folder", "cmd")
        assert left_out == ()
        assert {f.name for f in files} == {
            "report.html", "predictions.csv", "held_out.csv", "families.csv", "reasons.csv",
            "edits.csv", "config.json",
        }  # fmt: skip
        at = {f.name: f for f in files}
        rows = list(csv.DictReader(io.StringIO(at["predictions.csv"].read_text())))
        assert [float(r["predicted"]) for r in rows] == ranking.mean.tolist()
        rows = list(csv.DictReader(io.StringIO(at["edits.csv"].read_text())))
        assert len(rows) == 48
        config = json.loads(at["config.json"].read_text())
        assert config["command"] == "cmd"
        assert config["bounds"] == [0, 1]
        assert config["encodings"] == "graf+costs+onehot"

    def test_without_plotly_the_tables_are_there(self, auto, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
        files, left_out = write_prediction(*auto, tmp_path)
        assert "foretell[report]" in left_out[0]
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f.name for f in files)
        assert json.loads((tmp_path / "config.json").read_text())["bounds"] is None

    def test_a_folder_that_cannot_be_made(self, auto, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="--report"):
            write_prediction(*auto, tmp_path / "file" / "folder")


class TestUnits:
    @pytest.mark.parametrize(
        ("config", "scale", "value", "change"),
        [
            (PredictConfig(target="loss", bounds=(0, 1)), 1, "93.67 %", "+1.20 points"),
            (PredictConfig(target="val_accuracy"), 1, "93.67 %", "+1.20 points"),
            (PredictConfig(target="test acc"), 100, "0.94 %", "+0.01 points"),
            (PredictConfig(target="loss"), 1, "0.9367", "+0.012"),
            (PredictConfig(target=""), 1, "0.9367", "+0.012"),
            (PredictConfig(target="val_accuracy"), 1000, "0.9367", "+0.012"),
        ],
    )
    def test_accuracies_are_points_and_others_as_they_are(self, full, config, scale, value, change):
        ranking = full[0]
        learned = replace(ranking.learned, values=scale * ranking.learned.values)
        unit = unit_of(replace(ranking, config=config, learned=learned))
        assert unit.value(0.9367) == value
        assert unit.change(0.012) == change

    def test_signs_and_holes(self):
        unit = Unit(100.0, " %", " points", 2)
        assert unit.change(-0.00001) == "0.00 points"
        assert unit.change(float("nan")) == unit.value(float("nan")) == unit.size(np.inf) == "–"
        assert unit.between(float("nan"), float("nan")) == unit.between(0.5, np.inf) == ""
        assert unit.between(0.5, 0.6) == "50.00 to 60.00 %"


class TestTerminal:
    def shown(self, ranking, found, width=100):
        console = Console(width=width, file=io.StringIO())
        console.print(explanation_summary(ranking, found))
        return console.file.getvalue()

    def test_families_edits_and_importance(self, full):
        ranking, found = full
        text = self.shown(ranking, found)
        for words in ("Number 1 is predicted", "Number 2 is predicted", "average", "others",
                      "not explained", "… 16 more …", "What the order rests on", "all of graf",
                      found.explained[0].edits[0].words, "R2"):  # fmt: skip
            assert words in text, words
        assert all(len(line) <= 60 for line in self.shown(ranking, found, 60).splitlines())

    def test_what_is_left_out(self, bare):
        text = self.shown(*bare)
        assert "Left out: Contributions" in text
        assert "fitted once" in text
        assert "[bold]" not in self.shown(*bare)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full", "auto", "bare", "nasty"])
def test_fits_draws_and_stays_silent(browser, request, tmp_path, name):
    page = tmp_path / "report.html"
    page.write_text(render_prediction(*request.getfixturevalue(name)), encoding="utf-8")
    browser.open(page, 1280)
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    for width in (1280, 390):
        browser.resize(width)
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run(OVERFLOW) == []
        if name != "nasty":
            assert browser.run(CUT) == []
    methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [e for e in browser.events if e["method"] in methods] == []


OVERFLOW = """
[...document.querySelectorAll('header, main, footer, main *')].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.width === 0 || e.closest('.scroll') || e.closest('.plot svg')) return false;
  return box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5;
}).map(e => e.tagName + ' ' + (e.textContent || '').slice(0, 40))
"""
CUT = """
[...document.querySelectorAll('.plot')].flatMap(plot => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll('.main-svg text')].filter(t => {
    const box = t.getBoundingClientRect();
    return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1 ||
      box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  }).map(t => plot.id + ': ' + t.textContent);
})
"""
