"""Every tutorial runs, and its plug-ins keep to the public contracts."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from foretell.spaces import get_space
from foretell.studies import SearchConfig
from foretell.studies.search.study import run
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
    }
    assert {p.name for p in TUTORIALS.glob("*.py")} == {*SCRIPTS, *plugins}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_tutorial_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(TUTORIALS / name)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_quantity_is_measured_in_a_search(tmp_path):
    """Nothing but the one file is needed."""
    energy = f"{TUTORIALS}/energy.py:energy"
    words = ["search", "--objective", f"accuracy,{energy}", "--pool", "8", "--trials", "2"]
    words += ["--epochs", "1", "--final-epochs", "1", "--attacks", "", "--no-onnx"]
    foretell = str(Path(sys.executable).parent / "foretell")
    for _ in range(2):
        done = subprocess.run(
            [foretell, *words, "--out", "run"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
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


class TestMySearcher(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return f"{TUTORIALS}/my_searcher.py:GreedyNeighbors"
