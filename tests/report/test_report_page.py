"""The page: complete, self-contained, escaped, and plain about what is missing."""

import base64
import hashlib
import html.parser
import json
import re
import sys
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from foretell.errors import MissingExtraError, RunFolderError
from foretell.report import (
    ConstraintRow,
    CurveRow,
    PoolTable,
    ResumeRow,
    TrialRow,
    Winner,
    figures,
    render,
    write,
)
from foretell.report.html.charts import jsonable
from foretell.report.search import plots, tables

LOADERS = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "ping"}


class Page(html.parser.HTMLParser):
    """What an HTML file holds."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.styles, self.words, self.inside = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside.append(tag)
            (self.scripts if tag == "script" else self.styles).append([dict(attributes), ""])

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if self.inside:
            (self.scripts if self.inside[-1] == "script" else self.styles)[-1][1] += data
        elif data.strip():
            self.words.append(" ".join(data.split()))

    @property
    def text(self):
        return " ".join(self.words)

    @property
    def figures(self):
        return json.loads(next(s for a, s in self.scripts if a.get("id") == "figures"))


@pytest.fixture(scope="module")
def page(run):
    return Page(render(run))


class TestComplete:
    def test_every_chart_has_a_place(self, run, page):
        places = {a["id"] for _, a in page.tags if a.get("class") == "plot"}
        assert places == set(page.figures) == set(figures(run))
        assert places == {
            "progress-trials", "progress-seconds", "predicted-trained", "pareto-params",
            "pareto-flops", "tau", "heat", "curves", "loss", "attacks",
        }  # fmt: skip

    def test_says_the_main_things(self, run, page):
        for text in (
            "98.89", "65.9k", "37 of 40", "3 failed, 12 reused", "95 % interval 97.2 to 99.6 %",
            "it reused 12 trials and 500 scores", "Time of this call",
            "38 s were done before", "66 % of the limit 100k", run.command, "2.13.0",
            "NonFiniteLossError", "2 batches of 64 images", "zico 7, grasp 2",
            "drawn uniformly, within the limits, alive", "seed 0", run.winner.not_exported[0],
        ):  # fmt: skip
            assert text in page.text, text

    def test_every_correlation_states_population_n_and_seed(self, page):
        heat = next(w for w in page.words if w.startswith("Kendall's tau-b over the pool"))
        assert "n = 500 networks" in heat
        assert "seed 0" in heat
        tau = next(w for w in page.words if w.startswith("Kendall's tau-b over n ="))
        assert "n = 37 trained networks" in tau
        assert "seed 0" in tau

    def test_drawn_heat_map_holds_the_numbers_of_scipy(self, run, page):
        info = tables.correlation_info(run)
        z = np.array(page.figures["heat"]["data"][0]["z"], dtype=float)
        assert np.allclose(z, info.matrix, atol=1e-6)

    def test_drawn_front_is_the_front(self, run, page):
        info = tables.pareto_info(run, "flops")
        drawn = next(t for t in page.figures["pareto-flops"]["data"] if "not beaten" in t["name"])
        assert drawn["x"] == sorted(info.costs[info.front].tolist())

    @pytest.mark.usefixtures("light")
    def test_balanced_tags_and_unique_ids(self, run):
        text = render(run)
        for tag in ("div", "section", "figure", "table", "tr", "td", "details", "ol", "ul", "dl"):
            opened = len(re.findall(rf"<{tag}[ >]", text))
            assert opened == text.count(f"</{tag}>"), tag
        ids = [a["id"] for _, a in Page(text).tags if "id" in a and not a["id"].startswith("arrow")]
        assert len(ids) == len(set(ids))

    def test_links_lead_somewhere(self, page):
        ids = {a["id"] for _, a in page.tags if "id" in a}
        for tag, attributes in page.tags:
            if tag == "a":
                assert attributes["href"].removeprefix("#") in ids

    @pytest.mark.usefixtures("light")
    def test_same_run_same_bytes(self, run, make):
        assert render(run) == render(make())

    def test_size_is_told(self, run):
        text = render(run)
        told = re.search(r"\(([\d.]+) MiB of ([\d.]+) MiB\)", text)
        assert abs(float(told[2]) - len(text.encode()) / 2**20) < 0.01
        assert len(text.encode()) < 6_000_000

    @pytest.mark.usefixtures("light")
    def test_long_runs_stay_readable(self, run):
        rows = tuple(replace(run.trials[0], number=i, val_accuracy=0.5) for i in range(1000))
        text = Page(render(replace(run, trials=rows, budget=1000))).text
        assert "The other 290" in text
        assert "700 more are in trials.csv" in text


class TestSelfContained:
    def test_nothing_is_loaded_from_elsewhere(self, page):
        for tag, attributes in page.tags:
            for name in LOADERS & set(attributes):
                value = attributes[name]
                assert value.startswith("#") or value == "data:,", (tag, name, value)
            assert "url(" not in attributes.get("style", "")
        for _, style in page.styles:
            assert "@import" not in style
            assert "url(" not in style

    def test_policy_forbids_every_request_and_foreign_script(self, page):
        policy = next(
            a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
        )
        rules = dict(r.strip().split(" ", 1) for r in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert "unsafe" not in rules["script-src"]
        assert rules["img-src"] == "data: blob:"
        assert "connect-src" not in rules
        code = [s for a, s in page.scripts if a.get("type") != "application/json"]
        for script in code:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules["script-src"]
        assert len(code) == 2

    def test_plotly_is_there_once(self, page):
        assert sum(len(s) > 1_000_000 for _, s in page.scripts) == 1

    def test_our_own_code_names_no_address(self, page):
        own = [s for _, s in page.scripts if len(s) < 1_000_000]
        found = {m for s in own for m in re.findall(r"https?://[^\"'\s]+", s)}
        assert found == {"http://www.w3.org/2000/svg"}  # a name of a format, never loaded


@pytest.mark.usefixtures("light")
class TestEscaping:
    def test_nasty_names_stay_text(self, run, nasty):
        text = render(nasty)
        page = Page(text)
        clean = Page(render(run))
        assert len(page.scripts) == len(clean.scripts)
        assert not [a for t, a in page.tags if t == "img" or any(k.startswith("on") for k in a)]
        assert "{{7*7}}" in page.text  # a template's syntax is text, too
        assert page.figures["heat"]["data"][0]["x"][0].startswith("&lt;/script&gt;")

    def test_plotly_gets_no_tags_but_ours(self, nasty):
        allowed = {"b", "br", "extra"}

        def walk(value):
            if isinstance(value, dict):
                for v in value.values():
                    walk(v)
            elif isinstance(value, list):
                for v in value:
                    walk(v)
            elif isinstance(value, str):
                assert set(re.findall(r"</?([A-Za-z]+)", value)) <= allowed

        walk(figures(nasty))


@pytest.mark.usefixtures("light")
class TestMissing:
    def test_nothing_at_all(self, bare):
        text = render(bare)
        page = Page(text)
        assert page.figures == {}
        for words in (
            "There is no winner, because nothing was trained.",
            "Nothing was trained.",
            "No proxy was scored in this run.",
            "There is no winner to attack.",
            "Nothing was tried, so nothing failed.",
            "No settings were recorded.",
        ):
            assert words in page.text
        assert "nan" not in page.text.lower().replace("nan", "nan", 0).split()

    def test_one_trial(self, one_trial):
        page = Page(render(one_trial))
        for words in (
            "With one trial there is no progress to see.",
            "This space has no graph to draw.",
            "The attack was skipped: --no-attack.",
            "No learning curve was recorded.",
            "No loss was recorded for the winner.",
            "At least two trained networks with a score are needed",
            "The searcher made no prediction",
            "1 network was trained.",
        ):
            assert words in page.text, words

    def test_one_trial_with_a_prediction(self, one_trial):
        trials = tuple(replace(t, predicted=0.9) for t in one_trial.trials)
        page = Page(render(replace(one_trial, trials=trials)))
        assert "With one network there is no order to compare." in page.text

    def test_everything_failed(self, run):
        bad = tuple(
            replace(t, state="failed", error="OSError", message="disk", val_accuracy=np.nan,
                    curves=None)
            for t in run.trials
        )  # fmt: skip
        page = Page(render(replace(run, trials=bad, winner=None)))
        assert "no network was trained to the end" in page.text
        assert "No trial ended well." in page.text
        assert "0 of 40" in page.text
        assert "40" in page.text
        assert "pareto-params" not in page.figures

    def test_no_failures(self, make):
        clean = make(trials=5, pool=20, failures=False)
        clean = replace(clean, pool=replace(clean.pool, failures={}))
        page = Page(render(clean))
        assert "None: all of 5 trials and 20 scorings ended well." in page.text

    def test_one_proxy_and_no_nan(self, run):
        scores = {"params": run.pool.params}
        page = Page(render(replace(run, pool=replace(run.pool, scores=scores))))
        assert "One proxy alone has nothing to be compared with." in page.text
        assert "Every proxy scored all 500 networks of the pool: no NaN." in page.text
        assert "Not scored in this run: live_params, sum_log_params." in page.text

    def test_constant_predictions(self, run):
        trials = tuple(replace(t, predicted=0.9) for t in run.trials)
        page = Page(render(replace(run, trials=trials)))
        assert "One side is the same for all n = 37 networks" in page.text

    def test_untested_winner_and_no_limits(self, run):
        winner = replace(run.winner, test_accuracy=float("nan"), number=None)
        page = Page(render(replace(run, winner=winner, constraints=(), budget=None)))
        assert "The winner was not tested." in page.text
        assert "no limit was set" in page.text

    def test_numbers_that_are_missing_everywhere(self, run):
        empty = TrialRow(0, "x")
        lost = replace(
            run,
            trials=(empty, replace(empty, number=1, val_accuracy=0.5, seconds=float("inf"))),
            winner=Winner("x", curves=CurveRow((), (), ())),
            pool=PoolTable(archs=("x", "y"), scores={"a": np.full(2, np.nan), "b": np.zeros(2)}),
            stages={"a": float("nan")},
            resumed=ResumeRow(),
        )
        page = Page(render(lost))
        assert "it reused 0 trials and 0 scores." in page.text
        assert "Time of this call" not in page.text
        assert "heat" not in page.figures

    def test_json_has_no_nan_literal(self, run):
        curves = CurveRow((float("nan"), 1.0), (float("inf"),), (0.5, float("nan")))
        trials = tuple(replace(t, curves=curves) for t in run.trials)
        winner = replace(run.winner, curves=curves, robustness={"fgsm": {1: float("nan")}})
        text = render(replace(run, trials=trials, winner=winner))
        script = next(s for a, s in Page(text).scripts if a.get("id") == "figures")

        def refuse(name):
            raise AssertionError(name)

        json.loads(script, parse_constant=refuse)


class TestPlots:
    def test_outliers_are_kept_at_the_edge(self, run):
        trials = tuple(replace(t, val_accuracy=0.1) if t.number == 2 else t for t in run.trials)
        figure = plots.progress_plot(tables.progress_info(replace(run, trials=trials)))
        low = figure["layout"]["yaxis"]["range"][0]
        assert low > 0.8
        below = next(t for t in figure["data"] if t["name"] == "below the axis")
        assert len(below["x"]) == 1
        assert "10.00 %" in below["text"][0]
        assert below["y"][0] > low

    def test_every_trial_is_drawn_once(self, run):
        figure = plots.progress_plot(tables.progress_info(run))
        names = ("trained", "trained in an earlier call", "failed", "below the axis")
        drawn = sum(len(t["x"]) for t in figure["data"] if t["name"] in names)
        assert drawn == 40

    def test_costs_of_several_magnitudes_are_logarithmic(self, run):
        trials = tuple(replace(t, params=10.0 ** (3 + t.number % 4)) for t in run.trials)
        figure = plots.pareto_plot(tables.pareto_info(replace(run, trials=trials)))
        assert figure["layout"]["xaxis"]["type"] == "log"
        assert figure["layout"]["annotations"][0]["x"] == 5

    def test_a_far_limit_is_not_drawn(self, run):
        far = (ConstraintRow("params<=1G", "params", 1e9),)
        figure = plots.pareto_plot(tables.pareto_info(replace(run, constraints=far)))
        assert figure["layout"]["shapes"] == []

    def test_long_texts_are_wrapped(self, run):
        figure = plots.progress_plot(tables.progress_info(run))
        tip = figure["data"][0]["text"][0]
        assert max(map(len, tip.split("<br>"))) <= 50
        assert run.trials[12].arch in "".join(tip.split("<br>"))

    def test_colours_are_names_of_the_style_sheet(self, run):
        css = files("foretell.report").joinpath("html/report.css").read_text(encoding="utf-8")
        known = set(re.findall(r"--(\w+):", css))
        used = set(re.findall(r'"@(\w+)"', json.dumps(jsonable(figures(run)))))
        assert used <= known
        assert len(used) > 8

    def test_jsonable(self):
        value = {"a": np.float64(np.inf), 1: (np.int64(3), np.array([[0.1, np.nan]])), "b": None}
        assert jsonable(value) == {"a": None, "1": [3, [[0.1, None]]], "b": None}


class TestWrite:
    @pytest.mark.usefixtures("light")
    def test_writes_a_whole_file(self, run, tmp_path):
        path = write(run, tmp_path / "report.html")
        assert path.read_text(encoding="utf-8") == render(run)
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    @pytest.mark.usefixtures("light")
    def test_text_paths_and_replacing(self, one_trial, tmp_path):
        path = tmp_path / "report.html"
        path.write_text("old")
        assert write(one_trial, str(path)) == path
        assert path.read_text().startswith("<!doctype html>")

    @pytest.mark.usefixtures("light")
    def test_folder_that_is_not_there(self, one_trial, tmp_path):
        with pytest.raises(RunFolderError, match="cannot be written"):
            write(one_trial, tmp_path / "none" / "report.html")

    @pytest.mark.usefixtures("light")
    def test_a_full_disk_keeps_the_old_report(self, one_trial, tmp_path, monkeypatch):
        path = tmp_path / "report.html"
        path.write_text("old")

        def full(*_args, **_more):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.replace", full)
        with pytest.raises(RunFolderError, match="No space left"):
            write(one_trial, path)
        assert path.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    def test_without_plotly(self, one_trial, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
        with pytest.raises(MissingExtraError, match=re.escape("foretell[report]")) as caught:
            write(one_trial, tmp_path / "report.html")
        assert caught.value.package == "plotly"
        assert list(tmp_path.iterdir()) == []
