"""The catalogue of proxies and the functions that it names agree."""

import ast
import importlib
from pathlib import Path

import pytest

import foretell.proxies
from foretell.proxies import collectors, needs_of, proxies

FOLDER = Path(foretell.proxies.__file__).parent
OWN = [e for e in proxies.entries() if isinstance(e.target, str)]
"""Those of the catalogue; a plug-in registers its function itself."""


@pytest.mark.parametrize("entry", OWN, ids=lambda e: e.name)
def test_an_entry_leads_to_its_function_and_says_the_same(entry):
    function = entry.load()
    assert entry.target == f"{function.__module__}:{function.__name__}"
    assert function.__name__ == entry.name
    assert entry.summary == function.__doc__.split("\n")[0]
    assert set(entry.facts) == {"needs", "data", "higher_is_better"}


@pytest.mark.parametrize("entry", OWN, ids=lambda e: e.name)
def test_needs_are_the_fields_that_the_function_reads(entry):
    """Of ``c.weights``, ``c.grads`` and so on: no more is collected than is read, and no less."""
    fields = set(collectors)
    module = importlib.import_module(entry.target.partition(":")[0])
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (body,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == entry.name)
    read = {
        n.attr
        for n in ast.walk(body)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "c"
    }
    assert read & fields == needs_of(entry).names


def test_no_proxy_of_the_package_is_left_out():
    functions = {
        f"foretell.proxies.{path.stem}:{node.name}"
        for path in FOLDER.glob("[a-z]*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and [ast.unparse(a.annotation) for a in node.args.args if a.annotation] == ["Collected"]
    }
    assert functions == {e.target for e in OWN}


def test_the_target_of_an_entry_is_a_name_of_it():
    assert proxies.entry("foretell.proxies.zico:zico") is proxies.entry("zico")


def test_every_late_name_is_there():
    for name in foretell.proxies.__all__:
        assert getattr(foretell.proxies, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'scor'"):
        foretell.proxies.scor  # noqa: B018
