"""What ``experiments/mutants.py`` changes can be changed: each text stands once in the source."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_text_that_is_changed_stands_once():
    spec = importlib.util.spec_from_file_location("_mutants", ROOT / "experiments" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_mutants"] = module
    spec.loader.exec_module(module)
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.py")]
    counts = {m.name: sum(text.count(m.old) for text in texts) for m in module.MUTATIONS}
    assert {name: count for name, count in counts.items() if count != 1} == {}
    assert all((ROOT / "tests").rglob(m.tests) for m in module.MUTATIONS)
