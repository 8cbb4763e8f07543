"""The examples in docstrings and on the pages about data, training, robustness and export."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
MODULES = ["data._load", "data.folder", "training.loop", "export"]
PAGES = ["data", "training", "robustness", "export"]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"foretell.{name}"))
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES)
def test_pages(page, tmp_path):
    if page == "export":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    code = "\n".join(blocks)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for expected in re.findall(r"^# (.*)$", code, flags=re.MULTILINE):
        assert expected in done.stdout
