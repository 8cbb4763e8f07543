"""The same facts by two ways: an official layout, filled with them, and the extracted table."""

import json
import pickle

import numpy as np
import pytest

from foretell.benchmarks.importers import read_benchmark

PROXIES = ("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot",
           "plain", "snip", "synflow", "zen")  # fmt: skip


@pytest.fixture(scope="module")
def rows(validation_data):
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "nb201.parquet"
    relation = duckdb.sql(f"SELECT * FROM '{path}' WHERE suite_row < 300 ORDER BY suite_row")
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


@pytest.fixture(scope="module")
def extracted(validation_data):
    pytest.importorskip("duckdb")
    return read_benchmark("parquet", validation_data / "nb201.parquet")


def compare(found, extracted, keys, rtol=0.0):
    places = {t: i for i, t in enumerate(extracted.texts)}
    order = [places[t] for t in found.texts]
    for key in keys:
        first, second = found.metrics[key], extracted.metrics[key]
        for name in ("name", "dataset", "unit", "higher_is_better", "kind", "split", "epochs"):
            assert getattr(first, name) == getattr(second, name), (key, name)
        np.testing.assert_allclose(
            found.values[key][:, 0, 0] * first.scale,
            extracted.values[key][order, 0, 0] * second.scale,
            rtol=rtol,
        )


def test_suite_zero(tmp_path, rows, extracted):
    content = {
        row["nb_tuple"]: {
            **{p: {"score": row[f"zcs_{p}_cifar10"], "time": 1.0} for p in PROXIES},
            "val_accuracy": row["val_acc_cifar10_nbsz"],
        }
        for row in rows
    }
    path = tmp_path / "zc_nasbench201.json"
    path.write_text(json.dumps({"cifar10": content}))
    found = read_benchmark("suite-zero", path)
    assert len(found.texts) == 300
    compare(found, extracted, [f"cifar10/{p}" for p in PROXIES])


def test_robustness(tmp_path, rows, extracted):
    ids = {str(r["idx"]): {"nb201-string": r["arch"], "isomorph": str(r["idx"])} for r in rows}
    epsilons = {"fgsm@Linf": [0.1, 1.0, 255.0], "aa_apgd-ce@Linf": [0.5, 8.0]}
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "meta.json").write_text(json.dumps({"ids": ids, "epsilons": epsilons}))
    keys = []
    for attack, strengths in epsilons.items():
        name = attack.removesuffix("@Linf")
        values = {
            str(r["idx"]): [r[f"adv_cifar10_{name}_eps{e}"] / 100 for e in strengths] for r in rows
        }
        content = {"cifar10": {attack: {"accuracy": values}}}
        (tmp_path / "cifar10" / f"{attack}_accuracy.json").write_text(json.dumps(content))
        keys += [f"cifar10/{name}_eps{e:g}_accuracy" for e in strengths]
    compare(read_benchmark("nb201-robustness", tmp_path), extracted, keys, rtol=1e-12)


def test_hw_nas(tmp_path, rows, extracted):
    columns = ("edgegpu_latency", "edgegpu_energy", "raspi4_latency", "edgetpu_latency",
               "eyeriss_latency", "eyeriss_arithmetic_intensity", "fpga_latency")  # fmt: skip
    content = {c: [r[f"hw_{c}_cifar10"] for r in rows] for c in columns}
    content["config"] = [{"arch_str": r["arch"]} for r in rows]
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps({"nasbench201": {"cifar10": content}, "fbnet": {}}))
    found = read_benchmark("hw-nas", path)
    assert len(found.metrics) == len(columns)
    compare(found, extracted, found.metrics)


def test_hw_nas_example_of_its_authors(extracted):
    """Network 0 on CIFAR-10, as the README of HW-NAS-Bench prints it."""
    for key, value in {
        "latency_edgegpu": 5.807418537139893,
        "energy_edgegpu": 24.226614330768584,
        "latency_raspi4": 10.481976820010459,
        "latency_edgetpu": 0.9571811309997429,
        "latency_eyeriss": 3.645620000000001,
        "latency_fpga": 2.57296,
    }.items():
        assert extracted.values[f"cifar10/{key}"][0, 0, 0] == pytest.approx(value, rel=1e-6)


def test_cells_of_nb101(validation_data):
    duckdb = pytest.importorskip("duckdb")
    table = read_benchmark("nb101", validation_data / "ec-nas" / "energy_4V9E.tfrecord")
    path = validation_data / "nb101_all_cells.parquet"
    some = ", ".join(f"unhex('{text}')" for text in table.texts)
    known = dict(
        duckdb.sql(
            f"SELECT lower(hex(hash)), n_vertices FROM '{path}' WHERE hash IN ({some})"
        ).fetchall()
    )
    found = dict(zip(table.texts, table.values["vertices"][:, 0, 0].tolist(), strict=True))
    assert {h: known[h] for h in found} == found
    assert (table.space, table.genes.shape) == ("nb101", (91, 26))
    assert len(np.unique(table.genes, axis=0)) == 91
