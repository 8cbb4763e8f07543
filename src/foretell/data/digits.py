"""The embedded handwritten digits: 1,797 images of 8x8 pixels; see DIGITS.md beside this file."""

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data._arrays import shrink
from foretell.data._base import Split, Task, make_task
from foretell.data._source import Options, pick, sources
from foretell.errors import UsageError
from foretell.types import IntArray

__all__ = ["digits", "read_digits"]


def read_digits() -> tuple[NDArray[Any], IntArray]:
    """The images (1797, 1, 8, 8) float32 in [0, 1], multiples of 1/16, and the labels (1797,)."""
    with (files("foretell.data") / "digits.npz").open("rb") as file, np.load(file) as data:
        images = data["images"][:, None].astype(np.float32) / np.float32(16)
        return images, data["labels"].astype(np.int64)


@sources.add("digits", summary="1,797 embedded 8x8 images of handwritten digits", form="digits")
def digits(place: str, options: Options) -> Task:
    """The embedded digits: 1,438 images for training and validation, 359 for testing.

    Without augmentation: mirroring changes digits, and crops bring no gain (see the page on
    training).

    Raises:
        UsageError: something follows the name.
    """
    if place:
        raise UsageError(f"The data source 'digits' takes no path, but got {place!r}.")
    images, labels = read_digits()
    images = shrink(images, options.image_size, "digits")
    return make_task(
        "digits",
        Split(images, labels),
        seed=options.seed,
        flip=bool(options.flip),
        crop=pick(options.crop, 0),
        limit=options.limit,
    )
