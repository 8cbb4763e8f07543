"""NAS-Bench-Suite-Zero, the robustness dataset and HW-NAS-Bench."""

import json
import pickle

import numpy as np
import pytest
from import_writers import CELLS, hw_nas_content, suite_zero_content, write_robustness

from foretell.arch import Arch
from foretell.benchmarks.importers import read_benchmark
from foretell.benchmarks.importers.suite_zero import nb201_genes
from foretell.benchmarks.table import from_data
from foretell.errors import ArchError, MissingDataError, TableFormatError
from foretell.spaces import get_space


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


# --- NAS-Bench-Suite-Zero -------------------------------------------------------------------------


def test_suite_zero_in_the_official_layout(tmp_path):
    table = read_benchmark(
        "suite-zero", write(tmp_path / "zc_nasbench201.json", suite_zero_content())
    )
    assert table.space == "nb201"
    assert table.texts[0] == (
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1"
        "|skip_connect~2|"
    )
    nan = np.nan
    for key, expected in {
        "cifar10/synflow": [12.5, 2.5],
        "cifar10/jacov": [nan, nan],
        "cifar10/synflow_seconds": [0.5, 0.5],
        "cifar10/val_accuracy": [81.9, 10.0],
        "imagenet16-120/val_accuracy": [nan, 20.5],
    }.items():
        np.testing.assert_array_equal(table.values[key][:, 0, 0], expected)
    synflow = table.metrics["cifar10/synflow"]
    assert (synflow.kind, synflow.higher_is_better) == ("proxy", True)
    assert table.metrics["cifar10/val_accuracy"].scale == 0.01
    assert table.metrics["cifar10/synflow_seconds"].kind == "cost"


def test_other_spaces_keep_their_own_names(tmp_path):
    content = {"class_object": {"(0, 3, 0, 1, 2, 1)": {"val_accuracy": 0.5}}}
    table = read_benchmark("suite-zero", write(tmp_path / "zc_another.json", content))
    assert (table.space, table.genes, table.texts) == ("", None, ["(0, 3, 0, 1, 2, 1)"])
    assert table.metrics["class_object/val_accuracy"].scale == 1.0


@pytest.mark.parametrize(
    ("name", "space", "nets", "texts"),
    [
        (
            "zc_transbench101_micro.json",
            "transnas_micro",
            ["(0, 3, 0, 1, 2, 1)", "(3, 3, 3, 3, 2, 1)"],
            ["64-41414-0_30_121", "64-41414-3_33_321"],
        ),
        (
            "zc_transbench101_macro.json",
            "transnas_macro",
            ["(3, 4, 1, 1, 1, 1)", "(1, 2, 3, 4)"],
            ["64-341111-basic", "64-1234-basic"],
        ),
    ],
)
def test_transnas_tuples_in_their_spaces(tmp_path, name, space, nets, texts):
    content = {"class_object": {net: {"val_accuracy": 0.5} for net in nets}}
    table = read_benchmark("suite-zero", write(tmp_path / name, content))
    assert (table.space, table.texts) == (space, texts)
    found = [get_space(space).parse(text).genes for text in texts]
    np.testing.assert_array_equal(table.genes, found)


@pytest.mark.parametrize(
    ("nets", "words"),
    [
        (["(9, 4, 1, 1, 1, 1)"], "no architecture"),
        (["(1, 1, 1, 1)"], "double the channels"),
        (["(1, 2, 3, 4)", "(1, 2, 3, 4, 0, 0)"], "two names"),
    ],
)
def test_what_transnas_tuples_may_not_be(tmp_path, nets, words):
    content = {"class_object": {net: {"val_accuracy": 0.5} for net in nets}}
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("suite-zero", write(tmp_path / "zc_transbench101_macro.json", content))


def test_cells_of_nb101_and_darts_in_their_spaces(tmp_path, validation_data):
    duckdb = pytest.importorskip("duckdb")
    genotypes = duckdb.sql(f"SELECT arch FROM '{validation_data}/nasbench301.parquet' LIMIT 9")
    for name, space, nets in (
        ("zc_nasbench301.json", "darts", [row[0] for row in genotypes.fetchall()]),
        (
            "zc_nasbench101.json",
            "nb101",
            ["(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 4, 1)", "(0, 1, 0, 0, 0, 1)"],
        ),
    ):
        content = {"cifar10": {net: {"val_accuracy": i / 10} for i, net in enumerate(nets)}}
        table = from_data(read_benchmark("suite-zero", write(tmp_path / name, content)))
        assert table.space == space
        found = table.query(nets, "cifar10/val_accuracy")
        np.testing.assert_allclose(found, np.arange(len(nets)) / 10)
        np.testing.assert_allclose(table.query(table.archs(), "cifar10/val_accuracy"), found)


def test_cells_written_as_lists_are_the_tuples(tmp_path):
    space = get_space("darts")
    rng = np.random.default_rng(3)
    archs = list(dict.fromkeys(space.sample(rng) for _ in range(4)))
    cells = [a.genes for a in archs]
    names = []
    for genes in cells:
        edges = [(genes[i], genes[i + 1]) for i in range(0, 32, 2)]
        names.append(str([edges[:8], edges[8:]]))
    content = {"cifar10": {n: {"val_accuracy": 90.0 + i} for i, n in enumerate(names)}}
    for file in ("zc_nasbench301.json", "elsewhere.json"):
        table = read_benchmark("suite-zero", write(tmp_path / file, content))
        assert table.space == "darts"
        np.testing.assert_array_equal(table.genes, cells)
    lists = {"cifar10": {"[4, 3, 3, 0, 0, 0]": {"val_accuracy": 80.0}}}
    table = read_benchmark("suite-zero", write(tmp_path / "zc_nasbench201.json", lists))
    np.testing.assert_array_equal(table.genes, [nb201_genes("(4, 3, 3, 0, 0, 0)")])


def test_a_cell_with_several_names_keeps_the_first(tmp_path):
    nets = {
        "(0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 4, 1)": {"val_accuracy": 0.5},
        "(0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 2, 1)": {"val_accuracy": 0.75},
        "(0, 1, 0, 0, 0, 1)": {"val_accuracy": 0.25},
    }
    content, path = {"cifar10": nets}, tmp_path / "zc_nasbench101.json"
    table = read_benchmark("suite-zero", write(path, content))
    assert table.values["cifar10/val_accuracy"].ravel().tolist() == [0.5, 0.25]
    assert table.facts["left out"] == "1 further names of networks that are here"
    nets["(0, 1, 0, 0)"] = {"val_accuracy": 0.25}
    with pytest.raises(TableFormatError, match="no architecture"):
        read_benchmark("suite-zero", write(path, content))


def test_every_tuple_means_the_published_cell(validation_data):
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(f"SELECT nb_tuple, arch FROM '{validation_data}/nb201.parquet'").fetchall()
    space = get_space("nb201")
    assert len(rows) == 15_625
    for text, arch in rows:
        assert space.format(Arch("nb201", nb201_genes(text))) == arch


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "JSON"),
        ([], "no scores"),
        ({}, "no scores"),
        ({"cifar10": []}, "no networks by name"),
        ({"cifar10": {}}, "no network"),
        ({"cifar10": {"(4, 3, 3, 0, 0, 0)": []}}, "expected scores by proxy"),
        ({"cifar10": {"(4, 3, 3, 0, 0, 0)": {"magic": {"score": 1}}}}, "no proxy"),
        ({"cifar10": {"(4, 3, 3, 0, 0, 0)": {"snip": {"time": 1}}}}, "no proxy with a score"),
        ({"cifar10": {"(4, 3, 3, 0, 0, 0)": {"snip": {"score": "1"}}}}, "a number"),
        ({"cifar10": {"(4, 3, 3, 0, 0, 5)": {"val_accuracy": 1}}}, "no cell"),
        ({"cifar10": {"(4, 3, 3, 0, 0)": {"val_accuracy": 1}}}, "no cell"),
        ({"cifar10": {"__import__('os')": {"val_accuracy": 1}}}, "no cell"),
    ],
)
def test_what_suite_zero_may_not_hold(tmp_path, content, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("suite-zero", write(tmp_path / "zc_nasbench201.json", content))


def test_a_folder_of_several_suite_zero_files(tmp_path):
    write(tmp_path / "zc_nasbench201.json", suite_zero_content())
    assert len(read_benchmark("suite-zero", tmp_path).texts) == 2
    write(tmp_path / "zc_nasbench101.json", suite_zero_content())
    with pytest.raises(MissingDataError, match="one file such as"):
        read_benchmark("suite-zero", tmp_path)


# --- robustness -----------------------------------------------------------------------------------


def test_robustness_in_the_official_layout(tmp_path):
    folder = write_robustness(tmp_path / "r")
    (folder / "cifar10" / "clean_confidence.json").write_text("not read")
    table = read_benchmark("nb201-robustness", folder)
    assert len(table.texts) == 3
    assert table.space == "nb201"
    nan = np.nan
    for name, expected in {
        "clean_accuracy": [0.5, 0.893, 0.893],
        "fgsm_eps0.5_accuracy": [0.25, 0.336, 0.336],
        "fgsm_eps8_accuracy": [0.125, nan, nan],
        "fog_severity3_accuracy": [0.3, 0.3, 0.3],
    }.items():
        np.testing.assert_array_equal(table.values[f"cifar10/{name}"][:, 0, 0], expected)
        metric = table.metrics[f"cifar10/{name}"]
        assert (metric.unit, metric.scale, metric.split) == ("fraction", 1.0, "test")
    assert "Linf" in table.metrics["cifar10/fgsm_eps8_accuracy"].summary


def test_robustness_files_may_lie_flat(tmp_path):
    folder = write_robustness(tmp_path / "r")
    (folder / "cifar10" / "clean_accuracy.json").rename(folder / "clean_accuracy_cifar10.json")
    assert "cifar10/clean_accuracy" in read_benchmark("nb201-robustness", folder).metrics


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({}, "no 'ids'"),
        ({"ids": {"0": 1}}, "needs a 'nb201-string'"),
        ({"ids": {"0": {"nb201-string": CELLS[0], "isomorph": "9"}}}, "needs a 'nb201-string'"),
        (
            {"ids": {i: {"nb201-string": CELLS[0], "isomorph": "0"} for i in ("0", "1")}},
            "twice",
        ),
    ],
)
def test_what_meta_may_not_hold(tmp_path, meta, words):
    folder = write_robustness(tmp_path / "r")
    write(folder / "meta.json", meta)
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nb201-robustness", folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "one inside the other"),
        ({"cifar10": 1}, "one inside the other"),
        ({"cifar10": {"fgsm@Linf": {"accuracy": [1]}}}, "one inside the other"),
        ({"cifar10": {"fgsm@Linf": {"accuracy": {"7": [1, 2]}}}}, "not in meta.json"),
        ({"cifar10": {"fgsm@Linf": {"accuracy": {"0": [1]}}}}, "other 'epsilons'"),
        ({"cifar10": {"fgsm@Linf": {"accuracy": {"0": ["1", 2]}}}}, "a number"),
        ({"cifar10": {"fog": {"accuracy": {"0": [0.5] * 65}}}}, "65 strengths"),
        ({"mnist": {"fog": {"accuracy": {}}}}, "not in the dataset"),
        ({"cifar10": {"fig": {"accuracy": {}}}}, "not in the dataset"),
        ({"cifar10": {"fog": {"speed": {}}}}, "not in the dataset"),
    ],
)
def test_what_accuracies_may_not_hold(tmp_path, content, words):
    folder = write_robustness(tmp_path / "r")
    write(folder / "cifar10" / "fgsm@Linf_accuracy.json", content)
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nb201-robustness", folder)


def test_missing_robustness_files(tmp_path):
    folder = write_robustness(tmp_path / "r")
    for file in (folder / "cifar10").iterdir():
        file.unlink()
    with pytest.raises(MissingDataError, match="no file such as"):
        read_benchmark("nb201-robustness", folder)
    (folder / "meta.json").unlink()
    with pytest.raises(MissingDataError, match=r"no meta\.json"):
        read_benchmark("nb201-robustness", folder)


# --- HW-NAS-Bench ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_hw_nas_in_the_official_layout(tmp_path, protocol):
    (tmp_path / "HW-NAS-Bench-v1_0.pickle").write_bytes(pickle.dumps(hw_nas_content(), protocol))
    for path in (tmp_path, tmp_path / "HW-NAS-Bench-v1_0.pickle"):
        table = read_benchmark("hw-nas", path)
        assert (table.texts, table.space) == (CELLS, "nb201")
        np.testing.assert_array_equal(table.values["cifar10/latency_edgegpu"][:, 0, 0], [5.5, 6.5])
        np.testing.assert_array_equal(
            table.values["imagenet16-120/energy_edgegpu"][:, 0, 0], [48, 50]
        )
        assert table.metrics["cifar10/latency_edgegpu"].unit == "ms"
        assert table.metrics["cifar10/energy_edgegpu"].unit == "mJ"
        assert table.metrics["cifar10/arithmetic_intensity_eyeriss"].higher_is_better is None
        assert not [k for k in table.metrics if "fbnet" in k]


def hw(change):
    content = hw_nas_content()
    change(content["nasbench201"])
    return content


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ([], TableFormatError, "no 'nasbench201'"),
        ({"nasbench201": {}}, TableFormatError, "no 'nasbench201'"),
        ({"nasbench201": {"cifar10": []}}, TableFormatError, "a dataset's costs"),
        (hw(lambda d: d["cifar10"].pop("config")), TableFormatError, "no list 'config'"),
        (hw(lambda d: d["cifar10"]["config"].append({})), TableFormatError, "without 'arch_str'"),
        (
            hw(lambda d: d["cifar10"]["config"].reverse()),
            TableFormatError,
            "those of the other",
        ),
        (
            hw(lambda d: [d[k]["config"][0].update(arch_str=CELLS[1]) for k in d]),
            TableFormatError,
            "twice",
        ),
        (
            hw(lambda d: [d[k]["config"][0].update(arch_str="|x|") for k in d]),
            ArchError,
            "no cell",
        ),
        (hw(lambda d: d["cifar10"].update(magic=[1])), TableFormatError, "no latency or energy"),
        (
            hw(lambda d: d["cifar10"].update(edgegpu_latency=[1.0])),
            TableFormatError,
            "1 numbers of edgegpu_latency",
        ),
        (
            hw(lambda d: d["cifar10"].update(edgegpu_latency=np.zeros((2, 2)))),
            TableFormatError,
            "should be a list",
        ),
    ],
)
def test_what_hw_nas_may_not_hold(tmp_path, content, error, words):
    (tmp_path / "a.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(error, match=words):
        read_benchmark("hw-nas", tmp_path / "a.pickle")
