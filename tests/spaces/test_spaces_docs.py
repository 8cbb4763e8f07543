"""The examples of docs/spaces.md and docs/cost.md run as they are."""

import re
from pathlib import Path

import pytest

from foretell.spaces import get_space

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["spaces.md", "cost.md"])
def test_examples(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S)
    assert blocks
    for block in blocks:
        if name := re.match(r"# (\w+\.py)\n", block):
            Path(name[1]).write_text(block)
            assert get_space(f"{name[1]}:space").size == 9
        else:
            exec(compile(block, page, "exec"), {})
