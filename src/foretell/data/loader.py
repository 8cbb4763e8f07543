"""A task from anything that yields batches of images and labels, such as a DataLoader."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foretell.data._arrays import as_images, as_labels
from foretell.data._base import Split, Task, make_task
from foretell.errors import DataError, EmptySplitError, ImageShapeError

__all__ = ["task_from_loader"]

IMAGE_KEYS = ("image", "images", "img", "pixel_values", "x", "input", "inputs")
LABEL_KEYS = ("label", "labels", "y", "target", "targets")


def task_from_loader(
    train_loader: Iterable[Any],
    val_loader: Iterable[Any] | None = None,
    test_loader: Iterable[Any] | None = None,
    *,
    name: str = "loader",
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    flip: bool = False,
    crop: int = 0,
    normalised: tuple[Sequence[float], Sequence[float]] | None = None,
    layout: str | None = "nchw",
    limit: int | None = None,
) -> Task:
    """A task from the batches of one to three loaders, each read once.

    A batch is a pair (images, labels) or a mapping with keys such as "image" and "label"; both
    tensors and arrays work. Missing parts are split off the training images. Turn augmentation in
    the loader off: foretell augments in every epoch of training.

    Args:
        train_loader: yields training batches.
        val_loader: yields validation batches.
        test_loader: yields test batches.
        name: for reports.
        class_names: one for each label.
        seed: of the splits.
        flip: whether mirroring keeps the label.
        crop: pixels of padding for random crops.
        normalised: mean and std of each channel by which the loader normalises; this is inverted.
        layout: of the images; "nhwc" for channels last, None to infer it.
        limit: keep at most this many training images; reading stops at six times as many.

    Raises:
        DataError: there is no training loader, a batch cannot be read, or its images are not in
            [0, 1].
        EmptySplitError: a loader yields nothing.
    """
    if train_loader is None:
        raise DataError("Expected a loader of training batches, but got None.")
    train = _read(train_loader, "training", normalised, layout, limit)
    others = [
        None if x is None else _read(x, part, normalised, layout, limit)
        for part, x in (("validation", val_loader), ("test", test_loader))
    ]
    return make_task(
        name,
        train,
        *others,
        class_names=class_names,
        seed=seed,
        flip=flip,
        crop=crop,
        limit=limit,
    )


def _read(
    loader: Iterable[Any],
    part: str,
    normalised: tuple[Sequence[float], Sequence[float]] | None,
    layout: str | None,
    limit: int | None,
) -> Split:
    what = f"the {part} loader"
    images: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    seen = 0
    for batch in loader:
        x, y = (_array(v) for v in _pair(batch, what))
        if normalised is not None:
            x = _denormalise(x, normalised, layout)
        x = as_images(x, what, layout)
        if images and x.shape[1:] != images[0].shape[1:]:
            raise ImageShapeError(
                f"{what.capitalize()} yields images of different shapes, {images[0].shape[1:]} and "
                f"{x.shape[1:]}: resize them alike."
            )
        images.append(x)
        labels.append(as_labels(np.atleast_1d(y), len(x), what))
        seen += len(x)
        if limit is not None and seen >= 6 * limit:
            break
    if not seen:
        raise EmptySplitError(f"{what.capitalize()} yields no image: add some.")
    merged = np.concatenate(labels)
    if merged.dtype.kind != "i":
        raise DataError(f"{what.capitalize()} yields labels that are no integers: number them.")
    return Split(np.concatenate(images), merged)


def _pair(batch: Any, what: str) -> tuple[Any, Any]:
    if isinstance(batch, Mapping):
        image = next((k for k in IMAGE_KEYS if k in batch), None)
        label = next((k for k in LABEL_KEYS if k in batch), None)
        if image is not None and label is not None:
            return batch[image], batch[label]
        came = f"a mapping with the keys {', '.join(map(str, batch))}"
    elif isinstance(batch, Sequence) and len(batch) >= 2:
        return batch[0], batch[1]
    else:
        came = f"a {type(batch).__name__}"
    raise DataError(f"Expected batches (images, labels) from {what}, but got {came}.")


def _array(value: Any) -> NDArray[Any]:
    """A tensor or array-like as an array; does not import torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    return np.asarray(value)


def _denormalise(
    x: NDArray[Any], normalised: tuple[Sequence[float], Sequence[float]], layout: str | None
) -> NDArray[Any]:
    mean, std = (np.asarray(v, dtype=np.float64) for v in normalised)
    shape = (-1,) if layout == "nhwc" else (-1, 1, 1)
    return x * std.reshape(shape) + mean.reshape(shape)
