"""Synthetic images with a learnable class structure."""

import re

import numpy as np

from foretell.data._base import Split, Task, make_task
from foretell.data._source import Options, pick, sources
from foretell.errors import UsageError
from foretell.rng import stream
from foretell.types import Shape3

__all__ = ["make_images", "synthetic"]

IMAGES = 2000
_MOST = 1 << 28
"""Values of all images together, 2 GiB of memory while they are made."""
FORM = re.compile(r"(\d+)x(\d+)x(\d+)(?:x(\d+))?")


@sources.add(
    "synthetic",
    summary="made-up images of any shape with classes that can be learnt",
    form="synthetic:CxHxW[xCLASSES]",
)
def synthetic(place: str, options: Options) -> Task:
    """A task of 2,000 synthetic images, by default of 10 classes.

    Raises:
        UsageError: the text is no shape.
    """
    match = FORM.fullmatch(place)
    sizes = [int(g) for g in match.groups("10")] if match else []
    if not sizes or min(sizes) < 1 or sizes[3] < 2:
        raise UsageError(
            f"Expected synthetic:CxHxW or synthetic:CxHxWxCLASSES, such as synthetic:3x32x32x10, "
            f"but got 'synthetic:{place}'."
        )
    c, h, w, classes = sizes
    if options.image_size is not None:
        h = w = options.image_size
    if max(2 * classes, max(IMAGES, 10 * classes)) * c * h * w > _MOST:
        raise UsageError(
            f"synthetic:{place} would have more than {_MOST:,} values in its images: ask for "
            f"smaller or fewer ones."
        )
    split = make_images((c, h, w), classes, max(IMAGES, 10 * classes), options.seed)
    return make_task(
        f"synthetic:{place}",
        split,
        class_names=[f"class {k}" for k in range(classes)],
        seed=options.seed,
        flip=bool(options.flip),
        crop=pick(options.crop, 0),
        limit=options.limit,
    )


def make_images(shape: Shape3, classes: int, count: int, seed: int) -> Split:
    """Images of smooth class patterns with random shift, contrast and noise.

    Each class has a periodic pattern of a few waves, so that rolling leaves no edge. An image is
    its class's pattern rolled by up to an eighth of the side, times a contrast in [0.5, 1], plus
    normal noise, around mid-grey.

    Args:
        shape: channels, height, width.
        classes: number of classes.
        count: number of images, evenly spread over the classes.
        seed: the same seed gives the same images.

    Returns:
        uint8 images and their labels.
    """
    c, h, w = shape
    rng = stream(seed, "synthetic", *shape, classes)
    y, x = np.arange(h)[:, None] / h, np.arange(w)[None, :] / w
    waves = 4
    fy = rng.integers(-2, 3, (classes, c, waves, 1, 1))
    fx = rng.integers(0, 3, (classes, c, waves, 1, 1))
    phase = rng.random((classes, c, waves, 1, 1))
    patterns = np.cos(2 * np.pi * (fy * y + fx * x + phase)).sum(axis=2)
    patterns /= np.abs(patterns).max(axis=(1, 2, 3), keepdims=True) + 1e-9
    labels = rng.permutation(np.arange(count) % classes)
    shifts = rng.integers(-np.array([h, w]) // 8, np.array([h, w]) // 8 + 1, (count, 2))
    contrast = rng.uniform(0.5, 1.0, count)
    images = np.empty((count, c, h, w), dtype=np.uint8)
    for i in range(count):
        image = np.roll(patterns[labels[i]], shifts[i], axis=(1, 2)) * contrast[i]
        image = 127.5 + 64 * image + rng.normal(0, 32, (c, h, w))
        images[i] = np.rint(np.clip(image, 0, 255))
    return Split(images, labels.astype(np.int64))
