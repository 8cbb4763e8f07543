"""Layouts, types and ranges of arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.data._arrays import as_images, as_labels, channels_first, number_labels, shrink
from foretell.errors import (
    DataError,
    ImageShapeError,
    LabelError,
    NonFinitePixelsError,
    UsageError,
)


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((5, 8, 9), None, (5, 1, 8, 9)),
        ((5, 8, 9, 3), None, (5, 3, 8, 9)),
        ((5, 3, 8, 9), None, (5, 3, 8, 9)),
        ((5, 8, 9, 1), None, (5, 1, 8, 9)),
        ((5, 4, 8, 8), None, (5, 4, 8, 8)),
        ((5, 12, 8, 8), None, (5, 12, 8, 8)),
        ((5, 8, 8, 12), None, (5, 12, 8, 8)),
        ((5, 3, 3, 1), None, (5, 1, 3, 3)),
        ((5, 3, 8, 3), "nhwc", (5, 3, 3, 8)),
        ((5, 3, 8, 3), "nchw", (5, 3, 8, 3)),
        ((5, 7, 8, 9), "nchw", (5, 7, 8, 9)),
    ],
)
def test_layouts(shape, layout, expected):
    array = np.arange(np.prod(shape)).reshape(shape) % 251
    out = channels_first(array, "x", layout)
    assert out.shape == expected
    if len(shape) == 4 and out.shape != shape:
        np.testing.assert_array_equal(out, np.moveaxis(array, 3, 1))


@pytest.mark.parametrize("shape", [(5, 3, 8, 3), (5, 7, 8, 9), (5, 3, 3, 3)])
def test_open_layouts_ask(shape):
    with pytest.raises(ImageShapeError, match=r"\?layout=nhwc or \?layout=nchw"):
        channels_first(np.zeros(shape), "x")


@pytest.mark.parametrize("shape", [(5,), (5, 64), (5, 1, 2, 3, 4)])
def test_other_ranks(shape):
    with pytest.raises(ImageShapeError, match="Expected images"):
        channels_first(np.zeros(shape), "x")


def test_no_pixels():
    with pytest.raises(ImageShapeError, match="no pixel"):
        channels_first(np.zeros((5, 0, 8)), "x")


def test_unknown_layout():
    with pytest.raises(UsageError, match="'chw'"):
        channels_first(np.zeros((5, 3, 8, 8)), "x", "chw")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint32, np.float64, bool])
def test_types(dtype):
    values = np.array([[[0, 1], [1, 0]]])
    out = as_images(values.astype(dtype), "x")
    if dtype == np.float64:
        assert out.dtype == np.float32
    else:
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(out[0, 0], values[0] * (255 if dtype is bool else 1))


def test_uint8_is_not_copied():
    array = np.zeros((3, 4, 5), dtype=np.uint8)
    assert np.shares_memory(as_images(array, "x"), array)


def test_rounding_errors_are_cut_off():
    out = as_images(np.full((1, 2, 2), 1.00001), "x")
    assert out.max() == 1


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (256, np.int32, "from 256 to 256"),
        (-1, np.int8, "from -1 to -1"),
        (255.0, np.float32, "scale them to 0..1"),
        (-0.5, np.float64, "scale them to 0..1"),
        (1j, np.complex64, "type complex64"),
        ("a", np.str_, "type <U1"),
    ],
)
def test_bad_pixels(value, dtype, words):
    with pytest.raises(DataError, match=words):
        as_images(np.full((2, 3, 3), value, dtype=dtype), "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_pixels_name_the_image(value):
    array = np.zeros((4, 3, 3))
    array[2, 1, 1] = value
    with pytest.raises(NonFinitePixelsError, match=r"1 image\(s\) of x .* at position 2"):
        as_images(array, "x")


@pytest.mark.parametrize(
    "labels",
    [np.array([3, 1]), np.array([[3], [1]]), np.array([3.0, 1.0]), np.array([3, 1], np.uint8)],
)
def test_labels(labels):
    out = as_labels(labels, 2, "y")
    assert out.dtype == np.int64
    assert out.tolist() == [3, 1]


def test_text_labels_are_numbered_in_order():
    texts = as_labels(np.array([b"dog", b"cat", b"dog"]), 3, "y")
    (first, none, second), names = number_labels(texts, None, np.array(["cat"]))
    assert first.tolist() == [1, 0, 1]
    assert none is None
    assert second.tolist() == [0]
    assert names == ("cat", "dog")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 10)), r"shape is \(2, 10\)"),
        (np.zeros(3), "2 images but 3 labels"),
        (np.array([0.5, 1]), "type float64"),
        (np.array([None, 1], dtype=object), "type object"),
    ],
)
def test_bad_labels(labels, words):
    with pytest.raises(LabelError, match=words):
        as_labels(labels, 2, "y")


def test_shrink_averages_blocks():
    image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) / 16
    out = shrink(image, 2, "x")
    np.testing.assert_allclose(out[0, 0] * 16, [[2.5, 4.5], [10.5, 12.5]])
    assert out.dtype == np.float32
    whole = shrink((image * 160).astype(np.uint8), 2, "x")
    assert whole.dtype == np.uint8
    assert whole[0, 0].tolist() == [[25, 45], [105, 125]]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 9))
def test_shrink_keeps_the_mean(factor, channels, seed):
    images = np.random.default_rng(seed).random((3, channels, 2 * factor, 2 * factor))
    out = shrink(images, 2, "x")
    np.testing.assert_allclose(out.mean(axis=(2, 3)), images.mean(axis=(2, 3)))


def test_shrink_names_the_sizes_that_work():
    images = np.zeros((1, 1, 8, 8), np.uint8)
    assert shrink(images, None, "x") is images
    assert shrink(images, 8, "x") is images
    with pytest.raises(UsageError, match="choose 1 or 2 or 4 or 8"):
        shrink(images, 5, "x")
