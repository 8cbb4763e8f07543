"""Every tutorial runs, and its plug-ins keep to the public contracts."""

import csv
import runpy
from pathlib import Path

import pytest

from foretell.cli._app import run as command
from foretell.spaces import get_space
from foretell.studies import SearchConfig
from foretell.studies.search.study import run
from foretell.testing.encodings import EncodingContract
from foretell.testing.predictors import PredictorContract
from foretell.testing.proxies import ProxyContract
from foretell.testing.searchers import SearcherContract
from foretell.testing.spaces import NetworkContract

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SCRIPTS = [
    "first_search.py", "optimize.py", "own_data.py", "own_network.py", "plugins.py", "predict.py",
]  # fmt: skip


def test_every_file_is_a_script_or_a_plug_in():
    plugins = {
        "energy.py",
        "my_net.py",
        "my_space.py",
        "my_proxy.py",
        "my_searcher.py",
        "my_need.py",
        "my_encoding.py",
        "my_predictor.py",
    }
    assert {p.name for p in TUTORIALS.glob("*.py")} == {*SCRIPTS, *plugins}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_tutorial_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(TUTORIALS / name), run_name="__main__")


@pytest.mark.slow
def test_a_quantity_is_measured_in_a_search(tmp_path, monkeypatch, capsys):
    """Nothing but the one file is needed."""
    energy = f"{TUTORIALS}/energy.py:energy"
    words = ["search", "--objective", f"accuracy,{energy}", "--pool", "8", "--trials", "2"]
    words += ["--epochs", "1", "--final-epochs", "1", "--attacks", "", "--no-onnx"]
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert command([*words, "--out", "run"]) == 0, capsys.readouterr().err
        with (tmp_path / "run" / "trials.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [float(r[energy]) for r in rows] == pytest.approx(
            [4.6e-6 * float(r["flops"]) + 640e-6 * float(r["params"]) for r in rows]
        )
        assert len(rows) == 2
        assert "True" in {r["on_front"] for r in rows}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "energy" in page


def test_a_quantity_bounds_a_search(tmp_path):
    """What costs too much is not trained, and is kept with its violation."""
    config = SearchConfig(
        constraints=(f"{TUTORIALS}/energy.py:energy<=31",),
        pool=8, trials=2, epochs=1, final_epochs=1, attacks=(), onnx=False,
    )  # fmt: skip
    result = run(config, tmp_path / "run")
    first, second = result.trials
    assert (first.state, second.state) == ("infeasible", "done")
    assert first.violation.endswith("> 31")
    assert first.curves is None
    assert result.winner.number == 1


class TestMySpace(NetworkContract):
    samples = 3

    @pytest.fixture
    def space(self):
        return get_space(f"{TUTORIALS}/my_space.py:space")


class TestMyProxy(ProxyContract):
    @pytest.fixture
    def proxy(self):
        return f"{TUTORIALS}/my_proxy.py:gradient_balance"


class TestMyNeed(ProxyContract):
    @pytest.fixture
    def proxy(self):
        return f"{TUTORIALS}/my_need.py:even_activations"


class TestMyEncoding(EncodingContract):
    @pytest.fixture
    def encoding(self):
        return f"{TUTORIALS}/my_encoding.py:operations"


class TestMyPredictor(PredictorContract):
    @pytest.fixture
    def predictor(self):
        return f"{TUTORIALS}/my_predictor.py:Nearest"


class TestMySearcher(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return f"{TUTORIALS}/my_searcher.py:GreedyNeighbors"
