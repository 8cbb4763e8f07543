"""NATS-Bench: the official samples value for value, and folders written in the official layout."""

import bz2
import shutil

import numpy as np
import pytest
from import_writers import CELLS, record, trial, write_folder

from foretell.benchmarks.importers import importers, read_benchmark
from foretell.errors import MissingDataError, TableFormatError, UnknownNameError
from foretell.spaces import get_space

DATASETS = {
    "cifar10-valid": "cifar10-valid",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "imagenet16-120",
}


@pytest.mark.parametrize(("kind", "longest"), [("tss", "200"), ("sss", "90")])
def test_official_samples_come_out_value_for_value(validation_data, kind, longest):
    duckdb = pytest.importorskip("duckdb")
    table = read_benchmark(f"nats-{kind}", validation_data / "nats-bench")
    rows = duckdb.sql(
        f"SELECT * FROM '{validation_data}/nats_sample_curves.parquet' WHERE space = '{kind}' "
        f"ORDER BY arch, hp, dataset, seed, epoch"
    )
    names, rows = rows.columns, rows.fetchall()
    seconds: dict[tuple[str, ...], float] = {}
    seen = {key: np.zeros(v.shape, dtype=bool) for key, v in table.values.items()}
    checked = 0
    for row in rows:
        found = dict(zip(names, row, strict=True))
        arch = table.texts.index(found["arch"])
        dataset = DATASETS[found["dataset"]]
        suffix = "" if found["hp"] == longest else f"_hp{found['hp']}"
        valtest = dataset in ("cifar100", "imagenet16-120")
        run = (found["arch"], found["hp"], found["dataset"], found["seed"])
        seconds[run] = seconds.get(run, 0.0) + found["train_time_s"]
        expected = {
            "train_accuracy": found["train_acc"],
            "train_loss": found["train_loss"],
            "train_seconds": seconds[run],
            "val_accuracy": found["x-valid_acc"],
            "val_loss": found["x-valid_loss"],
            ("valtest" if valtest else "test") + "_accuracy": found["ori-test_acc"],
            ("valtest" if valtest else "test") + "_loss": found["ori-test_loss"],
        }
        if valtest:
            expected["test_accuracy"] = found["x-test_acc"]
            expected["test_loss"] = found["x-test_loss"]
        for name, value in expected.items():
            if value is None:
                continue
            metric = table.metrics[f"{dataset}/{name}{suffix}"]
            place = (
                arch,
                metric.seeds.index(found["seed"]),
                metric.epochs.index(found["epoch"] + 1),
            )
            assert table.values[metric.key][place] == value
            seen[metric.key][place] = True
            checked += 1
    assert checked > 10_000
    for key, metric in table.metrics.items():
        if metric.name.split("_")[0] in ("train", "val", "test", "valtest"):
            np.testing.assert_array_equal(seen[key], ~np.isnan(table.values[key]))


def test_official_costs_are_those_of_the_space(validation_data):
    for name, space in (("nats-tss", "nb201"), ("nats-sss", "size")):
        table = read_benchmark(name, validation_data / "nats-bench")
        space = get_space(space)
        archs = [space.parse(t) for t in table.texts]
        np.testing.assert_array_equal([a.genes for a in archs], table.genes)
        costs = space.costs(archs, space.skeleton((3, 32, 32), 10, next(iter(space.presets), None)))
        metric = table.metrics["cifar10/params"]
        np.testing.assert_allclose(
            table.values["cifar10/params"][:, 0, 0] * metric.scale, costs.params, rtol=1e-9
        )
        assert (metric.unit, metric.kind, metric.higher_is_better) == ("count", "cost", None)


def test_facts_of_the_entries():
    for name in ("nats-tss", "nats-sss"):
        entry = importers.entry(name)
        assert "meta.pickle.pbz2" in entry.facts["reads"]
        assert entry.summary
        assert entry.reference
        assert get_space(entry.facts["space"])


# --- folders in the official layout ---------------------------------------------------------------


def test_a_folder_in_the_official_layout(tmp_path):
    seen = []
    folder = write_folder(
        tmp_path / "f",
        [
            record(0),
            record(
                1,
                {
                    ("cifar10", 888): trial("cifar10", 888, latency=[-1]),
                    ("cifar100", 777): trial("cifar100", 777, train_losses={1: 0.25}),
                },
            ),
        ],
    )
    table = read_benchmark("nats-tss", folder, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert table.texts == CELLS
    assert table.space == "nb201"
    assert "2 of 2" in table.facts["source"]
    accuracy = table.metrics["cifar10/train_accuracy"]
    assert (accuracy.seeds, accuracy.epochs) == ((777, 888), (1, 2))
    assert (accuracy.unit, accuracy.scale, accuracy.split) == ("fraction", 0.01, "train")
    nan = np.nan
    np.testing.assert_array_equal(
        table.values["cifar10/train_accuracy"],
        [[[787, 788], [nan, nan]], [[nan, nan], [898, 899]]],
    )
    np.testing.assert_array_equal(table.values["cifar10/train_seconds"][0, 0], [2.5, 5.0])
    assert table.metrics["cifar100/train_loss"].epochs == (2,)
    np.testing.assert_array_equal(table.values["cifar100/val_accuracy"][1, 0], [50, 51])
    np.testing.assert_array_equal(table.values["cifar100/test_accuracy"][1, 0], [52, 53])
    np.testing.assert_array_equal(table.values["cifar100/valtest_accuracy"][1, 0], [54, 55])
    assert np.isnan(table.values["cifar10/latency_gpu"][1]).all()
    assert table.metrics["cifar10/params"].scale == 1e6
    assert "cifar10/train_accuracy_hp12" in table.metrics


def test_rows_follow_the_official_index(tmp_path):
    folder = write_folder(tmp_path / "f")
    (folder / "000000.pickle.pbz2").unlink()
    assert read_benchmark("nats-tss", folder).texts == CELLS[1:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "expected the schedules"),
        ({"13": {}}, "expected the schedules"),
        ({"12": []}, "holds no trials"),
        (record(0, arch_index=1), "meta file says"),
        (record(0, arch_str="|x|"), "meta file says"),
        (record(0, all_results={}) | {"12": {**record(0)["12"], "all_results": {}}}, "all_results"),
        (record(0, {"cifar10": {}}), "expected a pair"),
        (record(0, {("mnist", 777): {}}), "expected a pair"),
        (record(0, {("cifar10", -1): {}}), "expected a pair"),
        (record(0, {("cifar10", 777): []}), "is a list"),
        (record(0, {("cifar10", 7): trial("cifar10", 7) | {"epochs": 10**9}}), "epochs"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses={5: 1.0})}), "epochs 0 to 1"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses={"a": 1})}), "epochs 0 to 1"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses=[1.0])}), "number per epoch"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses={0: "1"})}), "a number"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses={0: True})}), "a number"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, train_losses={0: 10**400})}), "too large"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, eval_acc1es=None)}), "eval_acc1es"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, eval_acc1es={"x@1": 1.0})}), "x-valid@11"),
        (record(0, {("cifar10", 7): trial("cifar10", 7, latency=3.0)}), "should be a list"),
    ],
)
def test_what_the_official_files_do_not_hold_is_refused(tmp_path, content, words):
    folder = write_folder(tmp_path / "f", [content])
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nats-tss", folder)


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({"meta_archs": []}, "meta_archs"),
        ({"meta_archs": [1]}, "meta_archs"),
        ([1], "meta_archs"),
        ({"meta_archs": CELLS + CELLS}, "twice"),
        ({"meta_archs": CELLS[:1]}, "no network 1"),
    ],
)
def test_meta_files_are_checked(tmp_path, meta, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nats-tss", write_folder(tmp_path / "f", meta=meta))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(MissingDataError, match="There is no"):
        read_benchmark("nats-tss", tmp_path / "nowhere")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MissingDataError, match="unpack"):
        read_benchmark("nats-sss", tmp_path / "file")
    folder = write_folder(tmp_path / "f")
    (folder / "meta.pickle.pbz2").rename(tmp_path / "meta")
    with pytest.raises(MissingDataError, match="no meta"):
        read_benchmark("nats-tss", folder)
    shutil.rmtree(folder)
    folder.mkdir()
    (tmp_path / "meta").rename(folder / "meta.pickle.pbz2")
    with pytest.raises(MissingDataError, match="no file such as"):
        read_benchmark("nats-tss", folder)
    with pytest.raises(UnknownNameError, match="nats-tss"):
        read_benchmark("nats-ts", folder)


def test_the_same_network_twice_is_refused(tmp_path):
    folder = write_folder(tmp_path / "f")
    shutil.copy(folder / "000000.pickle.pbz2", folder / "tss-000000.pickle.pbz2")
    with pytest.raises(TableFormatError, match="same network"):
        read_benchmark("nats-tss", folder)


def test_a_bzip2_bomb_is_not_unfolded(tmp_path):
    folder = write_folder(tmp_path / "f")
    bomb = bz2.compress(bytes(80 << 20), 1)
    assert len(bomb) < 1 << 20
    (folder / "000001.pickle.pbz2").write_bytes(bomb)
    with pytest.raises(TableFormatError, match="unfolds to more than"):
        read_benchmark("nats-tss", folder)
