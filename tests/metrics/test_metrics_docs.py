"""The examples of docs/metrics.md run, and print what they say."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def test_examples(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["Correlation(value=1.0, n=3, dropped=1)", "1.0", "3"]
    assert lines[4] == "[ True  True False]"
    assert lines[5:] == ["0.67 0.0384", "3"]
