"""What a table answers: every option against plain loops, and every way to ask in vain."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.benchmarks import Metric, Table, TableData, from_data, table, write_table
from foretell.errors import (
    ArchError,
    BenchmarkError,
    MissingValueError,
    OutOfTableError,
    UnknownNameError,
    UsageError,
)
from foretell.spaces import get_space

ACC = "cifar10/test_accuracy"
SPACE = get_space("nb201")


@pytest.fixture(scope="module", params=["file", "memory"])
def small(request, small_data, tmp_path_factory) -> Table:
    if request.param == "memory":
        return from_data(small_data)
    folder = tmp_path_factory.mktemp("small")
    return Table.open(write_table(small_data, folder / "small.foretell"))


@pytest.fixture(scope="module")
def archs(small_data) -> list[Arch]:
    return [SPACE.parse(text) for text in small_data.texts]


def plain(data: TableData, key: str) -> list[list[list[float]]]:
    """Values in the metric's unit, by loops over single numbers."""
    facts, values = data.metrics[key], data.values[key]
    gap = np.iinfo(values.dtype).max if values.dtype.kind == "u" else None
    return [
        [
            [float("nan") if gap is not None and v == gap else float(v) * facts.scale for v in run]
            for run in row
        ]
        for row in values
    ]


def mean(numbers: list[float]) -> float:
    known = [v for v in numbers if v == v]
    return sum(known) / len(known) if known else float("nan")


def test_all_that_was_stored_is_read(small, small_data):
    assert list(small.metrics) == list(small_data.metrics)
    assert dict(small.metrics) == dict(small_data.metrics)
    assert list(small.texts) == list(small_data.texts)
    assert (small.name, small.space, len(small)) == ("small", "nb201", 30)
    assert dict(small.facts) == dict(small_data.facts)
    assert small.genes.tolist() == small_data.genes.tolist()
    assert "30 architectures, 5 metrics" in repr(small)
    for key in small.metrics:
        np.testing.assert_allclose(small.read(key), plain(small_data, key), rtol=1e-15)
        assert small.read(key).dtype == np.float64


def test_reading_rows_and_columns_is_reading_all_and_choosing(small):
    rows = np.array([7, 0, 29, 7])
    for key, facts in small.metrics.items():
        whole = small.read(key)
        np.testing.assert_array_equal(small.read(key, rows), whole[rows])
        for column in range(len(facts.epochs)):
            np.testing.assert_array_equal(
                small.read(key, rows, column=column), whole[rows][:, :, [column]]
            )


def test_queries_equal_loops_for_every_epoch_and_seed(small, small_data, archs):
    for key, facts in small_data.metrics.items():
        values = plain(small_data, key)
        for e, epoch in enumerate([None, *facts.epochs]):
            place = len(facts.epochs) - 1 if epoch is None else e - 1
            for s, seed in enumerate([None, *facts.seeds]):
                expected = [
                    mean([run[place] for run in row]) if seed is None else row[s - 1][place]
                    for row in values
                ]
                for asked in (archs, list(small_data.texts), None):
                    found = small.query(asked, key, epoch=epoch, seed=seed, missing="nan")
                    np.testing.assert_allclose(found, expected, rtol=1e-14)
                    assert found.shape == (30,)


def test_curves_equal_loops(small, small_data, archs):
    values = plain(small_data, ACC)
    expected = [[mean([run[e] for run in row]) for e in range(4)] for row in values]
    np.testing.assert_allclose(small.curves(archs, ACC), expected, rtol=1e-14)
    np.testing.assert_allclose(small.curves(None, ACC), expected, rtol=1e-14)
    some = small.curves(archs[3:5], ACC, seed=888)
    np.testing.assert_allclose(some, [values[3][1], values[4][1]], rtol=1e-14)


@given(st.permutations(range(30)), st.integers(0, 30))
def test_the_order_of_the_question_is_that_of_the_answer(small_data, order, size):
    small = from_data(small_data)
    asked = [SPACE.parse(small_data.texts[i]) for i in order[:size]]
    found = small.query(asked, "params")
    expected = [float(small_data.values["params"][i, 0, 0]) for i in order[:size]]
    assert found.tolist() == expected


def test_every_text_of_the_space_finds_its_row(small, archs):
    first = archs[5]
    for text in (
        SPACE.format(first), f"nb201:{SPACE.format(first)}", f"  {SPACE.format(first)} ",
        ".".join(map(str, first.genes)), str(first), first.to_json(),
    ):  # fmt: skip
        assert small.rows_of([text]).tolist() == [5]
    mixed = small.rows_of([archs[2], SPACE.format(archs[8]), str(archs[1])])
    assert mixed.tolist() == [2, 8, 1]
    assert mixed.dtype == np.int64
    assert small.rows_of([]).tolist() == []
    assert small.archs() == archs


def test_what_is_not_in_the_table_is_named(small, archs):
    absent = next(a for a in SPACE.enumerate() if a not in set(archs))
    other = Arch("size", archs[0].genes)
    for stranger in (absent, SPACE.format(absent), other):
        assert small.rows_of([archs[0], stranger]).tolist() == [0, -1]
        with pytest.raises(OutOfTableError, match="1 of 2 architectures are not in 'small'"):
            small.query([archs[0], stranger], ACC)
        with pytest.raises(OutOfTableError):
            small.curves([stranger], ACC)
    with pytest.raises(ArchError, match="rubbish"):
        small.rows_of(["rubbish"])


def test_what_was_not_measured_is_named(small, small_data, archs):
    with pytest.raises(MissingValueError) as caught:
        small.query(archs[9:12], ACC)
    assert "1 of 3" in str(caught.value)
    assert small_data.texts[9] in str(caught.value)
    with pytest.raises(MissingValueError, match="1 of 30"):
        small.query(None, "cifar100/val_accuracy")
    assert np.isnan(small.query([archs[9]], ACC, missing="nan"))
    assert not np.isnan(small.query([archs[4]], ACC))  # two of three runs
    with pytest.raises(MissingValueError):
        small.query([archs[4]], ACC, seed=999)


def test_unknown_metrics_epochs_and_seeds_are_named(small, archs):
    with pytest.raises(UnknownNameError, match="cifar10/test_accuracy"):
        small.query(archs, "cifar10/test_acuracy")
    for call in (small.query, small.curves):
        with pytest.raises(UsageError, match="no seed 5: it has 777, 888, 999"):
            call(archs, ACC, seed=5)
    with pytest.raises(UsageError, match="no epoch 200: it has 1, 4, 12, 36"):
        small.query(archs, ACC, epoch=200)


def test_cost_is_training_seconds(small, small_data, archs):
    seconds = small_data.values["cifar10/train_seconds"]
    np.testing.assert_array_equal(small.cost(archs), seconds[:, 0, 1])
    np.testing.assert_array_equal(small.cost(archs[3:5], epochs=4), seconds[3:5, 0, 0])
    np.testing.assert_array_equal(small.cost(None, dataset="cifar10"), seconds[:, 0, 1])
    with pytest.raises(UsageError, match="no epoch 5"):
        small.cost(archs, epochs=5)
    with pytest.raises(BenchmarkError, match=r"'cifar10', so it cannot .* 'digits'"):
        small.cost(archs, dataset="digits")


def test_cost_asks_which_dataset_and_says_where_there_is_none(small_data):
    metric = Metric("train_seconds", "digits", "seconds")
    values = np.full((30, 1, 1), 2.0)
    two = from_data(
        replace(
            small_data,
            metrics={**small_data.metrics, metric.key: metric},
            values={**small_data.values, metric.key: values},
        )
    )
    with pytest.raises(UsageError, match="'cifar10', 'digits': say which"):
        two.cost(None)
    assert two.cost(None, dataset="digits").tolist() == [2.0] * 30
    none = replace(
        small_data,
        metrics={"params": small_data.metrics["params"]},
        values={"params": small_data.values["params"]},
    )
    with pytest.raises(BenchmarkError, match="no training times"):
        from_data(none).cost(None)


@pytest.fixture
def texts_only() -> Table:
    values = np.arange(3.0).reshape(3, 1, 1)
    names = ["net | one", "nét\ntwo", "{three}"]
    return from_data(TableData("t", names, {"m": Metric("m")}, {"m": values}))


def test_a_table_without_a_space_is_asked_by_text(texts_only):
    assert texts_only.query(["{three}", "nét\ntwo"], "m").tolist() == [2.0, 1.0]
    assert texts_only.genes is None
    for stranger in ("3.0.1.1.0.3", "net one", Arch("nb201", (3, 0, 1, 1, 0, 3)), Arch("", ())):
        with pytest.raises(OutOfTableError):
            texts_only.query([stranger], "m")
    with pytest.raises(BenchmarkError, match="no search space"):
        texts_only.archs()


def test_a_space_that_a_file_names_is_never_imported(small_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('ran', 'w')\nspace = None\n")
    for space in ("evil.py:space", "evil:space", "not-installed"):
        found = from_data(replace(small_data, space=space))
        arch = Arch(space, tuple(small_data.genes[3].tolist()))
        assert found.rows_of([arch, small_data.texts[4]]).tolist() == [3, 4]
        assert found.rows_of(["3.0.1.1.0.3"]).tolist() == [-1]
    assert not (tmp_path / "ran").exists()


def test_values_keep_their_own_numbers(small, small_data):
    row, column = 0, 3
    stored = small_data.values[ACC][row, :, column]
    assert small.query(None, ACC, seed=777, missing="nan")[row] == float(stored[0]) * 0.01
    whole = small_data.values["params"][:, 0, 0]
    assert small.query(None, "params").astype(np.int64).tolist() == whole.tolist()


BAD = {
    "name": (lambda d: {"name": "../x"}, "no name of a table"),
    "empty name": (lambda d: {"name": ""}, "no name of a table"),
    "no rows": (lambda d: {"texts": []}, "no architecture or no metric"),
    "no metrics": (lambda d: {"metrics": {}, "values": {}}, "no architecture or no metric"),
    "text twice": (lambda d: {"texts": [d.texts[0]] * 30}, "some architecture twice"),
    "metric without values": (
        lambda d: {"values": {"params": d.values["params"]}}, "look at cifar10/test_accuracy",
    ),
    "genes without a space": (lambda d: {"space": ""}, "Expected genes"),
    "genes of other rows": (lambda d: {"genes": d.genes[:3]}, "Expected genes"),
    "no genes at all": (lambda d: {"genes": d.genes[:, :0]}, "Expected genes"),
    "flat genes": (lambda d: {"genes": d.genes[:, 0]}, "Expected genes"),
    "negative genes": (lambda d: {"genes": d.genes - 1}, "integers >= 0"),
    "broken genes": (lambda d: {"genes": d.genes / 2}, "integers >= 0"),
    "genes twice": (lambda d: {"genes": d.genes * 0}, "some genes twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_data_that_contradict_themselves_are_refused(name, small_data, tmp_path):
    change, sentence = BAD[name]
    broken = replace(small_data, **change(small_data))
    with pytest.raises(BenchmarkError, match=sentence):
        from_data(broken)
    with pytest.raises(BenchmarkError, match=sentence):
        write_table(broken, tmp_path / "t.foretell")
    assert list(tmp_path.iterdir()) == []


ONE = np.zeros((2, 1, 1))
ODD = {
    "other key": ({"n": Metric("m")}, {"n": ONE}, "stands under 'n'"),
    "two axes": ({"m": Metric("m")}, {"m": ONE[0]}, "Expected values"),
    "other seeds": ({"m": Metric("m", seeds=(1, 2))}, {"m": ONE}, r"\(2, 2, 1\)"),
    "no epochs": ({"m": Metric("m", epochs=())}, {"m": ONE[:, :, :0]}, "Expected values"),
    "texts": ({"m": Metric("m")}, {"m": ONE.astype(str)}, "should be one of float64"),
    "truths": ({"m": Metric("m")}, {"m": ONE.astype(bool)}, "should be one of float64"),
    "objects": ({"m": Metric("m")}, {"m": ONE.astype(object)}, "should be one of float64"),
    "falling epochs": (
        {"m": Metric("m", epochs=(2, 1))}, {"m": np.zeros((2, 1, 2))}, "should rise",
    ),
    "a seed twice": ({"m": Metric("m", seeds=(1, 1))}, {"m": np.zeros((2, 2, 1))}, "differ"),
    "no scale": ({"m": Metric("m", scale=0.0)}, {"m": ONE}, "scale"),
    "endless scale": ({"m": Metric("m", scale=float("nan"))}, {"m": ONE}, "scale"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_metrics_that_contradict_their_values_are_refused(name):
    metrics, values, sentence = ODD[name]
    with pytest.raises(BenchmarkError, match=sentence):
        from_data(TableData("t", ["a", "b"], metrics, values))


def test_a_table_is_written_whole_or_not_at_all(small_data, tmp_path, monkeypatch):
    path = write_table(small_data, tmp_path / "deep" / "small.foretell")
    before = path.read_bytes()

    def full(data, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_table(small_data, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(BenchmarkError, match=r"should end in \.foretell"):
        write_table(small_data, tmp_path / "small.csv")


def test_published_optima_and_texts_of_nasbench201(validation_data, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    query = "SELECT * FROM read_parquet(?)"
    found = duckdb.execute(query, [str(validation_data / "nb201.parquet")]).fetchnumpy()
    texts = [str(t) for t in found["arch"]]
    metrics = [Metric("test_accuracy", d, scale=0.01) for d in ("cifar10", "cifar100")]
    values = {
        m.key: np.asarray(found[f"test_acc_{m.dataset}"], np.float32)[:, None, None]
        for m in metrics
    }
    archs = [SPACE.parse(t) for t in texts]
    genes = SPACE.genes(archs)
    data = TableData("nb201", texts, {m.key: m for m in metrics}, values, "nb201", genes)
    opened = Table.open(write_table(data, tmp_path / "nb201.foretell"))
    for dataset, best, row in (("cifar10", 0.9437, 6111), ("cifar100", 0.7351, 9930)):
        accuracy = opened.query(archs, f"{dataset}/test_accuracy")
        assert int(accuracy.argmax()) == row
        assert accuracy.max() == pytest.approx(best, abs=5e-5)
    assert opened.rows_of(texts[::-1]).tolist() == list(range(15_625))[::-1]
