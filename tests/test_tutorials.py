"""Every tutorial runs, and its plug-ins keep to the public contracts."""

import subprocess
import sys
from pathlib import Path

import pytest

from foretell.spaces import get_space
from foretell.testing.proxies import ProxyContract
from foretell.testing.searchers import SearcherContract
from foretell.testing.spaces import NetworkContract

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SCRIPTS = ["first_search.py", "own_data.py", "own_network.py", "plugins.py", "predict.py"]


def test_every_file_is_a_script_or_a_plug_in():
    plugins = {"my_net.py", "my_space.py", "my_proxy.py", "my_searcher.py"}
    assert {p.name for p in TUTORIALS.glob("*.py")} == {*SCRIPTS, *plugins}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_tutorial_runs(name, tmp_path):
    done = subprocess.run(
        [sys.executable, str(TUTORIALS / name)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class TestMySpace(NetworkContract):
    samples = 3

    @pytest.fixture
    def space(self):
        return get_space(f"{TUTORIALS}/my_space.py:space")


class TestMyProxy(ProxyContract):
    @pytest.fixture
    def proxy(self):
        return f"{TUTORIALS}/my_proxy.py:gradient_balance"


class TestMySearcher(SearcherContract):
    @pytest.fixture
    def searcher(self):
        return f"{TUTORIALS}/my_searcher.py:GreedyNeighbors"
