"""The examples in docstrings and on the pages about data, training, robustness and export."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from foretell.data import sources

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODULES = ["data._load", "data.folder", "training.loop", "export"]
PAGES = ["data", "training", "robustness", "export"]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"foretell.{name}"))
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES)
def test_pages(page, tmp_path, monkeypatch, capsys):
    if page == "export":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    code = "\n".join(blocks)
    if page != "data":  # as shown, but shorter
        code = code.replace('load_task("digits")', 'load_task("digits?limit=500")')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "_entries", dict(sources._entries))
    exec(compile(code, f"{page}.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    for expected in re.findall(r"^# (.*)$", code, flags=re.MULTILINE):
        assert expected in printed
