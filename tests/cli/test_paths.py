"""Paths and numbers that no command can use: one sentence each, whichever command it is."""

from pathlib import Path

import pytest

from foretell.cli._app import run
from foretell.errors import SearchError, UsageError
from foretell.files import user_path
from foretell.rng import stream
from foretell.search import Problem, Searcher, get_searcher
from foretell.spaces import get_space
from foretell.studies import RunFolder

OWN = """
from foretell import Searcher

class Unfinished(Searcher):
    pass
"""
LINES = {
    "empty out": (["search", "--out", ""], "A path is empty"),
    "empty table": (["score", "--sample", "1", "--out="], "A path is empty"),
    "empty run": (["report", ""], "A path is empty"),
    "NUL": (["search", "--out", "a\0b"], "NUL character"),
    "NUL in data": (["search", "--data", "folder:a\0b"], "NUL character"),
    "home of the run": (["worker", "~nobody-here/run"], "no home folder '~nobody-here'"),
    "home of the data": (["search", "--data", "npz:~nobody-here/x"], "no home folder"),
    "home of the code": (["score", "~nobody-here/net.py:net"], "no home folder"),
    "home of the space": (["search", "--space", "~nobody-here/s.py:s"], "no home folder"),
    "home of a table": (["benchmark", "info", "~nobody-here/x.foretell"], "no home folder"),
    "rate": (["search", "--lr", "1e999"], "lr must be a finite number above 0, but is inf"),
    "no rate": (["search", "--lr", "nan"], "lr must be a finite number above 0, but is nan"),
    "limit": (["search", "--max-params", "1e999"], "finite"),
    "classes": (["cost", "--sample", "1", "--classes", str(10**20)], "below 2^31"),
    "no proxies": (["score", "--sample", "1", "--proxies", ","], "names none"),
    "no searcher": (["search", "--searcher", "json:loads"], "is no searcher"),
    "half a searcher": (["search", "--searcher", "own.py:Unfinished"], "has to define _ask"),
}


@pytest.mark.parametrize("name", LINES)
def test_what_no_command_can_use_gets_a_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    argv, said = LINES[name]
    assert run(list(argv)) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.strip().splitlines()[-1].startswith("error: ")
    assert not Path("study.db").exists()


def test_paths_of_calls_are_checked_as_those_of_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a") == tmp_path / "a"
    assert user_path(Path("b")) == Path("b")
    for bad in ("", "x\0", "~nobody-here"):
        with pytest.raises(UsageError):
            user_path(bad)
        with pytest.raises(UsageError):
            RunFolder(bad)


class Faulty(Searcher):
    """Raises where it is told to."""

    at = ""

    def _ask(self, n):
        return 3 if self.at == "wrong" else self._fail("ask") or []

    def _tell(self, archs, values):
        self._fail("tell")

    def _predict(self, archs):
        self._fail("predict")
        return [[1.0, 2.0]]

    def _fail(self, where):
        if self.at == where:
            raise ZeroDivisionError("mine")


def test_a_searcher_that_raises_is_named():
    space = get_space("nb201")
    arch = space.sample(stream(0, "x"))
    for at, call in (
        ("ask", lambda s: s.ask()),
        ("wrong", lambda s: s.ask()),
        ("tell", lambda s: s.tell([arch], [1.0])),
        ("predict", lambda s: s.predict([arch])),
        ("shape", lambda s: s.predict([arch])),
    ):
        searcher = Faulty(Problem(space), stream(0, "searcher"))
        searcher.at = at
        with pytest.raises(SearchError, match="Faulty"):
            call(searcher)
    assert get_searcher("random").__name__ == "RandomSearch"
