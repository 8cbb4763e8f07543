"""Every registered searcher keeps the public contract, and so does a plug-in of a few lines."""

import pytest

from foretell.search import searchers
from foretell.testing.searchers import SearcherContract

PLUGIN = '''
from foretell.search import Searcher


class Stubborn(Searcher):
    """Proposes everything there is, in order, again and again."""

    def _ask(self, n):
        return list(self.problem.pool or self.problem.space.enumerate())
'''


class TestRandom(SearcherContract):
    @pytest.fixture
    def searcher(self) -> str:
        return "random"


class TestRegistered(SearcherContract):
    beats_random = True

    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch) -> None:
        """The contract does not need the published search for the best weights at full length."""
        monkeypatch.setattr("foretell.search.robot_published._DRAWS", 500)
        monkeypatch.setattr("foretell.search.robot_published._STARTS", 1)

    @pytest.fixture(
        params=[
            e.name
            for e in searchers.entries()
            if e.name != "random" and e.load().__module__.startswith("foretell.search.")
        ]
    )
    def searcher(self, request) -> str:
        return request.param


class TestPlugin(SearcherContract):
    @pytest.fixture
    def searcher(self, tmp_path) -> str:
        path = tmp_path / "stubborn.py"
        path.write_text(PLUGIN, encoding="utf-8")
        return f"{path}:Stubborn"
