"""Archives, arrays and pickles that unfold to far more than they are: one sentence, soon."""

import gzip
import io
import pickle
import struct
import tarfile
import time
import zipfile

import numpy as np
import pytest

from foretell.data import load_task
from foretell.errors import DataError, LabelError
from foretell.unpickle import load_plain

INTEGERS = 2**61 - 1  # Python hashes whole numbers modulo this


def cifar_batch(labels, data=None):
    data = np.arange(20 * 3072, dtype=np.uint8).reshape(20, 3072) if data is None else data
    return pickle.dumps({b"data": data, b"labels": labels}, 2)


def cifar_folder(folder, **changes):
    folder.mkdir(parents=True)
    usual = cifar_batch([i % 10 for i in range(20)])
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (folder / name).write_bytes(changes.get(name, usual))
    if "meta" in changes:
        (folder / "batches.meta").write_bytes(changes["meta"])
    return folder


def doubling(depth):
    """The instructions for a list of lists, each of which holds the one before it twice."""
    parts = [b"]q\x00"]
    for level in range(1, depth):
        parts.append(b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 2 + b"e")
    return b"(" + b"".join(parts) + b"l"


@pytest.mark.parametrize("part", ["data_batch_2", "meta"])
def test_lists_that_unfold_without_end_are_not_followed(tmp_path, part):
    value = doubling(40)
    if part == "meta":
        raw = b"\x80\x04}(C\x0blabel_names" + value + b"u."
    else:
        raw = cifar_batch([1])[: cifar_batch([1]).rindex(b"]q")] + value + b"u."
    folder = cifar_folder(tmp_path / "c", **{part: raw})
    start = time.process_time()
    with pytest.raises(DataError, match="unfolds to more than"):
        load_task(f"cifar10:{folder}")
    assert time.process_time() - start < 5


def test_an_unfolded_size_is_a_sum_over_uses():
    usual = list(range(50))
    shared = [usual] * 300  # 15,000 numbers in 900 bytes: no harm
    assert load_plain(io.BytesIO(pickle.dumps(shared)), "x") == shared
    level = [usual] * 300
    for _ in range(2):
        level = [level] * 300
    with pytest.raises(DataError, match="unfolds to more than"):
        load_plain(io.BytesIO(pickle.dumps(level)), "x")
    array = np.zeros(100_000)
    with pytest.raises(DataError, match="unfolds to more than"):
        load_plain(io.BytesIO(pickle.dumps([array] * 1000)), "x")


@pytest.mark.parametrize("kind", ["dict", "set", "tuples"])
def test_keys_that_collide_are_refused(kind):
    count = 30_000
    long = [b"\x8a\x0a" + (i * INTEGERS).to_bytes(10, "little") for i in range(count)]
    if kind == "dict":
        raw = b"}(" + b"".join(k + b"N" for k in long) + b"u."
    elif kind == "set":
        raw = b"\x8f(" + b"".join(long) + b"\x90."
    else:  # -1 and -2 have one hash, and so have tuples of them
        one = [b"J" + struct.pack("<i", -1 - bit) for bit in (0, 1)]
        keys = [b"(" + b"".join(one[i >> b & 1] for b in range(14)) + b"t" for i in range(1 << 14)]
        raw = b"}(" + b"".join(k + b"N" for k in keys) + b"u."
    start = time.process_time()
    with pytest.raises(DataError, match="chosen to collide"):
        load_plain(io.BytesIO(b"\x80\x04" + raw), "x")
    assert time.process_time() - start < 5


def test_many_honest_keys_are_stored():
    value = {i * 7919: float(i) for i in range(200_000)}
    assert load_plain(io.BytesIO(pickle.dumps(value)), "x") == value
    pairs = {(i, "a", i / 2) for i in range(20_000)}
    assert load_plain(io.BytesIO(pickle.dumps(pairs)), "x") == pairs


def test_a_long_key_used_again_and_again_is_refused():
    key = b"(" + b"K\x01" * 9000 + b"tq\x00"
    raw = b"](" + key + b"}(" + b"h\x00N" * 3000 + b"ue."
    with pytest.raises(DataError, match="too long to hash"):
        load_plain(io.BytesIO(raw), "x")


def test_an_empty_array_of_a_huge_length_is_refused():
    raw = pickle.dumps(np.zeros((77777, 0)))
    raw = raw.replace(struct.pack("<i", 77777), struct.pack("<i", 2**30))
    with pytest.raises(DataError, match="claims a huge length"):
        load_plain(io.BytesIO(raw), "x")


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        (cifar_batch([0.5] * 20), LabelError, "whole numbers"),
        (cifar_batch(["1"] * 20), LabelError, "whole numbers"),
        (cifar_batch([True] * 20), LabelError, "whole numbers"),
        (cifar_batch({1: 2}), LabelError, "whole numbers"),
        (cifar_batch(np.zeros((20, 1))), LabelError, "whole numbers"),
        (cifar_batch([10**30] * 20), LabelError, r"outside 0\.\.9"),
        (cifar_batch([-1] * 20), LabelError, r"outside 0\.\.9"),
        (cifar_batch([1] * 20, np.zeros((20, 3, 1024), np.uint8)), DataError, r"\(20, 3, 1024\)"),
        (cifar_batch([1] * 20, np.zeros(20 * 3072, np.uint8)), DataError, "has the shape"),
        (cifar_batch([1] * 20, np.uint8(3)), DataError, "no uint8 array"),
    ],
)
def test_shapes_and_types_of_cifar_pickles(tmp_path, batch, error, words):
    folder = cifar_folder(tmp_path / "c", data_batch_3=batch)
    with pytest.raises(error, match=words):
        load_task(f"cifar10:{folder}")


@pytest.mark.parametrize("names", ["abc", [1, 2], {"a": 1}, [["a"]], 5])
def test_names_of_cifar_classes_are_texts(tmp_path, names):
    folder = cifar_folder(tmp_path / "c", meta=pickle.dumps({b"label_names": names}, 2))
    with pytest.raises(DataError, match="'label_names' of texts"):
        load_task(f"cifar10:{folder}")


def test_labels_of_numpy_are_read(tmp_path):
    folder = cifar_folder(tmp_path / "c", data_batch_1=cifar_batch(np.arange(20) % 10))
    assert load_task(f"cifar10:{folder}").classes == 10


# --- archives -------------------------------------------------------------------------------------


class Zeros(io.RawIOBase):
    """So many zeros."""

    def __init__(self, size):
        self.left = size

    def readinto(self, buffer):
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count

    def readable(self):
        return True


@pytest.mark.parametrize("member", ["data_batch_1", "elsewhere", "long name"])
def test_tar_bombs_are_bounded(tmp_path, member):
    path = tmp_path / "cifar.tar.gz"
    info = tarfile.TarInfo(member)
    info.size = 3 << 30
    if member == "long name":
        info.name, info.type = "././@LongLink", tarfile.GNUTYPE_LONGNAME
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(8):
            file.write(bytes(1 << 20))  # the rest is missing: nobody should get there
    start = time.process_time()
    with pytest.raises(DataError, match="unfolds to more than"):
        load_task(f"cifar10:{path}")
    assert time.process_time() - start < 5


def test_a_tar_archive_of_very_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("foretell.data._archives.MOST_MEMBERS", 20)
    path = tmp_path / "cifar.tar"
    with tarfile.open(path, "w") as archive:
        for i in range(30):
            archive.addfile(tarfile.TarInfo(f"f{i}"))
    with pytest.raises(DataError, match="more than 20 files"):
        load_task(f"cifar10:{path}")


def test_files_larger_than_official_ones_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("foretell.data._archives.MOST_AT_ONCE", 1000)
    folder = cifar_folder(tmp_path / "c")
    with pytest.raises(DataError, match="which no official file has"):
        load_task(f"cifar10:{folder}")


# --- arrays ---------------------------------------------------------------------------------------


def header(shape, kind="|u1"):
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header((10**12,)) + b"abc", "says 1000000000000 bytes but holds 3"),
        (header((2**40, 2**40)) + b"abc", "but holds 3"),
        (header((-4,)) + b"abc", "an array of the shape"),
        (header((1,) * 50) + b"a", "an array of the shape"),
        (header((2,), "|O") + bytes(16), "Python objects"),
        (header((2,), "|V0"), "an array of the shape"),
        (header((2,), "<f8").replace(b"descr", b"de\xffcr") + bytes(16), "ValueError|Unicode"),
        (b"\x93NUMPY\x09\x00" + bytes(80), "array format"),
        (b"abc", "ValueError"),
    ],
)
def test_headers_of_arrays_that_lie(tmp_path, content, words):
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
    start = time.process_time()
    with pytest.raises(DataError, match=words):
        load_task(f"npz:{path}")
    assert time.process_time() - start < 5


def test_a_zip_bomb_of_arrays_is_refused_before_it_unfolds(tmp_path):
    path = tmp_path / "d.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("y.npy", header((2,)) + b"ab")
        with archive.open("x.npy", "w") as file:
            file.write(header((300 << 20,)))
            block = bytes(1 << 20)
            for _ in range(300):
                file.write(block)
    start = time.process_time()
    with pytest.raises(DataError, match="unfolds to 315 MB"):
        load_task(f"npz:{path}")
    assert time.process_time() - start < 2


def test_arrays_of_any_layout_are_read(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 8, 8)).astype(np.uint8)
    y = np.arange(40) % 2
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "d.npz", x=np.asfortranarray(x), y=y.astype(">i4"))
        task = load_task(f"npz:{tmp_path / 'd.npz'}")
        pixels = {i.tobytes() for s in (task.train, task.val, task.test) for i in s.images}
        assert pixels == {i.tobytes() for i in x}
    np.savez(tmp_path / "e.npz", x=x[:0], y=y[:0])
    with pytest.raises(DataError):
        load_task(f"npz:{tmp_path / 'e.npz'}")
