"""The example of docs/graphs-of-networks.md runs, and the page lists every column and attribute."""

import re
from pathlib import Path

import numpy as np
import pytest

from foretell.encodings import graf
from foretell.metrics import kendall

PAGE = Path(__file__).resolve().parents[2] / "docs" / "graphs-of-networks.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_example():
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(compile(block, PAGE.name, "exec"), names)
    others = np.setdiff1d(np.arange(len(names["models"])), names["measured"])
    found, truth = names["prediction"].mean[others], names["accuracy"][others]
    assert float(kendall(found, truth)) > 0.8
    nodes = [node for graph in names["graphs"] for node in graph.nodes]
    for key in {key for node in nodes for key in node.attrs}:
        assert f"`{key}`" in TEXT


def test_every_column_is_described():
    for column in graf([]).names:
        family, _, kind = column.rpartition("_")
        described = {column, f"{family}_*", f"conv_{kind}" if kind == "depth" else ""}
        assert any(f"`{name}`" in TEXT for name in described - {""}), column
