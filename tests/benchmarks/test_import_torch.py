"""NAS-Bench-201 and TransNAS-Bench-101: files that torch wrote, read without torch."""

import pickle
import zipfile

import numpy as np
import pytest
from import_writers import CELLS, nb201_content, record, transnas_content, trial

from foretell.benchmarks.importers import read_benchmark
from foretell.benchmarks.importers.formats.torch_file import read_torch
from foretell.errors import (
    DataError,
    MissingDataError,
    TableFormatError,
    UnsafePickleError,
    UsageError,
)
from foretell.spaces import get_space

torch = pytest.importorskip("torch")


def save(path, value, zipped):
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


# --- the container --------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_plain_data_are_those_of_weights_only(tmp_path, zipped, protocol):
    value = {
        "a": [1, -2, 2**70, 0.5, None, True, "text", (1, (2, 3)), {"b", "c"}],
        ("cifar10", 777): {i: float(i) for i in range(2500)},
    }
    torch.save(
        value,
        tmp_path / "a.pth",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    assert read_torch(tmp_path / "a.pth") == value
    if protocol == 2:  # all that weights_only reads
        assert torch.load(tmp_path / "a.pth", weights_only=True) == value


@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_scalars_are_numbers(tmp_path, zipped):
    path = save(tmp_path / "a.pth", {"x": np.float64(0.25), "y": np.int32(7)}, zipped)
    assert read_torch(path) == {"x": 0.25, "y": 7}


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_refused_by_name(tmp_path, zipped):
    path = save(tmp_path / "a.pth", {"weights": torch.zeros(3)}, zipped)
    with pytest.raises(UnsafePickleError, match=r"torch\._utils\._rebuild_tensor_v2"):
        read_torch(path)


def test_other_containers_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"")
    with pytest.raises(TableFormatError, match="empty"):
        read_torch(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises((TableFormatError, DataError)):
        read_torch(path)
    path.write_bytes(pickle.dumps(1) + pickle.dumps(2))
    with pytest.raises(TableFormatError, match="not written by torch"):
        read_torch(path)
    save(path, {"a": 1}, False)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(TableFormatError, match="more than a table"):
        read_torch(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": bytes(1 << 20)}))
    with pytest.raises(TableFormatError, match="none that torch wrote"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/other", b"")
    with pytest.raises(TableFormatError, match="none that torch wrote"):
        read_torch(path)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(TableFormatError, match="zip file"):
        read_torch(path)


# --- NAS-Bench-201 --------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_nb201_in_the_official_layout(tmp_path, zipped):
    path = save(tmp_path / "NAS-Bench-201-v1_1-096897.pth", nb201_content(), zipped)
    seen = []
    table = read_benchmark("nb201", path, lambda *p: seen.append(p))
    assert seen == [(1, 15_625), (2, 15_625)]
    assert (table.texts, table.space, table.name) == (CELLS, "nb201", "nb201")
    np.testing.assert_array_equal(table.values["cifar10/train_accuracy"][0, 0], [787, 788])
    np.testing.assert_array_equal(table.values["cifar10/test_accuracy_hp12"][0, 0], [50, 51])
    assert table.metrics["cifar10/train_accuracy"].seeds == (777,)
    assert read_benchmark("nb201", tmp_path).texts == CELLS


def test_nb201_and_nats_agree_on_real_records(tmp_path, validation_data):
    """The official NATS records, put into the layout of NAS-Bench-201."""
    from foretell.benchmarks.importers.formats.files import read_pickle_bz2

    folder = validation_data / "nats-bench"
    meta = read_pickle_bz2(folder / "tss-meta.pickle.pbz2", 1 << 26)
    infos = {}
    for index in (284, 0, 11):
        real = read_pickle_bz2(folder / f"tss-{index:06d}.pickle.pbz2", 1 << 26)
        infos[index] = {"full": real["200"], "less": real["12"]}
    content = {**meta, "arch2infos": infos, "evaluated_indexes": {0, 11, 284}}
    found = read_benchmark("nb201", save(tmp_path / "a.pth", content, False))
    expected = read_benchmark("nats-tss", folder)
    assert found.texts == list(expected.texts)
    assert found.metrics == expected.metrics
    for key, values in expected.values.items():
        np.testing.assert_array_equal(found.values[key], values)


def changed(**changes):
    return {**nb201_content(), **changes}


def damaged(index, **changes):
    content = nb201_content()
    content["arch2infos"][index]["full"].update(changes)
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "meta_archs"),
        ({"meta_archs": CELLS}, "no network"),
        (changed(arch2infos={}), "no network"),
        (changed(meta_archs=CELLS[::-1]), "not what 'meta_archs' says"),
        (changed(meta_archs=CELLS[:1]), "not what 'meta_archs' says"),
        (damaged(0, arch_index=1), "about another network"),
        (damaged(1, arch_str=CELLS[0]), "has another name"),
        (damaged(1, all_results=None), "all_results"),
        (damaged(1, all_results={("cifar10", 1): trial("cifar10", 1, epochs=0)}), "epochs"),
        (
            changed(arch2infos={15_625: {"full": record(0)["200"], "less": record(0)["12"]}}),
            "a network 15625",
        ),
    ],
)
def test_what_nb201_may_not_hold(tmp_path, content, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("nb201", save(tmp_path / "a.pth", content, True))


def test_a_folder_without_the_file(tmp_path):
    with pytest.raises(MissingDataError, match="096897"):
        read_benchmark("nb201", tmp_path)


# --- TransNAS-Bench-101 ---------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_transnas_in_the_official_layout(tmp_path, zipped):
    path = save(tmp_path / "transnas-bench_v10141024.pth", transnas_content(), zipped)
    table = read_benchmark("transnas", path)
    assert table.texts == ["64-1234-basic", "64-41414-1_02_333"]
    assert (table.space, table.genes) == ("", None)  # both spaces
    assert "1 'macro', 1 'micro'" in table.facts["source"]
    accuracy = table.metrics["class_object/val_accuracy"]
    assert (accuracy.epochs, accuracy.scale, accuracy.split) == ((1, 2, 3), 0.01, "val")
    np.testing.assert_array_equal(table.values[accuracy.key][:, 0], [[11, 12, 13], [21, 22, 23]])
    assert table.metrics["class_object/val_loss"].unit == "nats"
    room = table.metrics["room_layout/val_neg_loss"]
    assert (room.higher_is_better, room.unit) == (True, "")
    assert not table.metrics["room_layout/val_loss"].higher_is_better
    assert np.isnan(table.values["room_layout/val_loss"][1]).all()
    assert table.metrics["class_object/time_elapsed"].unit == "seconds"
    assert table.values["class_object/flops"][:, 0, 0].tolist() == [3.5, 3.5]
    assert table.metrics["class_object/params"].kind == "cost"


@pytest.mark.parametrize(
    ("kept", "genes"), [("macro", [1, 2, 3, 4, 0, 0]), ("micro", [1, 0, 2, 3, 3, 3])]
)
def test_transnas_with_one_space_alone(tmp_path, kept, genes):
    content = transnas_content()
    content["data"] = {kept: content["data"][kept]}
    table = read_benchmark("transnas", save(tmp_path / "a.pth", content, True))
    assert table.space == f"transnas_{kept}"
    assert table.genes.tolist() == [genes]
    assert table.texts == list(content["data"][kept])


@pytest.mark.parametrize(
    ("space", "text"),
    [("transnas_macro", "64-1234-basic"), ("transnas_micro", "64-41414-1_02_333")],
)
def test_one_space_of_transnas(tmp_path, space, text):
    path = save(tmp_path / "a.pth", transnas_content(), True)
    table = read_benchmark("transnas", path, space=space)
    assert (table.name, table.space) == (space.replace("_", "-"), space)
    assert table.texts == [text]
    assert table.genes.tolist() == [list(get_space(space).parse(text).genes)]
    assert len(table.values["class_object/val_accuracy"]) == 1


def test_spaces_that_transnas_does_not_hold(tmp_path):
    content = transnas_content()
    path = save(tmp_path / "a.pth", content, True)
    with pytest.raises(UsageError, match="transnas_micro, transnas_macro as space"):
        read_benchmark("transnas", path, space="nb201")
    with pytest.raises(UsageError, match="leave arch out"):
        read_benchmark("transnas", path, arch="name")
    content["data"].pop("macro")
    with pytest.raises(TableFormatError, match="no network"):
        read_benchmark("transnas", save(path, content, True), space="transnas_macro")


def test_transnas_with_unknown_names_has_no_space(tmp_path):
    content = transnas_content()
    net = content["data"]["macro"].pop("64-1234-basic")
    content["data"] = {"macro": {"64-9999-basic": net}}
    table = read_benchmark("transnas", save(tmp_path / "a.pth", content, True))
    assert (table.space, table.genes) == ("", None)


def without(*path, put=None):
    content = transnas_content()
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = put
    return content


NET = ("data", "micro", "64-41414-1_02_333")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "no 'data'"),
        (without("data"), "no 'data'"),
        (without("data", "micro", put=[]), "no 'data'"),
        (without("data", put={}), "no network"),
        (without(*NET, put=[]), "no network"),
        (without("data", "micro", "64-1234-basic", put={}), "twice"),
        (without(*NET, "knitting", put={"metrics": {}}), "expected a task"),
        (without(*NET, "class_object", put=[]), "expected a task"),
        (without(*NET, "class_object", "metrics", put=[]), "expected a task"),
        (without(*NET, "class_object", "metrics", "train_top1", put=1.0), "should be a list"),
        (without(*NET, "class_object", "metrics", "train_top1", put=["1"]), "should be a number"),
        (without(*NET, "class_object", "metrics", "train_top1", put=[1.0] * 4), "4 values"),
        (without(*NET, "class_object", "metrics", 5, put=[1.0]), "no metric 5"),
        (without(*NET, "class_object", "metrics", "magic", put=[1.0]), "no metric 'magic'"),
        (without("metrics_dict", put=[]), "metrics_dict"),
        (without("metrics_dict", put={}), "expected a task"),
        (without(*NET, "class_object", "model_info", put=[1]), "model_info"),
        (without(*NET, "class_object", "model_info", "model_params", put="1"), "a number"),
    ],
)
def test_what_transnas_may_not_hold(tmp_path, content, words):
    with pytest.raises(TableFormatError, match=words):
        read_benchmark("transnas", save(tmp_path / "a.pth", content, True))
