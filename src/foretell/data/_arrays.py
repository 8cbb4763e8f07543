"""Conversion of arrays of any common layout to validated images and labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.errors import (
    DataError,
    ImageShapeError,
    LabelError,
    NonFinitePixelsError,
    UsageError,
)
from foretell.types import IntArray

__all__ = ["as_images", "as_labels", "channels_first", "shrink"]

CHANNELS = (1, 3, 4)
"""Numbers of channels from which a layout is inferred."""
ROUNDING = 1e-4
"""Tolerance of floats beyond [0, 1], for rounding errors of resizing."""


def as_images(array: NDArray[Any], what: str, layout: str | None = None) -> NDArray[Any]:
    """Validated images, (n, c, h, w), uint8 or float32 in [0, 1].

    Args:
        array: (n, h, w), (n, h, w, c) or (n, c, h, w); integers in 0..255, floats in [0, 1], bool.
        what: for messages, such as "'x' of data.npz".
        layout: "nhwc" or "nchw" where the shape is ambiguous.

    Raises:
        DataError: pixels have another type or range.
        ImageShapeError: the shape fits no layout.
        NonFinitePixelsError: a pixel is infinite or not a number.
    """
    images = channels_first(array, what, layout)
    kind = images.dtype.kind
    if kind == "b":
        return images.astype(np.uint8) * np.uint8(255)
    if kind in "iu":
        if images.dtype == np.uint8:
            return images
        if images.size and (images.min() < 0 or images.max() > 255):
            raise DataError(
                f"The pixels of {what} run from {images.min()} to {images.max()}: give integers "
                f"from 0 to 255, or floats from 0 to 1."
            )
        return images.astype(np.uint8)
    if kind != "f":
        raise DataError(
            f"The pixels of {what} have the type {images.dtype}: give integers from 0 to 255, or "
            f"floats from 0 to 1."
        )
    return _floats(images, what)


def _floats(images: NDArray[Any], what: str) -> NDArray[Any]:
    if not images.size:
        return images.astype(np.float32)
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        raise NonFinitePixelsError(
            f"{len(bad)} image(s) of {what} hold NaN or infinite pixels, the first at position "
            f"{bad[0]}: mend or remove them."
        )
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            f"The float pixels of {what} run from {low:.4g} to {high:.4g}: scale them to 0..1, or "
            f"give uint8; do not normalise them, foretell does that itself."
        )
    images = images.astype(np.float32)
    return images if low >= 0 and high <= 1 else np.clip(images, 0, 1)


def channels_first(array: NDArray[Any], what: str, layout: str | None = None) -> NDArray[Any]:
    """The same images as (n, c, h, w), without a copy.

    The axis of 1, 3 or 4 entries is taken as the channels; if that is ambiguous, two equal adjacent
    axes are height and width.

    Raises:
        ImageShapeError: the shape fits no layout.
        UsageError: no such layout.
    """
    if layout not in (None, "nhwc", "nchw"):
        raise UsageError(f"Expected layout nhwc or nchw, but got {layout!r}.")
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim != 4:
        raise ImageShapeError(
            f"Expected images (n, h, w), (n, h, w, c) or (n, c, h, w) in {what}, but the array's "
            f"shape is {array.shape}."
        )
    else:
        layout = layout or _guess(array.shape[1:])
        if layout is None:
            raise ImageShapeError(
                f"The shape {array.shape} of {what} does not tell which axis holds the channels: "
                f"add ?layout=nhwc or ?layout=nchw."
            )
        array = array.transpose(0, 3, 1, 2) if layout == "nhwc" else array
    if 0 in array.shape[1:]:
        raise ImageShapeError(f"The images of {what} have no pixel: their shape is {array.shape}.")
    return array


def _guess(shape: tuple[int, ...]) -> str | None:
    first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
    if first != last:
        return "nchw" if first else "nhwc"
    square_last, square_first = shape[1] == shape[2], shape[0] == shape[1]
    if square_last != square_first:
        return "nchw" if square_last else "nhwc"
    return None


def as_labels(array: NDArray[Any], images: int, what: str) -> NDArray[Any]:
    """Validated labels, (n,): integers or texts.

    Args:
        array: (n,) or (n, 1), integers, texts or floats without a fraction.
        images: number of images.
        what: for messages.

    Raises:
        LabelError: another shape, type or number.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise LabelError(
            f"Expected one label for each image in {what}, but the array's shape is {array.shape}."
        )
    if len(array) != images:
        raise LabelError(
            f"There are {images} images but {len(array)} labels in {what}: give one for each."
        )
    if array.dtype.kind == "f" and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind in "US":
        return array.astype(str)
    raise LabelError(
        f"The labels in {what} have the type {array.dtype}: give integers or texts, one for each "
        f"image."
    )


def number_labels(*labels: NDArray[Any] | None) -> tuple[list[IntArray | None], tuple[str, ...]]:
    """Labels of any values as 0..classes - 1, numbered in sorted order; and their names."""
    values = np.unique(np.concatenate([x for x in labels if x is not None]))
    numbered = [None if x is None else np.searchsorted(values, x).astype(np.int64) for x in labels]
    return numbered, tuple(str(v) for v in values)


def shrink(images: NDArray[Any], size: int | None, what: str) -> NDArray[Any]:
    """Images downsampled to ``size`` pixels a side by averaging.

    Args:
        images: (n, c, h, w).
        size: a divisor of height and width; None for no change.
        what: for messages.

    Raises:
        UsageError: the size does not divide them.
    """
    n, c, h, w = images.shape
    if size is None or (h, w) == (size, size):
        return images
    if size < 1 or h % size or w % size:
        fits = [s for s in range(1, min(h, w) + 1) if h % s == 0 and w % s == 0]
        raise UsageError(
            f"The {h}x{w} images of {what} cannot be averaged down to {size} pixels: choose "
            f"{' or '.join(map(str, fits))}."
        )
    out = np.empty((n, c, size, size), dtype=images.dtype)
    for s in range(0, n, 1024):
        part = images[s : s + 1024].reshape(-1, c, size, h // size, size, w // size)
        mean = part.mean(axis=(3, 5), dtype=np.float64)
        out[s : s + 1024] = np.rint(mean) if images.dtype == np.uint8 else mean
    return out
