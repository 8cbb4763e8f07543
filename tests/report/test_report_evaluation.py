"""The report of an evaluation of proxies: complete, escaped, true to its arrays, and printable."""

import csv
import io
import json
import re
import sys

import numpy as np
import pytest
from html_page import Page
from rich.console import Console

from foretell.benchmarks import Metric, TableData, from_data
from foretell.errors import RunFolderError
from foretell.report.evaluate_proxies.page import (
    evaluation_figures,
    render_evaluation,
    write_evaluation,
)
from foretell.report.evaluate_proxies.terminal import evaluation_summary
from foretell.spaces import get_space
from foretell.studies.evaluate_proxies.study import evaluate_proxies

NASTY = "</script><img src=x onerror=alert(1)>{{7*7}}"


def make(n=150, name="small", proxy="nwot", space="nb201", known=True, targets=3):
    """A table of cells with some targets, two runs of half of them, and two proxies."""
    rng = np.random.default_rng(0)
    place = get_space("nb201")
    archs = list(dict.fromkeys(place.sample(rng) for _ in range(2 * n)))[:n]
    good = rng.normal(size=n)
    metrics, values = {}, {}
    for i in range(targets):
        metric = Metric(
            f"val_{i}_accuracy", "digits", "fraction", True, split="val", seeds=(0, 1), epochs=(9,)
        )
        block = 0.9 + 0.01 * (good[:, None, None] + rng.normal(size=(n, 2, 1)))
        block[n // 2 :, 1] = np.nan
        metrics[metric.key], values[metric.key] = metric, block if known else block * np.nan
    for p, noise in ((proxy, 1.0), ("zen", 3.0)):
        score = good + noise * rng.normal(size=n)
        score[:4] = np.nan
        metric = Metric(p, "digits", kind="proxy", higher_is_better=True)
        metrics[metric.key], values[metric.key] = metric, score[:, None, None]
    texts = [place.format(a) for a in archs]
    genes = place.genes(archs) if space else None
    return from_data(TableData(name, texts, metrics, values, space, genes))


@pytest.fixture(scope="module")
def found():
    return evaluate_proxies(make(), samples=50)


@pytest.fixture(scope="module")
def bare():
    """Neither space, nor baselines, nor intervals, nor a second target, nor one known value."""
    return evaluate_proxies(make(space="", known=False, targets=1), samples=0)


@pytest.fixture(scope="module")
def nasty():
    return evaluate_proxies(make(name="a-table", proxy=NASTY), samples=20)


@pytest.mark.usefixtures("light")
class TestPage:
    def test_every_chart_has_a_place(self, found):
        page = Page(render_evaluation(found))
        places = {a["id"] for _, a in page.tags if a.get("class") == "plot"}
        assert places == set(page.figures) == set(evaluation_figures(found))
        assert places == {"order-0", "heat-0", "heat-1", "heat-2", "heat-3", "heat-4"}

    def test_says_what_every_number_is_of(self, found):
        page = Page(render_evaluation(found, "foretell evaluate proxies small"))
        for text in (
            "Proxies on small", "150 of 150 networks", "Kendall's tau-b", "seed 0", "baseline",
            "mean of 1 to 2 runs", "50 resamples", "foretell evaluate proxies small",
            "3x32x32, 16 channels, 5 cells", "published in the table",
        ):  # fmt: skip
            assert text in page.text, text
        for k, population in enumerate(found.populations):
            assert f"{population}: n = {found.sizes[k, 0]:,}" in page.text
            assert f"Population: {population}" in page.text

    def test_drawn_numbers_are_those_of_the_evaluation(self, found):
        figures = Page(render_evaluation(found)).figures
        order = found.order(found.populations.index("deduplicated"), 0)
        for k in range(len(found.populations)):
            z = np.array(figures[f"heat-{k}"]["data"][0]["z"], dtype=float)
            assert np.allclose(z, found.value[k, order], atol=1e-6)
        traces = figures["order-0"]["data"]
        assert [t["name"] for t in traces] == list(found.populations)
        for k, trace in enumerate(traces):
            x = np.array(trace["x"])
            assert np.allclose(x, found.value[k, order, 0], atol=1e-6)
            low = x - np.array(trace["error_x"]["arrayminus"])
            assert np.allclose(low, found.low[k, order, 0], atol=1e-5)

    def test_tables_hold_every_interval_and_n(self, found):
        text = Page(render_evaluation(found)).text
        k, p, t = 1, 0, 2
        assert f"{found.value[k, p, t]:.3f}" in text
        assert f"n {found.pairs[k, p, t]:,}" in text

    def test_what_is_not_there_is_said(self, bare):
        page = Page(render_evaluation(bare))
        for words in (
            "No proxy ranked any network",
            "No network of the table was trained twice",
            "The space of the table is not known here",
            "No intervals were computed",
        ):
            assert words in page.text
        assert page.figures["order-0"]["data"] == []

    def test_nasty_names_stay_text(self, nasty):
        html = render_evaluation(nasty)
        page = Page(html)
        assert not [a for t, a in page.tags if t == "img" or any(k.startswith("on") for k in a)]
        assert "{{7*7}}" in page.text
        allowed = {"b", "br", "extra"}
        for figure in page.figures.values():
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(figure)):
                assert set(re.findall(r"</?([A-Za-z]+)", text)) <= allowed

    def test_same_evaluation_same_bytes(self, found):
        assert render_evaluation(found) == render_evaluation(found)

    def test_nan_is_never_drawn(self, bare, found):
        for evaluation in (bare, found):
            json.dumps(evaluation_figures(evaluation), allow_nan=False)


class TestFiles:
    @pytest.mark.usefixtures("light")
    def test_the_tables_are_those_of_the_evaluation(self, found, tmp_path):
        files, left_out = write_evaluation(found, tmp_path / "new" / "folder")
        assert left_out == ()
        assert [f.name for f in files] == [
            "report.html", "correlations.csv", "choices.csv", "targets.csv", "proxies.csv",
        ]  # fmt: skip
        rows = list(csv.DictReader(io.StringIO(files[1].read_text())))
        assert len(rows) == found.value.size
        assert [float(r["kendall"]) for r in rows] == found.value.ravel().tolist()
        targets = list(csv.DictReader(io.StringIO(files[3].read_text())))
        assert len(targets) == found.sizes.size
        assert float(targets[0]["between_runs"]) == found.between_runs[0, 0]
        proxies = list(csv.DictReader(io.StringIO(files[4].read_text())))
        assert [r["missing"] for r in proxies] == ["4", "4", "0", "0", "0", "0"]

    def test_without_plotly_the_tables_are_there(self, found, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "plotly.offline", None)
        files, left_out = write_evaluation(found, tmp_path)
        assert "foretell[report]" in left_out[0]
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f.name for f in files)

    def test_a_folder_that_cannot_be_made(self, found, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RunFolderError, match="--out"):
            write_evaluation(found, tmp_path / "file" / "folder")


class TestTerminal:
    def shown(self, evaluation, width):
        console = Console(width=width, file=io.StringIO())
        console.print(evaluation_summary(evaluation, width))
        return console.file.getvalue()

    @pytest.mark.parametrize("width", [80, 130])
    def test_fits_and_says_the_numbers(self, found, width):
        text = self.shown(found, width)
        assert all(len(line) <= width for line in text.splitlines())
        assert "…" not in text
        k = found.populations.index("deduplicated")
        half = (found.high[k, 0, 0] - found.low[k, 0, 0]) / 2
        assert f"{found.value[k, 0, 0]:.2f} ±{half:.2f}".replace("0.", ".") in text
        assert f"n={found.sizes[k, 0]:,}" in text
        assert "params ◆" in text
        for target in found.targets:
            assert target.key.removeprefix("digits/") in text

    def test_one_target_without_intervals(self, bare):
        text = self.shown(bare, 80)
        assert "±" not in text
        assert "Best of each target" not in text
        assert "No intervals" in text

    def test_markup_in_names_stays_text(self):
        text = self.shown(evaluate_proxies(make(proxy="[red]x[/red]"), samples=0), 130)
        assert "[red]x[/red]" in text


OVERFLOW = """
[...document.querySelectorAll('header, main, footer, main *')].filter(e => {
  const box = e.getBoundingClientRect();
  if (box.width === 0 || e.closest('.scroll') || e.closest('.plot svg')) return false;
  return box.right > document.documentElement.clientWidth + 0.5 || box.left < -0.5;
}).map(e => e.tagName + ' ' + (e.textContent || '').slice(0, 40))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["found", "bare"])
def test_fits_a_browser_and_draws_what_is_opened(browser, request, tmp_path, name):
    write_evaluation(request.getfixturevalue(name), tmp_path)
    browser.open(tmp_path / "report.html", 1280)
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.run("new Promise(done => setTimeout(done, 1000))")
    for width in (1280, 390):
        browser.resize(width)
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run(OVERFLOW) == []
        empty = "[...document.querySelectorAll('.plot')].filter(p => !p.querySelector('.main-svg'))"
        assert browser.run(f"{empty}.map(p => p.id)") == []
    methods = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [e for e in browser.events if e["method"] in methods] == []
