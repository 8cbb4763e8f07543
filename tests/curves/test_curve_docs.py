"""docs/curves.md: its example runs, and its table is the registry."""

import re
from pathlib import Path

from foretell.curves import curve_predictors

PAGE = (Path(__file__).parents[2] / "docs" / "curves.md").read_text(encoding="utf-8")


def test_the_example_runs():
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "curves.md", "exec"), names)
    assert names["final"].mean.shape == (60,)
    assert names["names"] == ("a", "b")


def test_the_table_is_the_registry():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| .* \| (yes|no) \|", PAGE, re.M)
    assert sorted(name for name, _, _ in rows) == sorted(curve_predictors)
    for name, metric, std in rows:
        facts = curve_predictors.entry(name).facts
        assert facts["metric"] == metric
        assert facts["std"] == (std == "yes")
