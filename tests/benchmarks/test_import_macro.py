"""NAS-Bench-Macro: the official file, and what it may not hold."""

import json

import numpy as np
import pytest

from foretell.benchmarks.importers import read_benchmark
from foretell.errors import MissingDataError, TableFormatError

GOOD = {
    "test_acc": [90.0, 91.0, 92.5],
    "mean_acc": 273.5 / 3,
    "std": 0.1,
    "params": 10,
    "flops": 20,
}


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_the_official_file_is_the_published_table(validation_data):
    duckdb = pytest.importorskip("duckdb")
    table = read_benchmark("nb-macro", validation_data / "nas-bench-macro_cifar10.json")
    assert len(table.texts) == 6_561
    metric = table.metrics["cifar10/test_accuracy"]
    assert (metric.seeds, metric.scale, metric.split) == ((0, 1, 2), 0.01, "test")
    path = validation_data / "nas_bench_macro.parquet"
    rows = {r[0]: r[1:] for r in duckdb.sql(
        f"SELECT arch, acc0, acc1, acc2, params, flops FROM '{path}'"
    ).fetchall()}  # fmt: skip
    expected = np.array([rows[t] for t in table.texts], dtype=np.float64)
    np.testing.assert_array_equal(table.values[metric.key][:, :, 0], expected[:, :3])
    np.testing.assert_array_equal(table.values["cifar10/params"][:, 0, 0], expected[:, 3])
    np.testing.assert_array_equal(table.values["cifar10/flops"][:, 0, 0], expected[:, 4])


def test_a_small_file_and_a_folder(tmp_path):
    write(
        tmp_path / "nas-bench-macro_cifar10.json",
        {"00": GOOD, "01": {**GOOD, "test_acc": [1], "mean_acc": 1}},
    )
    table = read_benchmark("nb-macro", tmp_path)
    assert table.texts == ["00", "01"]
    nan = np.nan
    np.testing.assert_array_equal(
        table.values["cifar10/test_accuracy"][:, :, 0], [[90, 91, 92.5], [1, nan, nan]]
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="should hold"):
        read_benchmark("nb-macro", tmp_path / "empty")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[1]", "no networks"),
        ({}, "no networks"),
        ({"03": GOOD}, "digits 0 to 2"),
        ({"": GOOD}, "digits 0 to 2"),
        ({"00": 1}, "digits 0 to 2"),
        ({"00": {**GOOD, "test_acc": 1.0}}, "should be a list"),
        ({"00": {**GOOD, "test_acc": []}}, "0 runs"),
        ({"00": {**GOOD, "test_acc": ["1"]}}, "should be a number"),
        ({"00": {**GOOD, "params": "1"}}, "should be a number"),
        ({"00": {**GOOD, "mean_acc": 91}}, "is not the mean"),
        ({"00": {**GOOD, "mean_acc": None}}, "is not the mean"),
    ],
)
def test_what_is_no_such_file(tmp_path, content, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nb-macro", write(tmp_path / "a.json", content))
