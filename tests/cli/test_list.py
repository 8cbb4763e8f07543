"""`foretell list KIND`: light, and in words."""

import json
import subprocess
import sys

import pytest

from foretell.cli._app import run
from foretell.cli.list import KINDS

LIGHT = """
import sys
from foretell.cli._app import run
assert run(sys.argv[1:]) == 0
heavy = {"torch", "scipy.stats", "sklearn", "pandas", "plotly"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_list_loads_nothing_heavy(kind, options):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "list", kind, *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_needs_of_proxies_are_words(capsys):
    assert run(["list", "proxies", "--json"]) == 0
    facts = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert facts["snip"]["needs"] == "weights, grads"
    assert facts["params"]["needs"] == "costs"
    assert facts["zico"]["needs"] == "batch_grads"
    assert facts["zico"]["data"] == "labels"
    assert run(["list", "proxies"]) == 0
    shown = capsys.readouterr().out
    assert "Needs" not in shown
    assert "yes" in shown
    assert "True" not in shown


def test_quantities_say_when_they_are_known(capsys):
    assert run(["list", "quantities", "--json"]) == 0
    facts = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert facts["params"]["stage"] == "graph"
    assert facts["latency"]["argument"] == "torch|onnxruntime"
    assert facts["latency"]["direction"] == "min"
    assert facts["accuracy"]["unit"] == "fraction"


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_words_and_numbers(kind, capsys):
    assert run(["list", kind, "--json"]) == 0
    for row in json.loads(capsys.readouterr().out):
        for key, value in row.items():
            assert isinstance(value, bool | int | float | str) or value is None
            assert not isinstance(value, str) or "<" not in value or key == "summary", row
