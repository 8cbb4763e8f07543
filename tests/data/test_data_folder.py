"""Image folders: parts, sizes, colours, broken files."""

import shutil
import sys

import numpy as np
import pytest

from foretell.data import load_task
from foretell.data.folder import natural_size
from foretell.errors import (
    BrokenImageError,
    EmptySplitError,
    LabelError,
    MissingDataError,
    MissingExtraError,
    OneClassError,
)

Image = pytest.importorskip("PIL.Image")


def test_one_folder_for_each_class(image_folder):
    task = load_task(f"folder:{image_folder}")
    assert task.name == "folder:flowers"
    assert task.class_names == ("blue", "red")
    assert task.input_shape == (3, 20, 20)
    assert [len(p) for p in (task.train, task.val, task.test)] == [13, 3, 4]
    assert (task.flip, task.crop) == (True, 2)
    for part in (task.train, task.val, task.test):
        means = part.images.mean(axis=(2, 3))
        assert ((means[:, 0] > means[:, 2]) == (part.labels == 1)).all()


def test_pixels_are_those_of_the_files(image_folder):
    task = load_task(f"folder:{image_folder}")
    seen = {i.tobytes() for p in (task.train, task.val, task.test) for i in p.images}
    for file in image_folder.rglob("*.png"):
        pixels = np.asarray(Image.open(file)).transpose(2, 0, 1)
        assert np.ascontiguousarray(pixels).tobytes() in seen


def test_parts_and_switches(image_folder, tmp_path):
    root = tmp_path / "parts"
    shutil.copytree(image_folder, root / "train")
    shutil.copytree(image_folder, root / "Test")
    (root / "train" / "blue" / "3.png").unlink()
    task = load_task(f"folder:{root}?flip=0&crop=0")
    assert [len(p) for p in (task.train, task.val, task.test)] == [16, 3, 20]
    assert (task.flip, task.crop) == (False, 0)
    shutil.copytree(image_folder, root / "valid")
    task = load_task(f"folder:{root}")
    assert [len(p) for p in (task.train, task.val, task.test)] == [19, 20, 20]


def test_a_class_may_be_called_train(image_folder):
    (image_folder / "red").rename(image_folder / "train")
    assert load_task(f"folder:{image_folder}").class_names == ("blue", "train")


def test_other_files_and_hidden_ones_are_left_out(image_folder):
    (image_folder / "blue" / "notes.txt").write_text("hello")
    (image_folder / "blue" / ".hidden.png").write_bytes(b"broken")
    (image_folder / ".cache" / "x").mkdir(parents=True)
    (image_folder / "empty").mkdir()
    (image_folder / "red" / "deeper").mkdir()
    (image_folder / "red" / "9.png").rename(image_folder / "red" / "deeper" / "9.PNG")
    (image_folder / "readme.png").write_bytes(b"broken")
    task = load_task(f"folder:{image_folder}")
    assert task.class_names == ("blue", "red")
    assert len(task.train) + len(task.val) + len(task.test) == 20


@pytest.mark.parametrize("size", [8, 20, 33])
def test_resizing_keeps_the_colour(image_folder, size):
    task = load_task(f"folder:{image_folder}", image_size=size)
    assert task.input_shape == (3, size, size)
    red = task.train.images[task.train.labels == 1].mean(axis=(0, 2, 3))
    assert red[0] == pytest.approx(210, abs=4)
    assert red[1] == pytest.approx(30, abs=4)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, 28),
        ([(64, 64)], 64),
        ([(65, 65)], 64),
        ([(224, 224)] * 2, 64),
        ([(30, 50), (34, 34), (90, 35)], 32),
        ([(5, 5), (6, 7)], 8),
        ([(28, 30)], 32),
        ([(20, 20), (22, 22)], 24),
    ],
)
def test_natural_size(sizes, expected):
    assert natural_size(sizes) == expected


def save_all(root, make, ending="png", **options):
    for k, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for i in range(5):
            make(k, i).save(root / name / f"{i}.{ending}", **options)
    return root


def test_grey_images_have_one_channel(tmp_path):
    def make(k, i):
        return Image.fromarray(np.full((8, 8), 100 * k + i, np.uint8))

    task = load_task(f"folder:{save_all(tmp_path / 'g', make)}")
    assert task.input_shape == (1, 8, 8)
    assert set(task.train.images[task.train.labels == 1].ravel().tolist()) <= set(range(100, 105))
    Image.new("RGB", (8, 8), "red").save(tmp_path / "g" / "a" / "colour.png")
    assert load_task(f"folder:{tmp_path / 'g'}").input_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("mode", "ending", "value", "expected"),
    [
        ("1", "png", 1, [255]),
        ("L", "bmp", 77, [77]),
        ("LA", "png", (77, 10), [248]),  # nearly transparent: over white
        ("I;16", "png", 77 * 256 + 3, [77]),
        ("I", "tiff", 77 * 256, [77]),
        ("F", "tiff", 0.5, [128]),
        ("RGB", "ppm", (1, 2, 3), [1, 2, 3]),
        ("RGBA", "png", (1, 2, 3, 255), [1, 2, 3]),
        ("CMYK", "tiff", (0, 0, 0, 0), [255, 255, 255]),
        ("RGB", "gif", (255, 0, 0), [255, 0, 0]),
        ("L", "gif", 7, [7]),
        ("RGB", "webp", (255, 255, 255), [255, 255, 255]),
    ],
)
def test_colour_modes(tmp_path, mode, ending, value, expected):
    options = {"lossless": True} if ending == "webp" else {}
    root = save_all(tmp_path / "m", lambda k, i: Image.new(mode, (8, 8), value), ending, **options)
    task = load_task(f"folder:{root}")
    assert task.train.images[0, :, 4, 4].tolist() == expected


def test_sixteen_bit_images_at_another_size(tmp_path):
    root = save_all(tmp_path / "m", lambda k, i: Image.new("I;16", (24, 16), 77 * 256))
    assert (load_task(f"folder:{root}").train.images == 77).all()


def test_photos_are_turned_upright(tmp_path):
    def make(k, i):
        pixels = np.zeros((16, 32, 3), np.uint8)
        pixels[:, 16:] = 255  # stored: right half white; turned by a quarter: lower half white
        return Image.fromarray(pixels)

    exif = Image.Exif()
    exif[0x0112] = 6
    root = save_all(tmp_path / "e", make, "jpg", exif=exif, quality=95)
    task = load_task(f"folder:{root}")
    assert task.input_shape == (3, 16, 16)
    image = task.train.images[0, 0]
    assert image[:6].max() < 20
    assert image[10:].min() > 235


def test_large_photos_are_decoded_small(tmp_path):
    root = save_all(
        tmp_path / "j", lambda k, i: Image.new("RGB", (640, 480), (200, 100, 50)), "jpg"
    )
    task = load_task(f"folder:{root}")
    assert task.input_shape == (3, 64, 64)
    assert abs(task.train.images.mean(axis=(0, 2, 3)) - [200, 100, 50]).max() < 3


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_a_broken_image_is_named(image_folder, content):
    file = image_folder / "red" / "4.png"
    file.write_bytes(file.read_bytes()[:200] if content == "cut" else content)
    with pytest.raises(BrokenImageError, match=r"red/4\.png' cannot be decoded .* remove it"):
        load_task(f"folder:{image_folder}")


def test_a_float_image_with_nan_is_broken(tmp_path):
    pixels = np.full((8, 8), np.nan, np.float32)
    root = save_all(tmp_path / "n", lambda k, i: Image.fromarray(pixels), "tiff")
    with pytest.raises(BrokenImageError):
        load_task(f"folder:{root}")


def test_bad_folders(image_folder, tmp_path):
    with pytest.raises(MissingDataError, match="is a file"):
        load_task(f"folder:{image_folder / 'red' / '0.png'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="no image below"):
        load_task(f"folder:{tmp_path / 'empty'}")
    with pytest.raises(MissingDataError, match="no image below"):
        load_task(f"folder:{image_folder / 'red'}")
    shutil.copytree(image_folder, tmp_path / "few")
    for i in range(8):
        (tmp_path / "few" / "red" / f"{i}.png").unlink()
    with pytest.raises(EmptySplitError, match=r"'red' .* has 2 image\(s\)"):
        load_task(f"folder:{tmp_path / 'few'}")
    shutil.rmtree(image_folder / "red")
    with pytest.raises(OneClassError, match="only one class, 'blue'"):
        load_task(f"folder:{image_folder}")


def test_a_class_that_only_the_test_part_has(image_folder, tmp_path):
    shutil.copytree(image_folder, tmp_path / "p" / "train")
    shutil.copytree(image_folder, tmp_path / "p" / "test")
    (tmp_path / "p" / "test" / "red").rename(tmp_path / "p" / "test" / "green")
    with pytest.raises(LabelError, match="'green'"):
        load_task(f"folder:{tmp_path / 'p'}")


def test_without_pillow(image_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'foretell\[images\]'"):
        load_task(f"folder:{image_folder}")
