"""A small table with every kind of metric, and a home folder of its own for each test."""

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData
from foretell.spaces import get_space


@pytest.fixture(autouse=True)
def tables_home(tmp_path_factory, monkeypatch):
    """No test sees or touches the user's own tables."""
    folder = tmp_path_factory.mktemp("tables")
    monkeypatch.setenv("FORETELL_BENCHMARKS", str(folder))
    return folder


@pytest.fixture(scope="session")
def small_data() -> TableData:
    """Thirty cells of nb201 with curves, seeds, packed integers, gaps and costs."""
    rng = np.random.default_rng(7)
    space = get_space("nb201")
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(40)))[:30]
    accuracy = rng.uniform(50, 95, (30, 3, 4)).astype(np.float32)
    accuracy[4, 2] = np.nan  # one run of three is missing
    accuracy[9] = np.nan  # nothing was measured
    packed = rng.integers(0, 255, (30, 1, 2)).astype(np.uint8)
    packed[11] = 255
    found = {
        Metric(
            "test_accuracy", "cifar10", "fraction", True, "quality", "test",
            seeds=(777, 888, 999), epochs=(1, 4, 12, 36), scale=0.01,
        ): accuracy,
        Metric("val_accuracy", "cifar100", "fraction", True, epochs=(6, 12), scale=1 / 254): packed,
        Metric("train_seconds", "cifar10", "seconds", False, "cost", epochs=(4, 36)): rng.uniform(
            1, 9, (30, 1, 2)
        ),
        Metric("params", unit="count", kind="cost"): rng.integers(
            1, 2**40, (30, 1, 1), dtype=np.int64
        ),
        Metric("synflow", kind="proxy", higher_is_better=True): rng.normal(
            0, 1e40, (30, 1, 1)
        ),
    }  # fmt: skip
    return TableData(
        "small",
        [space.format(a) for a in archs],
        {m.key: m for m in found},
        {m.key: v for m, v in found.items()},
        "nb201",
        np.array([a.genes for a in archs]),
        {"source": "made up", "licence": "none"},
    )
