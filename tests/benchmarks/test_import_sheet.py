"""Collecting numbers in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.benchmarks import Metric
from foretell.benchmarks.importers import _base, read_benchmark
from foretell.benchmarks.importers.formats import sheet as _sheet
from foretell.benchmarks.importers.formats.sheet import Sheet, number, numbers, shown
from foretell.errors import MissingDataError, TableFormatError, UnknownNameError
from foretell.registry import Registry

LOSS = Metric("loss", unit="nats")

ENTRIES = st.dictionaries(
    st.tuples(st.integers(0, 9), st.integers(0, 3)),  # row, seed
    st.dictionaries(st.integers(0, 9), st.floats(allow_nan=False), min_size=1, max_size=5),
    min_size=1,
    max_size=12,
)


@settings(max_examples=50)
@given(ENTRIES, st.integers(1, 12), st.randoms())
def test_any_order_gives_the_same_array(entries, guess, random):
    sheet = Sheet(guess, "file")
    items = list(entries.items())
    random.shuffle(items)
    for (row, seed), curve in items:
        epochs = list(curve)
        random.shuffle(epochs)
        sheet.put(LOSS, row, [curve[e] for e in epochs], seed=seed, epochs=epochs)
    metrics, values = sheet.finish(10)
    seeds = sorted({seed for _, seed in entries})
    epochs = sorted({e for curve in entries.values() for e in curve})
    assert (metrics["loss"].seeds, metrics["loss"].epochs) == (tuple(seeds), tuple(epochs))
    expected = np.full((10, len(seeds), len(epochs)), np.nan)
    for (row, seed), curve in entries.items():
        for epoch, value in curve.items():
            expected[row, seeds.index(seed), epochs.index(epoch)] = value
    np.testing.assert_array_equal(values["loss"], expected)


def test_several_metrics_grow_apart():
    sheet = Sheet(1, "file")
    for row in range(5):
        sheet.put(LOSS, row, [row])
        sheet.put(Metric("x", "d"), row, [row, -row], epochs=(1, 2))
    sheet.put(Metric("late"), 2, [7.0])
    sheet.put(Metric("empty"), 0, [], epochs=())
    metrics, values = sheet.finish(5)
    assert list(metrics) == ["loss", "d/x", "late"]
    assert values["loss"][:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert values["d/x"].shape == (5, 1, 2)
    assert np.isnan(values["late"]).sum() == 4
    assert len(sheet._blocks["loss"].values) <= 8


def test_what_no_benchmark_is(monkeypatch):
    sheet = Sheet(1, "file")
    with pytest.raises(TableFormatError, match="2 numbers of 'loss' for 1 epochs"):
        sheet.put(LOSS, 0, [1, 2])
    with pytest.raises(TableFormatError, match="4 GiB"):
        sheet.put(LOSS, 1 << 30, [1])
    sheet = Sheet(1, "file")
    monkeypatch.setattr(_sheet, "_MOST_METRICS", 1)
    sheet.put(LOSS, 0, [1])
    with pytest.raises(TableFormatError, match="more than 1 metrics"):
        sheet.put(Metric("other"), 0, [1])


def test_numbers_of_a_file():
    assert np.isnan(number(None, "x"))
    assert numbers((1, 2.5, None), "x")[:2].tolist() == [1, 2.5]
    assert numbers(np.array([1, 2], dtype=np.int8), "x").dtype == np.float64
    for bad in (True, "1", [1]):
        with pytest.raises(TableFormatError, match="x should be a number"):
            number(bad, "x")
    with pytest.raises(TableFormatError, match="too large"):
        number(10**400, "x")
    for bad in (1.0, {1: 2}, np.zeros((1, 1)), np.array(["a"])):
        with pytest.raises(TableFormatError, match="should be a list"):
            numbers(bad, "x")


def test_values_are_shown_short():
    loop = []
    loop.append(loop)
    deep = 1
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep, 10**5000, {1: loop}, "x" * 1000, ((1,),), (loop, 2), b"x" * 99):
        assert len(shown(value)) < 130
    assert shown(("cifar10", 777)) == "('cifar10', 777)"
    assert (shown(None), shown(3), shown(0.5), shown(True)) == ("None", "3", "0.5", "True")


def test_the_door(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean parquet"):
        read_benchmark("parket", tmp_path)
    with pytest.raises(MissingDataError, match=r"give a \.csv file"):
        read_benchmark("csv", tmp_path / "no.csv")
    with pytest.raises(TableFormatError, match="cannot be read"):
        read_benchmark("csv", tmp_path)  # a folder

    def careless(path, progress):
        return {}["key"]

    monkeypatch.setattr(_base, "importers", Registry("importer"))
    _base.importers.register("careless", careless)
    with pytest.raises(TableFormatError, match=r"is not as 'careless' files are \(KeyError\)"):
        read_benchmark("careless", tmp_path)
