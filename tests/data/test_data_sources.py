"""load_task: the text, and the sources digits, npz, synthetic and Python files."""

import subprocess
import sys

import numpy as np
import pytest

from foretell.data import load_task, sources
from foretell.data._source import Options
from foretell.data.digits import read_digits
from foretell.errors import (
    DataError,
    EmptySplitError,
    LabelError,
    MissingDataError,
    PluginError,
    UnknownNameError,
    UsageError,
)


def test_embedded_digits_equal_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    images, labels = read_digits()
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[:, 0] * 16, original.images)
    np.testing.assert_array_equal(labels, original.target)


def test_digits():
    task = load_task("digits")
    assert task.input_shape == (1, 8, 8)
    assert task.class_names == tuple("0123456789")
    assert [len(p) for p in (task.train, task.val, task.test)] == [1151, 287, 359]
    assert task.train.images.min() == 0
    assert task.train.images.max() == 1
    assert not task.flip
    assert task.crop == 0
    for part in (task.train, task.val, task.test):
        share = np.bincount(part.labels) / len(part)
        assert abs(share - 0.1).max() < 0.01
    assert load_task("digits").fingerprint == task.fingerprint
    assert load_task("digits", seed=1).fingerprint != task.fingerprint


def test_options_in_the_text_and_as_arguments_agree():
    text = load_task("digits?flip=1&size=4&crop=2&limit=100&seed=3")
    argued = load_task("digits", flip=True, image_size=4, crop=2, limit=100, seed=3)
    assert text.fingerprint == argued.fingerprint
    assert (text.flip, text.crop, text.input_shape, len(text.train)) == (True, 2, (1, 4, 4), 100)
    assert not load_task("digits?flip=no", flip=True).flip


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("digit", UnknownNameError, "did you mean digits"),
        ("mnist", UnknownNameError, "known are"),
        ("", UnknownNameError, "Unknown data source"),
        ("digits:path", UsageError, "takes no path"),
        ("digits?colour=1", UsageError, "Unknown data option 'colour'"),
        ("digits?flip=maybe", UsageError, "flip=0 or flip=1"),
        ("digits?limit=few", UsageError, "whole number after limit="),
        ("digits?limit=1", UsageError, "limit >= 2"),
        ("digits?size=3", UsageError, "choose 1 or 2 or 4 or 8"),
        ("npz:", MissingDataError, "write npz:PATH"),
        ("npz", MissingDataError, "write npz:PATH"),
        ("npz:/no/such.npz", MissingDataError, "no file or folder '/no/such.npz'"),
        ("folder:/no/such", MissingDataError, "no file or folder"),
        ("cifar10:/no/such", MissingDataError, "no file or folder"),
        ("cifar100:/no/such", MissingDataError, "no file or folder"),
        ("synthetic:8x8", UsageError, "synthetic:3x32x32x10"),
        ("synthetic:1x8x8x1", UsageError, "synthetic:3x32x32x10"),
        ("synthetic:1x0x8", UsageError, "synthetic:3x32x32x10"),
        ("/no/such.py:task", PluginError, "no file"),
    ],
)
def test_bad_texts(text, error, words):
    with pytest.raises(error, match=words):
        load_task(text)


@pytest.mark.parametrize("name", ["image_size", "crop", "limit"])
def test_bad_arguments(name):
    with pytest.raises(UsageError, match=name):
        Options(**{name: -1})


def test_every_source_says_its_form():
    for entry in sources.entries():
        assert entry.facts["form"].partition(":")[0] == entry.name
        assert entry.summary


def test_loading_data_does_not_load_torch():
    code = (
        "import sys, foretell; foretell.load_task('digits'); import foretell.data.loader; "
        "sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- synthetic ------------------------------------------------------------------------------------


def test_synthetic_shape_classes_and_seed():
    task = load_task("synthetic:3x6x10x4")
    assert task.input_shape == (3, 6, 10)
    assert task.classes == 4
    assert len(task.train) + len(task.val) + len(task.test) == 2000
    assert task.train.images.dtype == np.uint8
    assert task.fingerprint == load_task("synthetic:3x6x10x4").fingerprint
    assert task.fingerprint != load_task("synthetic:3x6x10x4", seed=1).fingerprint
    assert load_task("synthetic:3x6x10").classes == 10
    assert load_task("synthetic:3x6x10x500").classes == 500
    assert load_task("synthetic:1x64x64", image_size=8).input_shape == (1, 8, 8)


def test_synthetic_classes_can_be_learnt():
    task = load_task("synthetic:1x16x16x5")

    def flat(part):
        return part.images.reshape(len(part), -1).astype(np.float32) / 255 - 0.5

    train, test = flat(task.train), flat(task.test)
    distance = (train**2).sum(axis=1) - 2 * test @ train.T
    nearest = task.train.labels[distance.argmin(axis=1)]
    accuracy = (nearest == task.test.labels).mean()
    assert accuracy > 0.9


# --- npz ------------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
Y = np.arange(40) % 4


def save(tmp_path, **arrays):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


def test_npz_with_one_array(tmp_path):
    task = load_task(save(tmp_path, x=X, y=Y))
    assert task.name == "npz:mine.npz"
    assert task.input_shape == (3, 8, 8)
    assert [len(p) for p in (task.train, task.val, task.test)] == [26, 6, 8]
    rows = {i.tobytes(): k for i, k in zip(X.transpose(0, 3, 1, 2).copy(), Y, strict=True)}
    for part in (task.train, task.val, task.test):
        assert [rows[i.tobytes()] for i in part.images] == part.labels.tolist()
        assert part.images.flags["C_CONTIGUOUS"]
    assert (task.flip, task.crop) == (False, 0)


def test_npz_with_all_parts(tmp_path):
    spec = save(
        tmp_path, x_train=X, y_train=Y, x_val=X[:8], y_val=Y[:8], x_test=X[8:20], y_test=Y[8:20]
    )
    task = load_task(spec)
    assert [len(p) for p in (task.train, task.val, task.test)] == [40, 8, 12]


def test_npz_layouts_and_floats(tmp_path):
    floats = X.transpose(0, 3, 1, 2) / 255
    spec = save(tmp_path, x=floats, y=Y)
    assert load_task(spec).input_shape == (3, 8, 8)
    assert load_task(spec).train.images.dtype == np.float32
    spec = save(tmp_path, x=X[..., 0], y=Y)
    assert load_task(spec).input_shape == (1, 8, 8)
    spec = save(tmp_path, x=X[:, :, :3, :], y=Y)
    assert load_task(spec).input_shape == (3, 8, 3)
    spec = save(tmp_path, x=X[:, :3], y=Y)
    assert load_task(f"{spec}?layout=nhwc").input_shape == (3, 3, 8)
    assert load_task(f"{spec}?layout=nchw").input_shape == (3, 8, 3)
    spec = save(tmp_path, x=X, y=Y)
    assert load_task(spec, image_size=4).input_shape == (3, 4, 4)


def test_npz_labels_of_any_values_get_names(tmp_path):
    task = load_task(save(tmp_path, x=X, y=Y * 10 + 5))
    assert task.class_names == ("5", "15", "25", "35")
    assert set(task.train.labels.tolist()) == {0, 1, 2, 3}
    task = load_task(save(tmp_path, x=X, y=np.array(list("dcba"))[Y]))
    assert task.class_names == tuple("abcd")


def test_npz_classes_name_the_labels(tmp_path):
    task = load_task(save(tmp_path, x=X, y=Y, classes=list("wxyz")))
    assert task.class_names == tuple("wxyz")


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ({"a": X, "b": Y}, DataError, "holds no array 'x' but a, b"),
        ({"x": X}, DataError, "holds no array 'y'"),
        ({"x_train": X, "y": Y}, DataError, "holds no array 'y_train'"),
        ({"x_train": X, "y_train": Y, "x_test": X}, LabelError, "'x_test' but not 'y_test'"),
        ({"x": X, "y": Y[:-1]}, LabelError, "40 images but 39 labels"),
        ({"x": X, "y": Y, "classes": list("ab")}, LabelError, "there are 2 class names"),
        ({"x": X, "y": Y, "classes": [list("ab")]}, LabelError, r"shape \(1, 2\)"),
        ({"x": X[:0], "y": Y[:0]}, EmptySplitError, "no image"),
        ({"x": np.array([{}], dtype=object), "y": Y[:1]}, DataError, "plain arrays"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :5], "y_test": Y},
            DataError,
            "different shapes",
        ),
        (
            {"x_train": X, "y_train": Y, "x_test": X / 255, "y_test": Y},
            DataError,
            "both as uint8 or both as floats",
        ),
    ],
)
def test_bad_npz(tmp_path, arrays, error, words):
    with pytest.raises(error, match=words):
        load_task(save(tmp_path, **arrays))


def test_files_that_are_no_npz(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="cannot be read as an npz"):
        load_task(f"npz:{path}")
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(DataError, match="single array"):
        load_task(f"npz:{tmp_path / 'x.npy'}")
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match="cannot be read as an npz"):
        load_task(f"npz:{path}")
    with pytest.raises(DataError, match="npz"):
        load_task(f"npz:{tmp_path}")


def test_cifar_sample_as_npz(validation_data):
    task = load_task(f"npz:{validation_data / 'cifar10_10000_2000.npz'}")
    assert task.input_shape == (3, 32, 32)
    assert task.class_names[:3] == ("airplane", "automobile", "bird")
    assert [len(p) for p in (task.train, task.val, task.test)] == [8000, 2000, 2000]
    # published channel means of CIFAR-10 are .4914, .4822, .4465
    np.testing.assert_allclose(task.mean, [0.4914, 0.4822, 0.4465], atol=0.005)


# --- Python files ---------------------------------------------------------------------------------


def test_a_python_file_may_give_the_task(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import foretell\n"
        "task = foretell.load_task('synthetic:1x4x4x2')\n"
        "def make():\n    return task\n"
        "def broken():\n    raise RuntimeError('no disk')\n"
        "number = 3\n"
        "def empty():\n    return foretell.load_task('npz:')\n"
    )
    assert load_task(f"{file}:task").classes == 2
    assert load_task(f"{file}:make") is load_task(f"{file}:task")
    with pytest.raises(DataError, match="raised RuntimeError: no disk"):
        load_task(f"{file}:broken")
    with pytest.raises(DataError, match="but got int"):
        load_task(f"{file}:number")
    with pytest.raises(MissingDataError):
        load_task(f"{file}:empty")
