"""Images that could lose their content: depth, alpha, orientation, size; broken and copied ones."""

import struct
import time
import warnings
import zlib

import numpy as np
import pytest

from foretell.data import Split, load_task, make_task, skipping_broken
from foretell.errors import BrokenImageError, DataError, DataWarning, UsageError

Image = pytest.importorskip("PIL.Image")

RNG = np.random.default_rng(5)


def folder(root, make, ending="png", count=8, **options):
    for k, name in enumerate(("left", "right")):
        (root / name).mkdir(parents=True)
        for i in range(count):
            make(k, i).save(root / name / f"{i}.{ending}", **options)
    return f"folder:{root}"


def every(task):
    return np.concatenate([s.images for s in (task.train, task.val, task.test)])


def draw(kind, low, high, side=8):
    def make(k, i):
        if kind == "float":
            return Image.fromarray(RNG.uniform(low, high, (side, side)).astype(np.float32))
        return Image.fromarray(RNG.integers(low, high + 1, (side, side)).astype(np.uint16))

    return make


@pytest.mark.parametrize(
    ("kind", "low", "high", "divisor"),
    [
        ("integer", 0, 255, 255), ("integer", 0, 1023, 1023), ("integer", 0, 4095, 4095),
        ("integer", 0, 16383, 16383), ("integer", 0, 65535, 65535), ("float", 0, 1, 1),
        ("float", 0, 255, 255),
    ],
)  # fmt: skip
def test_deep_images_keep_their_range(tmp_path, kind, low, high, divisor):
    spec = folder(tmp_path / "f", draw(kind, low, high), "tif" if kind == "float" else "png")
    files = sorted((tmp_path / "f").rglob("*.*"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        task = load_task(spec)
    numbers = np.stack([np.asarray(Image.open(f)) for f in files]).astype(np.float64)
    expected = np.rint(numbers / divisor * 255).astype(np.uint8)[:, None]
    images = every(task)
    assert images.dtype == np.uint8
    assert {i.tobytes() for i in images} == {i.tobytes() for i in expected}
    noted = any("have more than 8 bits" in str(w.message) for w in said)
    assert noted == (kind == "integer" and divisor < 65535)


@pytest.mark.parametrize(
    ("kind", "low", "high", "divisor"),
    [("integer", 30000, 31000, 65535), ("integer", 1000, 1100, 4095), ("float", 0.5, 0.51, 1)],
)
def test_a_narrow_range_stays_float(tmp_path, kind, low, high, divisor):
    spec = folder(tmp_path / "f", draw(kind, low, high), "tif")
    images = every(load_task(spec))
    assert images.dtype == np.float32
    files = (tmp_path / "f").rglob("*.tif")
    numbers = [(np.asarray(Image.open(f)) / np.float32(divisor))[None] for f in files]
    assert len(np.unique(images)) > 90
    found = np.sort(images.reshape(len(images), -1).sum(axis=1))
    np.testing.assert_allclose(found, np.sort([n.sum() for n in numbers]), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "low", "high", "words"),
    [
        ("float", 0, 3, r"0 to 1, or from 0 to 255"),
        ("float", -1, 1, "hold numbers from -"),
        ("float", 0, 3000, "scale them"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused(tmp_path, kind, low, high, words):
    with pytest.raises(DataError, match=words):
        load_task(folder(tmp_path / "f", draw(kind, low, high), "tif"))
    wide = folder(
        tmp_path / "g", lambda k, i: Image.fromarray(np.full((8, 8), 70000, np.int32)), "tif"
    )
    with pytest.raises(DataError, match="numbers from 0 to 65535"):
        load_task(wide)


def png(pixels, kind):
    """A PNG file of 16 bits a channel, by hand; Pillow writes none with colours."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    assert channels == {2: 3, 6: 4}[kind]
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def write_deep_colours(root, high, kind=2):
    for name in ("left", "right"):
        (root / name).mkdir(parents=True)
        for i in range(8):
            pixels = RNG.integers(0, high, (8, 8, 3 if kind == 2 else 4))
            (root / name / f"{i}.png").write_bytes(png(pixels, kind))
    return f"folder:{root}"


def test_deep_colours_are_read_only_where_the_upper_bytes_hold_them(tmp_path):
    images = every(load_task(write_deep_colours(tmp_path / "full", 65536)))
    assert images.max() > 240
    for name, kind in (("twelve", 2), ("alpha", 6)):
        with pytest.raises(DataError, match="only their upper 8 bits"):
            load_task(write_deep_colours(tmp_path / name, 4096, kind))


def test_depths_may_be_mixed_and_that_is_said(tmp_path):
    def make(k, i):
        return draw("integer", 0, 4095)(k, i) if i % 2 else Image.new("L", (8, 8), 10 * i)

    task = load_task(folder(tmp_path / "f", make))
    assert any(n.startswith("8 of 16 images have another depth") for n in task.notes)
    assert every(task).max() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparent_pixels_show_white(tmp_path, mode):
    def make(k, i):
        pixels = np.full((8, 8, 4), 60, np.uint8)
        pixels[..., :3] = (37 * i + 90 * k) % 250  # beneath the alpha: nobody sees it
        pixels[..., 3] = 0
        pixels[2:5, 2 : 4 + i % 3] = 20, 20, 20, 255
        pixels[6, 6] = 20, 20, 20, 51
        image = Image.fromarray(pixels, "RGBA")
        if mode == "LA":
            return image.convert("LA")
        if mode in ("P", "RGB"):  # one colour stands for what is transparent
            flat = np.where(pixels[..., 3:] > 0, pixels[..., :3], 99).astype(np.uint8)
            made = Image.fromarray(flat)
            made = made.quantize(8) if mode == "P" else made
            key = made.getpixel((0, 0))
            made.info["transparency"] = key
            return made
        return image

    images = every(load_task(folder(tmp_path / "f", make)))
    assert (images[:, :, 0, 0] == 255).all()
    assert (images[:, :, 3, 2] == 20).all()
    if mode in ("RGBA", "LA"):
        assert (np.abs(images[:, :, 6, 6].astype(int) - (20 * 0.2 + 255 * 0.8)) <= 1).all()


def test_palettes_keep_their_colours(tmp_path):
    colours = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250], [128, 64, 32]], np.uint8)

    def make(k, i):
        image = Image.fromarray(RNG.integers(0, 4, (8, 8)).astype(np.uint8), "P")
        image.putpalette(colours.ravel().tolist())
        return image

    images = every(load_task(folder(tmp_path / "f", make)))
    shown = np.unique(images.transpose(0, 2, 3, 1).reshape(-1, 3), axis=0)
    np.testing.assert_array_equal(shown, np.unique(colours, axis=0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright(tmp_path, orientation):
    upright = np.zeros((6, 6), np.uint8)
    upright[0, :] = upright[:2, 0] = 200
    # how a camera stores it: Pillow's transposition of that number, undone
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright.T, 2), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    make = lambda k, i: Image.fromarray(np.ascontiguousarray(stored + np.uint8(i)))  # noqa: E731
    for ending in ("png", "tiff"):
        images = every(load_task(folder(tmp_path / ending, make, ending, exif=exif)))
        for image in images[:, 0].astype(int):
            np.testing.assert_array_equal(image - image[5, 5], upright)


def bomb(width, height):
    """A small PNG file of one grey, of any size."""
    rows = zlib.compress(bytes((width + 1) * height), 1)

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 8000), (40_000, 2600), (65_000, 65_000)])
def test_decompression_bombs_are_refused_before_they_unfold(tmp_path, size):
    spec = folder(tmp_path / "f", lambda k, i: Image.new("L", (8, 8), 9 * i + k))
    content = bomb(size[0], 2)
    content = content.replace(struct.pack(">II", size[0], 2), struct.pack(">II", *size))
    start = content.index(b"IHDR")
    crc = struct.pack(">I", zlib.crc32(content[start : start + 17]))
    (tmp_path / "f" / "left" / "big.png").write_bytes(
        content[: start + 17] + crc + content[start + 21 :]
    )
    began = time.process_time()
    with pytest.raises(BrokenImageError, match=r"big\.png"):
        load_task(spec)
    task = load_task(skipping_broken(spec))
    assert task.notes[0].startswith("Skipped 1 of 17 images")
    assert time.process_time() - began < 5


def test_broken_images_are_skipped_counted_and_listed(image_folder):
    (image_folder / "red" / "1.png").write_bytes(b"nothing")
    cut = image_folder / "blue" / "7.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    spec = f"folder:{image_folder}"
    with pytest.raises(BrokenImageError, match="cannot be decoded"):
        load_task(spec)
    with pytest.warns(DataWarning, match="Skipped 2 of 20 images"):
        task = load_task(spec, skip_broken=True)
    assert task.notes == ("Skipped 2 of 20 images that cannot be used: blue/7.png, red/1.png.",)
    assert sum(map(len, (task.train, task.val, task.test))) == 18
    again = load_task(skipping_broken(spec))
    assert again.fingerprint == task.fingerprint
    for file in image_folder.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(BrokenImageError):
        load_task(spec, skip_broken=True)


def test_the_option_in_a_text():
    assert skipping_broken("folder:a") == "folder:a?skip_broken=1"
    assert skipping_broken("folder:a?size=8") == "folder:a?size=8&skip_broken=1"
    assert skipping_broken("folder:a?skip_broken=0") == "folder:a?skip_broken=0"
    with pytest.raises(UsageError, match="skip_broken=0 or skip_broken=1"):
        load_task("folder:a?skip_broken=2")


# --- what any source may hold ---------------------------------------------------------------------


def split(images, seed=0):
    return Split(images, np.arange(len(images)) % 2)


def pictures(n, seed, high=256):
    return np.random.default_rng(seed).integers(0, high, (n, 3, 6, 6)).astype(np.uint8)


def test_copies_across_parts_are_counted():
    train, val, test = pictures(40, 1), pictures(12, 2), pictures(10, 3)
    val[3:5] = train[7]
    test[:4] = train[:4]
    test[9] = val[0]
    with pytest.warns(DataWarning, match="copies of training"):
        task = make_task("mine", split(train), split(val), split(test))
    assert [n.split(":")[0] for n in task.notes] == [
        "2 of 12 validation images are copies of training images",
        "4 of 10 test images are copies of training images",
        "1 of 10 test images are copies of validation images",
    ]
    clean = make_task("mine", split(train), split(pictures(12, 2)), split(pictures(10, 3)))
    assert clean.notes == ()


def test_channels_without_content_and_zeros_and_ones():
    images = pictures(60, 1)
    images[:, 1] = 7
    assert "Channel(s) 1 of 3" in make_task("mine", split(images)).notes[-1]
    with pytest.warns(DataWarning, match="all 0 or 1 of 255"):
        task = make_task("mine", split(pictures(60, 2, high=2)))
    assert len(task.notes) == 1
    same = make_task("mine", split(pictures(60, 2)), notes=("said before.",))
    assert same.notes == ("said before.",)
    assert same.fingerprint == make_task("mine", split(pictures(60, 2))).fingerprint


def test_the_command_line_says_it_in_a_sentence(image_folder, capsys):
    from foretell.cli import main

    (image_folder / "red" / "1.png").write_bytes(b"nothing")
    words = ["score", "--sample", "1", "--proxies", "params", "--data", f"folder:{image_folder}"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--skip-broken", "--quiet"])
    assert ended.value.code == 0
    said = capsys.readouterr().err
    assert "warning: folder:flowers: Skipped 1 of 20 images" in said
    assert "DataWarning" not in said
    with pytest.raises(SystemExit) as ended:
        main([*words, "--quiet"])
    assert ended.value.code == 2


def test_one_image_of_more_than_eight_bits_has_no_range_of_its_own(tmp_path):
    from foretell.data.folder import read_image

    narrow, full, fraction = (tmp_path / name for name in ("narrow.png", "full.png", "f.tif"))
    draw("integer", 0, 4095)(0, 0).save(narrow)
    draw("integer", 0, 65535, 40)(0, 0).save(full)
    draw("float", 0, 1)(0, 0).save(fraction)
    with pytest.raises(DataError, match="save it with 8 bits"):
        read_image(narrow, (1, 8, 8))
    expected = np.rint(np.asarray(Image.open(full)) / 257).astype(int)
    assert np.abs(read_image(full, (3, 40, 40)).astype(int) - expected).max() <= 1
    assert read_image(fraction, (1, 6, 8)).shape == (1, 6, 8)
