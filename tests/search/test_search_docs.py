"""The examples of docs/searchers.md run as they are."""

import re
from pathlib import Path

import numpy as np
import pytest

from foretell.search import Problem, searchers
from foretell.spaces import get_space

PAGE = Path(__file__).resolve().parents[2] / "docs" / "searchers.md"
CLIMB = re.compile(r'@searcher\("climb"\)\n')


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 2
    for block in blocks:
        if name := re.match(r"# (\w+\.py)\n", block):
            # Unregistered, so that other tests see the searchers of the package only.
            Path(name[1]).write_text(CLIMB.sub("", block), encoding="utf-8")
            made = searchers[f"{name[1]}:Climb"](
                Problem(get_space("nb201")), np.random.default_rng(0)
            )
            for _ in range(40):
                archs = made.ask(2)
                made.tell(archs, [a.genes.count(3) for a in archs])
            assert made.best is not None
            assert made.best[1] >= 4
        else:
            exec(compile(block, PAGE.name, "exec"), {})


def test_every_searcher_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for entry in searchers.entries():
        if entry.load().__module__.startswith("foretell.search."):
            assert f"| `{entry.name}` |" in text
