"""The official archives, in both versions, and pickles that want to run code."""

import array
import builtins
import datetime
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from foretell.data import load_task
from foretell.errors import DataError, LabelError, MissingDataError, UnsafePickleError
from foretell.unpickle import load_plain

BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
NAMES10 = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "lorry"]


def cifar_arrays(count: int, classes: int, seed: int):
    """Random rows (count, 3072) uint8 and labels that show every class."""
    rng = np.random.default_rng(seed)
    labels = [int(v) for v in rng.permutation(np.arange(count) % classes)]
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), labels


def python2_array(array: np.ndarray) -> bytes:
    """Pickle opcodes of a uint8 array as Python 2's protocol 2 wrote them in the real archives."""
    raw = array.tobytes()
    shape = b"".join(b"M" + int(n).to_bytes(2, "little") for n in array.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R"
        b"(K\x01" + shape + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    )


def python2_batch(data: np.ndarray, labels: list[int]) -> bytes:
    """A whole CIFAR-10 batch in protocol 2 as Python 2 wrote it: str keys, labels as a list."""
    items = b"".join(b"K" + bytes([v]) for v in labels)
    return (
        b"\x80\x02}(U\x04data" + python2_array(data) + b"U\x06labels](" + items + b"e"
        b"U\x0bbatch_labelU\x04onesu."
    )


def python_files(protocol=None):
    """A tiny CIFAR-10, Python version: file -> content."""
    files = {}
    for i, name in enumerate([*BATCHES, "test_batch"]):
        data, labels = cifar_arrays(20, 10, i)
        if i == 0 and protocol is None:
            files[name] = python2_batch(data, labels)
        else:
            batch = {b"data": data, b"labels": labels}
            files[name] = pickle.dumps(batch, protocol=2 + i % 4 if protocol is None else protocol)
    meta = {b"label_names": [n.encode() for n in NAMES10], b"num_vis": 3072}
    files["batches.meta"] = pickle.dumps(meta, protocol=2)
    return files


def binary_files():
    """The same images and labels, binary version."""
    files = {}
    for i, name in enumerate([*BATCHES, "test_batch"]):
        data, labels = cifar_arrays(20, 10, i)
        files[f"{name}.bin"] = np.column_stack([np.uint8(labels), data]).tobytes()
    files["batches.meta.txt"] = ("\n".join(NAMES10) + "\n\n").encode()
    return files


def cifar100_files(binary):
    files = {}
    names = [f"fine{k}" for k in range(100)]
    for i, (name, count) in enumerate({"train": 500, "test": 100}.items()):
        data, fine = cifar_arrays(count, 100, i)
        coarse = [v // 5 for v in fine]
        if binary:
            rows = np.column_stack([np.uint8(coarse), np.uint8(fine), data])
            files[f"{name}.bin"] = rows.tobytes()
        else:
            batch = {b"data": data, b"fine_labels": fine, b"coarse_labels": coarse}
            files[name] = pickle.dumps(batch, protocol=2)
    if binary:
        files["fine_label_names.txt"] = "\n".join(names).encode()
    else:
        files["meta"] = pickle.dumps({b"fine_label_names": [n.encode() for n in names]})
    return files


def write_tar(path, files, inner="cifar-10"):
    with tarfile.open(path, "w:gz") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{inner}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_folder(path, files):
    path.mkdir(parents=True)
    for file, content in files.items():
        (path / file).write_bytes(content)
    return path


def expected_test():
    data, labels = cifar_arrays(20, 10, 5)
    return data.reshape(20, 3, 32, 32), labels


def check_cifar10(task):
    assert task.name == "cifar10"
    assert task.input_shape == (3, 32, 32)
    assert [len(p) for p in (task.train, task.val, task.test)] == [80, 20, 20]
    assert task.class_names == tuple(NAMES10)
    assert (task.flip, task.crop) == (True, 4)
    images, labels = expected_test()
    np.testing.assert_array_equal(task.test.images, images)
    assert task.test.labels.tolist() == labels
    rows = {
        image.tobytes(): label
        for i in range(5)
        for image, label in zip(*cifar_arrays(20, 10, i), strict=True)
    }
    for part in (task.train, task.val, task.test):
        assert part.images.flags["WRITEABLE"]
        assert part.images.flags["C_CONTIGUOUS"]
    for part in (task.train, task.val):
        assert [rows[i.tobytes()] for i in part.images] == part.labels.tolist()


@pytest.mark.parametrize("make", [python_files, binary_files])
def test_cifar10_from_archive_and_folders(tmp_path, make):
    (tmp_path / "a").mkdir()
    archive = write_tar(tmp_path / "a" / "cifar.tar.gz", make())
    folder = write_folder(tmp_path / "b" / "cifar-10-batches", make())
    for place in (archive, archive.parent, folder, folder.parent):
        check_cifar10(load_task(f"cifar10:{place}"))


def test_both_versions_give_the_same_task(tmp_path):
    python = write_tar(tmp_path / "p.tar.gz", python_files())
    binary = write_tar(tmp_path / "b.tar.gz", binary_files())
    first, second = load_task(f"cifar10:{python}"), load_task(f"cifar10:{binary}")
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_of_numpy(tmp_path, protocol):
    path = write_folder(tmp_path / "c", python_files(protocol))
    assert load_task(f"cifar10:{path}").fingerprint


@pytest.mark.parametrize("binary", [False, True])
def test_cifar100_takes_the_fine_labels(tmp_path, binary):
    files = cifar100_files(binary)
    task = load_task(f"cifar100:{write_tar(tmp_path / 'c.tar.gz', files)}")
    data, fine = cifar_arrays(100, 100, 1)
    np.testing.assert_array_equal(task.test.images.reshape(100, -1), data)
    assert task.test.labels.tolist() == fine
    assert task.class_names[7] == "fine7"
    assert len(task.train) + len(task.val) == 500


def test_size_and_switches(tmp_path):
    path = write_tar(tmp_path / "c.tar.gz", binary_files())
    task = load_task(f"cifar10:{path}?size=16&flip=0")
    assert task.input_shape == (3, 16, 16)
    assert (task.flip, task.crop) == (False, 2)
    assert load_task(f"cifar10:{path}?crop=0").crop == 0


def test_names_fall_back_to_numbers(tmp_path):
    files = python_files()
    files["batches.meta"] = pickle.dumps([1, 2])
    path = write_folder(tmp_path / "c", files)
    assert load_task(f"cifar10:{path}").class_names == tuple("0123456789")
    (path / "batches.meta").unlink()
    assert load_task(f"cifar10:{path}").class_names == tuple("0123456789")


def test_missing_files(tmp_path):
    files = python_files()
    del files["data_batch_3"]
    with pytest.raises(MissingDataError, match="does not hold cifar10"):
        load_task(f"cifar10:{write_folder(tmp_path / 'c', files)}")
    with pytest.raises(MissingDataError, match="does not hold cifar100: expected the files train"):
        load_task(f"cifar100:{tmp_path / 'c'}")


def test_damaged_archives_and_files(tmp_path):
    path = write_tar(tmp_path / "c.tar.gz", binary_files())
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        load_task(f"cifar10:{path}")
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read as a tar archive"):
        load_task(f"cifar10:{path}")
    for i, (change, error, words) in enumerate(
        [
            ({"test_batch.bin": binary_files()["test_batch.bin"][:-1]}, DataError, "cut off"),
            ({"test_batch.bin": b""}, DataError, "cut off"),
            ({"test_batch.bin": bytes([11]) + bytes(3072)}, LabelError, r"outside 0\.\.9"),
        ]
    ):
        folder = write_folder(tmp_path / f"b{i}", {**binary_files(), **change})
        with pytest.raises(error, match=words):
            load_task(f"cifar10:{folder}")
    data, labels = cifar_arrays(20, 10, 0)
    for i, (batch, error, words) in enumerate(
        [
            (pickle.dumps([1]), DataError, "no uint8 array 'data'"),
            (pickle.dumps({b"labels": labels}), DataError, "no uint8 array 'data'"),
            (pickle.dumps({b"data": data}), DataError, "with 'labels'"),
            (pickle.dumps({b"data": data / 2, b"labels": labels}), DataError, "no uint8"),
            (pickle.dumps({b"data": data, b"labels": labels[1:]}), LabelError, "19 labels"),
            (pickle.dumps({b"data": data, b"labels": [99] * 20}), LabelError, "outside"),
            (b"garbage", DataError, "cannot be read as a pickle"),
            (python_files()["data_batch_2"][:-50], DataError, "cannot be read as a pickle"),
        ]
    ):
        folder = write_folder(tmp_path / f"p{i}", {**python_files(), "data_batch_1": batch})
        with pytest.raises(error, match=words):
            load_task(f"cifar10:{folder}")


# --- the restricted unpickler ---------------------------------------------------------------------


class Call:
    """Pickles to a call of a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def touch(path):
    return Call(builtins.open, str(path), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_no_code_runs(tmp_path, protocol):
    marker = tmp_path / "ran"
    for evil in (touch(marker), Call(os.system, f"touch {marker}"), Call(eval, "1+1")):
        files = python_files()
        files["data_batch_2"] = pickle.dumps({b"data": evil}, protocol)
        folder = write_folder(tmp_path / f"c{evil.call[0].__name__}", files)
        with pytest.raises(UnsafePickleError, match="data_batch_2 asks for"):
            load_task(f"cifar10:{folder}")
    assert not marker.exists()
    pickle.loads(pickle.dumps(touch(marker))).close()
    assert marker.exists(), "the test's own pickle is harmless, so it proves nothing"


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nload\n.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cbuiltins\ngetattr\n.",
        b"c__builtin__\neval\n.",
        b"ccopyreg\n_reconstructor\n.",
        pickle.dumps(datetime.date(2020, 1, 1)),
        pickle.dumps(array.array("b", b"x")),
        pickle.dumps(frozenset({1, 2}), 4),
        pickle.dumps(1j),
        pickle.dumps(np.array([{}], dtype=object), 2),
        pickle.dumps(np.zeros(2, dtype=[("a", "u1")]), 2),
        pickle.dumps(np.array(["text"]), 2),
        pickle.dumps(np.array(["2020-01-01"], dtype="M8[D]"), 2),
        b"cnumpy\ndtype\n.",
    ],
)
def test_only_plain_data_come_out(content):
    with pytest.raises(UnsafePickleError):
        load_plain(io.BytesIO(content), "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"cnumpy\ndtype\n)R.",  # a type without a letter code
        b"cnumpy\ndtype\n(S'u1'\ntR(I3\ntb.",  # with half a state
        b"cnumpy.core.multiarray\n_reconstruct\n)R.",  # an array that never got its bytes
        b"cnumpy\ndtype\n}b.",  # a state for the stand-in itself
        b"Pwhat\n.",  # a persistent id
        b"\x80\x02\x82\x01.",  # an extension code
        pickle.dumps({"k": 1})[:-1],
    ],
)
def test_broken_pickles_are_data_errors(content):
    with pytest.raises(DataError):
        load_plain(io.BytesIO(content), "x")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i4", "f4", "f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_out_as_they_went_in(protocol, dtype, order):
    original = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    value = {"a": [original, (1, 2.5, None, True)], "b": b"\x00\xff", "c": "text"}
    read = load_plain(io.BytesIO(pickle.dumps(value, protocol)), "x")
    np.testing.assert_array_equal(read["a"][0], original)
    assert read["a"][0].dtype == original.dtype
    assert read["a"][1] == (1, 2.5, None, True)
    assert (read["b"], read["c"]) == (b"\x00\xff", "text")


def test_unsafe_pickle_error_survives_pickling():
    error = pickle.loads(pickle.dumps(UnsafePickleError("os.system", "file")))
    assert (error.found, error.what) == ("os.system", "file")
