"""CSV and Parquet tables: what is a name, what is an axis, what is a metric."""

import csv
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.benchmarks.importers import read_benchmark
from foretell.benchmarks.importers._names import column_metric, dataset_name
from foretell.benchmarks.importers.columns import read_csv, read_parquet
from foretell.errors import ArchError, MissingExtraError, TableFormatError, UsageError
from foretell.spaces import get_space


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def quiet(done, total):
    pass


def test_marks_of_failed_proxies_are_not_numbers(tmp_path):
    text = "arch,jacov,accuracy\na,-1e8,-1e8\nb,-inf,2\nc,3.5,3\n"
    table = read_benchmark("csv", write(tmp_path / "t.csv", text))
    np.testing.assert_array_equal(table.values["jacov"][:, 0, 0], [np.nan, np.nan, 3.5])
    assert table.values["accuracy"][0, 0, 0] == -1e8  # a mark of proxies alone


# --- real tables ----------------------------------------------------------------------------------


def test_every_table_of_numbers_opens(validation_data):
    pytest.importorskip("duckdb")
    tables = [
        p
        for p in sorted([*validation_data.rglob("*.csv"), *validation_data.rglob("*.parquet")])
        if p.name != "model_metadata-in1k.csv"
    ]
    assert len(tables) >= 15
    for path in tables:
        if path.name == "nb101_all_cells.parquet":
            continue  # 423,624 rows: seconds, and nothing new
        table = read_benchmark(path.suffix[1:], path)
        assert len(set(table.texts)) == len(table.texts) > 0, path.name
        assert table.metrics.keys() == table.values.keys()
        for key, metric in table.metrics.items():
            shape = (len(table.texts), len(metric.seeds), len(metric.epochs))
            assert table.values[key].shape == shape, (path.name, key)
            assert not np.isnan(table.values[key]).all()
        assert table.facts["source"] == path.name
    with pytest.raises(TableFormatError, match="no column of numbers"):
        read_benchmark("csv", validation_data / "timm" / "model_metadata-in1k.csv")


def test_nb201_and_its_published_optima(validation_data):
    pytest.importorskip("duckdb")
    table = read_benchmark("parquet", validation_data / "nb201.parquet")
    assert (len(table.texts), table.space) == (15_625, "nb201")
    space = get_space("nb201")
    assert [space.parse(t).genes for t in table.texts[:50]] == [tuple(g) for g in table.genes[:50]]
    for dataset, row, best in (("cifar10", 6111, 94.37), ("cifar100", 9930, 73.51)):
        values = table.values[f"{dataset}/test_accuracy"][:, 0, 0]
        assert int(np.nanargmax(values)) == row
        assert values[row] == pytest.approx(best, abs=0.005)
    metrics = table.metrics
    assert metrics["cifar10/test_accuracy"].scale == 0.01
    assert metrics["cifar10-valid/test_accuracy"].summary == ""
    assert metrics["cifar10/val_accuracy_hp12"].epochs == (12,)
    assert metrics["cifar10/train_seconds"].epochs == (200,)
    assert metrics["cifar10/params"].scale == 1e6
    assert metrics["cifar10/params"].kind == "cost"
    flops = metrics["cifar10/flops"]
    assert (flops.kind, flops.higher_is_better) == ("proxy", True)
    assert int((~np.isnan(table.values["cifar10/flops"])).sum()) == 9_445
    assert "zcs_flops_cifar10" in flops.summary
    assert {"cifar10/zcs_params", "cifar10/nbsz_zen", "cifar10/synflow"} <= metrics.keys()
    attack = metrics["cifar10/fgsm_eps0.5_accuracy"]
    assert (attack.unit, attack.scale, attack.split) == ("fraction", 0.01, "test")
    assert metrics["cifar10/latency_edgegpu"].unit == "ms"
    assert metrics["cifar10/energy_edgegpu"].unit == "mJ"
    assert metrics["suite_row"].dataset == ""


def test_long_tables_become_axes(validation_data):
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "transbench101_micro.parquet"
    table = read_benchmark("parquet", path)
    assert len(table.texts) == 4_096
    rows = duckdb.sql(f"SELECT dataset, arch, val_accuracy, synflow FROM '{path}'").fetchall()
    places = {t: i for i, t in enumerate(table.texts)}
    for dataset, arch, accuracy, synflow in rows[::37]:
        for name, value in (("val_accuracy", accuracy), ("synflow", synflow)):
            found = table.values[f"{dataset}/{name}"][places[arch], 0, 0]
            assert found == value or (value is None and np.isnan(found))


def test_lists_are_curves(validation_data):
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "nb201_curves_200.parquet"
    table = read_benchmark("parquet", path)
    assert table.metrics["val_accuracy"].epochs == tuple(range(1, 201))
    rows = dict(duckdb.sql(f"SELECT arch, val_acc_curve FROM '{path}'").fetchall())
    expected = np.array([rows[t] for t in table.texts], dtype=np.float64)
    np.testing.assert_array_equal(table.values["val_accuracy"][:, 0], expected)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "key", "unit", "better", "kind", "split", "epochs", "scale"),
    [
        ("test_acc_cifar10", "cifar10/test_accuracy", "fraction", True, "quality", "test", 0, 0.01),
        ("val_acc", "val_accuracy", "fraction", True, "quality", "val", 0, 0.01),
        ("x-valid_acc", "x-valid_accuracy", "fraction", True, "quality", "val", 0, 0.01),
        ("ori-test_loss", "ori-test_loss", "nats", False, "quality", "test", 0, 1),
        (
            "test_acc_cifar10_trainsplit",
            "cifar10-valid/test_accuracy",
            "fraction",
            True,
            "quality",
            "test",
            0,
            0.01,
        ),
        (
            "valid12_acc_cifar100",
            "cifar100/val_accuracy_hp12",
            "fraction",
            True,
            "quality",
            "val",
            12,
            0.01,
        ),
        ("val_acc_36", "val_accuracy_hp36", "fraction", True, "quality", "val", 36, 0.01),
        ("train_time_108_s", "train_seconds", "seconds", False, "cost", "", 108, 1),
        (
            "train_time200_cifar10_s",
            "cifar10/train_seconds",
            "seconds",
            False,
            "cost",
            "",
            200,
            1,
        ),
        ("time_zen_s", "zen_seconds", "seconds", False, "cost", "", 0, 1),
        ("params_cifar10_M", "cifar10/params", "count", None, "cost", "", 0, 1e6),
        ("params", "params", "count", None, "cost", "", 0, 1),
        ("zcs_jacov_cifar10", "cifar10/jacov", "", True, "proxy", "", 0, 1),
        ("zcnas_jacob_cov", "jacov", "", True, "proxy", "", 0, 1),
        ("synflow", "synflow", "", True, "proxy", "", 0, 1),
        (
            "adv_cifar10_aa_apgd-ce_eps1.0",
            "cifar10/aa_apgd-ce_eps1_accuracy",
            "fraction",
            True,
            "quality",
            "test",
            0,
            0.01,
        ),
        ("hw_fpga_energy_cifar100", "cifar100/energy_fpga", "mJ", False, "cost", "", 0, 1),
        ("throughput_a100", "throughput_a100", "", True, "cost", "", 0, 1),
        ("latency_zcu102", "latency_zcu102", "", False, "cost", "", 0, 1),
        ("top1", "top1", "fraction", True, "quality", "", 0, 0.01),
        ("val_top5", "val_top5", "fraction", True, "quality", "val", 0, 0.01),
        ("top1_err", "top1_err", "fraction", False, "quality", "", 0, 0.01),
        ("whatever", "whatever", "", None, "cost", "", 0, 1),
    ],
)
def test_what_a_name_says(column, key, unit, better, kind, split, epochs, scale):
    metric = column_metric(column, np.array([10.0, np.nan, 90.0]))
    assert metric.key == key
    assert (metric.unit, metric.higher_is_better, metric.kind) == (unit, better, kind)
    assert (metric.split, metric.epochs, metric.scale) == (split, (epochs,), scale)


def test_fractions_are_told_from_per_cent():
    assert column_metric("val_acc", np.array([0.1, 1.0, np.nan])).scale == 1.0
    assert column_metric("val_acc", np.array([0.1, 2.0])).scale == 0.01
    assert column_metric("val_acc", np.array([np.nan])).scale == 1.0


def test_dataset_names():
    assert dataset_name("ImageNet16-120") == dataset_name("ImageNet16") == "imagenet16-120"
    assert dataset_name("class_object") == "class_object"


# --- CSV ------------------------------------------------------------------------------------------


def test_a_plain_csv(tmp_path):
    path = write(
        tmp_path / "mine.csv",
        'arch,val_acc,note,params,ok\na,90.5,x,"1,234.5",True\nb,,y,7,False\n',
    )
    seen = []
    table = read_benchmark("csv", path, lambda *p: seen.append(p))
    assert seen == [(0, 2), (2, 2)]
    assert (table.name, table.texts, table.space) == ("mine", ["a", "b"], "")
    np.testing.assert_array_equal(table.values["val_accuracy"][:, 0, 0], [90.5, np.nan])
    np.testing.assert_array_equal(table.values["params"][:, 0, 0], [1234.5, 7])
    np.testing.assert_array_equal(table.values["ok"][:, 0, 0], [1, 0])
    assert table.facts["key"] == "arch"
    assert "note" in table.facts["left out"]


def test_cells_of_the_space_are_understood(tmp_path):
    space = get_space("nb201")
    archs = [space.sample(np.random.default_rng(i)) for i in range(5)]
    lines = [f"{space.format(a)},{i}" for i, a in enumerate(archs)]
    table = read_benchmark("csv", write(tmp_path / "t.csv", "\n".join(["arch,x", *lines])))
    assert table.space == "nb201"
    assert [tuple(g) for g in table.genes] == [a.genes for a in archs]
    sizes = write(tmp_path / "s.csv", "arch,x\n8:8:8:8:8,1\n8:8:8:8:64,2\n")
    assert read_benchmark("csv", sizes).space == "size"
    other = write(tmp_path / "o.csv", "arch,x\n8:8:8:8:8,1\n8:8:8:8:65,2\n")
    assert read_benchmark("csv", other).space == ""
    with pytest.raises(ArchError):
        read_csv(other, quiet, space="size")
    dotted = write(tmp_path / "d.csv", "arch,x\n0.1.2.3.4.0,1\n")
    assert read_benchmark("csv", dotted).space == ""
    assert read_csv(dotted, quiet, space="nb201").texts == [
        "|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|"
    ]


def test_seeds_epochs_datasets_and_schedules_are_axes(tmp_path):
    lines = ["model,task,seed,epoch,hp,train_loss"]
    expected = {}
    for m in "ab":
        for t in ("cifar10", "ImageNet16-120"):
            for s in (3, 1):
                for e in (1, 5):
                    for h in ("01", "12"):
                        value = len(lines)
                        lines.append(f"{m},{t},{s},{e},{h},{value}")
                        expected[m, dataset_name(t), s, e, h] = value
    lines.pop()
    table = read_benchmark("csv", write(tmp_path / "t.csv", "\n".join(lines)))
    assert table.texts == ["a", "b"]
    for (m, t, s, e, h), value in expected.items():
        metric = table.metrics[f"{t}/train_loss_hp{int(h)}"]
        assert (metric.seeds, metric.epochs) == ((1, 3), (1, 5))
        place = ("ab".index(m), metric.seeds.index(s), metric.epochs.index(e))
        found = table.values[metric.key][place]
        assert found == value or (np.isnan(found) and (m, s, e, h) == ("b", 1, 5, "12"))


def test_the_name_column_can_be_given(tmp_path):
    path = write(tmp_path / "t.csv", "id,left,right,x\n1,a,b,1\n2,a,c,2\n")
    assert read_csv(path, quiet).texts == ["1", "2"]
    assert read_csv(path, quiet, arch="right").texts == ["b", "c"]
    table = read_csv(path, quiet, arch="left, right")
    assert table.texts == ["a|b", "a|c"]
    assert list(table.metrics) == ["id", "x"]
    with pytest.raises(UsageError, match="no column 'nope'"):
        read_csv(path, quiet, arch="nope")
    with pytest.raises(TableFormatError, match="several rows are about 'a'"):
        read_csv(path, quiet, arch="left")


def test_columns_that_tell_rows_apart_join_the_name(tmp_path):
    path = write(tmp_path / "t.csv", "model,note,size,x\na,n,1,0.5\na,n,2,0.5\nb,n,1,0.5\n")
    table = read_benchmark("csv", path)
    assert table.texts == ["a|1", "a|2", "b|1"]
    assert table.facts["key"] == "model, size"


def test_a_file_without_header(tmp_path):
    table = read_benchmark("csv", write(tmp_path / "t.csv", "a,1\nb,2\n"))
    assert (table.texts, list(table.metrics)) == (["a", "b"], ["column1"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("arch,x\n", "no rows"),
        ("x,y\n1.5,2.5\n", "no column that names"),
        ("arch,x\na\n", "1 cells, but the header has 2"),
        ("arch,x,x\na,1,2\n", "two columns of one name"),
        ("arch,x\na,b\n", "no column of numbers"),
        ("arch,x\na,1\na,1\n", "several rows are about 'a'"),
        ("arch,val_acc,val_accuracy,val_acc_curve\na,1,2,3\n", "Two columns|several"),
        ('arch,x\n"a,1\n', "CSV"),
        ("arch,x\na," + "1" * 200_000 + "\n", "CSV"),
    ],
)
def test_tables_that_are_none(tmp_path, text, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("csv", write(tmp_path / "t.csv", text))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"arch,x\n\xff,1\n")
    with pytest.raises(TableFormatError, match="CSV"):
        read_benchmark("csv", tmp_path / "t.csv")


def test_an_absurd_table_is_refused(tmp_path):
    lines = ["arch,seed,epoch,x", *(f"a{i},{i},{i},1" for i in range(1500))]
    with pytest.raises(TableFormatError, match="places in the table"):
        read_benchmark("csv", write(tmp_path / "t.csv", "\n".join(lines)))


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=9), st.floats(allow_nan=False, width=32)),
        min_size=1,
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_numbers_come_out_as_they_went_in(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        csv.writer(file).writerows([("name", "x"), *((f"n{t}", v) for t, v in pairs)])
    table = read_benchmark("csv", path)
    np.testing.assert_array_equal(table.values["x"][:, 0, 0], [v for _, v in pairs])


# --- Parquet --------------------------------------------------------------------------------------


def test_types_of_parquet(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql(
        f"""COPY (SELECT * FROM (VALUES
        ('\\xAB'::BLOB, true, 1::TINYINT, 1.5::DECIMAL(4, 2), NULL::FLOAT, [1.0, NULL],
            DATE '2020-01-01'),
        ('\\xAC'::BLOB, NULL, -1::TINYINT, NULL, 2.5::FLOAT, [7.0], NULL)
        ) v(hash, flag, tiny, exact, single, "val_acc_curve", day)) TO '{path}' (FORMAT parquet)"""
    )
    table = read_benchmark("parquet", path)
    assert table.texts == ["ab", "ac"]
    nan = np.nan
    for key, expected in {
        "flag": [[[1]], [[nan]]],
        "tiny": [[[1]], [[-1]]],
        "exact": [[[1.5]], [[nan]]],
        "single": [[[nan]], [[2.5]]],
        "val_accuracy": [[[1, nan]], [[7, nan]]],
    }.items():
        np.testing.assert_array_equal(table.values[key], expected)
    assert "day" in table.facts["left out"]


def test_lists_and_epochs_do_not_go_together(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "t.parquet"
    duckdb.sql(
        f"COPY (SELECT 'a' AS arch, i AS epoch, [1.0, 2.0] AS loss FROM range(3) r(i)) "
        f"TO '{path}' (FORMAT parquet)"
    )
    with pytest.raises(TableFormatError, match="lists and a column of epochs"):
        read_benchmark("parquet", path)


def test_parquet_without_the_extra(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"foretell\[store\]"):
        read_benchmark("parquet", tmp_path / "t.parquet")


def test_what_is_no_parquet(tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(TableFormatError, match="Parquet"):
        read_parquet(tmp_path / "t.parquet", quiet)


def test_one_architecture_under_two_names(tmp_path):
    path = write(tmp_path / "t.csv", "arch,x\n0.0.0.0.0,1\n8:8:8:8:8,2\n")
    assert read_benchmark("csv", path).space == ""
    with pytest.raises(TableFormatError, match="one architecture of 'size'"):
        read_csv(path, quiet, space="size")
