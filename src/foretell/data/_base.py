"""Tasks: labelled images in three splits.

Images are (n, c, h, w), uint8 or float32 in [0, 1]; labels are (n,) int64 from 0 to classes - 1.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foretell.errors import (
    DataError,
    DataWarning,
    EmptySplitError,
    ImageShapeError,
    LabelError,
    OneClassError,
)
from foretell.rng import stream
from foretell.types import Array, IntArray, Shape3

__all__ = ["Split", "Task", "fraction_of", "make_task", "stratified_sample"]

Images: TypeAlias = NDArray[Any]
"""(n, c, h, w), uint8 or float32 in [0, 1]."""

CHUNK = 1024
"""Images of a chunk in the computation of statistics."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: (n, c, h, w), uint8 or float32 in [0, 1].
        labels: (n,) int64.
    """

    images: Images
    labels: IntArray

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def take(self, index: IntArray) -> "Split":
        """The images at some indices, as a copy."""
        return Split(np.ascontiguousarray(self.images[index]), self.labels[index])


@dataclass(frozen=True, eq=False)
class Task:
    """A dataset with splits on which networks are trained, scored and attacked.

    Args:
        name: for reports, such as "digits" or "folder:flowers".
        train: for training the weights.
        val: for model selection.
        test: for the reported results only, never for selection.
        class_names: the name of each label.
        mean: (c,) of the training images in [0, 1], float64.
        std: (c,) of the same, 1 for a constant channel.
        flip: whether mirroring an image left to right keeps its label.
        crop: pixels of padding for random crops; 0 for none.
        notes: what a reader must know of the data, in sentences: images that were skipped, copies
            across parts, constant channels.
    """

    name: str
    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    mean: Array
    std: Array
    flip: bool = False
    crop: int = 0
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> Shape3:
        """Channels, height, width."""
        c, h, w = self.train.images.shape[1:]
        return int(c), int(h), int(w)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @cached_property
    def fingerprint(self) -> str:
        """A hash (16 hex digits) of all pixels, labels, class names and the augmentation."""
        digest = hashlib.blake2b(digest_size=8)
        for split in (self.train, self.val, self.test):
            digest.update(f"{split.images.dtype}{split.images.shape}".encode())
            for start in range(0, len(split), CHUNK):
                digest.update(np.ascontiguousarray(split.images[start : start + CHUNK]).data)
            digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
        digest.update(repr((self.class_names, self.flip, self.crop)).encode())
        return digest.hexdigest()

    def __repr__(self) -> str:
        """Name, sizes and shape, not the pixels."""
        sizes = "/".join(str(len(s)) for s in (self.train, self.val, self.test))
        return (
            f"Task({self.name!r}, train/val/test {sizes}, shape {self.input_shape}, "
            f"{self.classes} classes, flip={self.flip}, crop={self.crop})"
        )


def fraction_of(n: int) -> int:
    """Size of a validation or test split of n images: a fifth, at most 5,000, at least 1."""
    return max(1, min(n // 5, 5000))


def stratified_sample(
    labels: IntArray, count: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Stratified random split of images by class.

    Every class with at least two images is in both parts. Quotas are rounded by largest remainder.

    Args:
        labels: (n,) int64.
        count: size of the first part, 0 <= count <= n.
        rng: of the shuffle.

    Returns:
        Indices of both parts, (count,) and (n - count,) up to the rule above.
    """
    names, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    share = sizes * (count / max(1, len(labels)))
    quota = np.floor(share).astype(np.int64)
    order = np.argsort(-(share - quota), kind="stable")
    quota[order[: count - int(quota.sum())]] += 1
    if 0 < count < len(labels):
        quota = np.where(sizes > 1, np.clip(quota, 1, sizes - 1), quota)
    drawn, left = [], []
    for k in range(len(names)):
        members = rng.permutation(np.flatnonzero(inverse == k))
        drawn.append(members[: quota[k]])
        left.append(members[quota[k] :])
    empty = [np.zeros(0, dtype=np.int64)]
    return rng.permutation(np.concatenate(drawn or empty)), rng.permutation(
        np.concatenate(left or empty)
    )


def make_task(
    name: str,
    train: Split,
    val: Split | None = None,
    test: Split | None = None,
    *,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    flip: bool = False,
    crop: int = 0,
    limit: int | None = None,
    notes: Sequence[str] = (),
) -> Task:
    """A task from validated splits; missing parts are split off the training images.

    The test part is drawn first, then the validation part: each a stratified
    fifth of the remaining images, at most 5,000.

    Args:
        name: for reports.
        train: all images, or those not in ``val`` and ``test``.
        val: validation images, if the data come with them.
        test: test images, if the data come with them.
        class_names: one for each label; by default the labels as text.
        seed: of the splits.
        flip: whether mirroring keeps the label.
        crop: pixels of padding for random crops.
        limit: keep at most this many training images, and a quarter as many for each of the
            other parts, class-balanced.
        notes: what a reader must know of the data. What is noticed here is added: copies of
            training images in other parts, constant channels, pixels of 0 and 1. Each note is a
            ``DataWarning`` too.

    Raises:
        DataError: some parts are uint8 and others floats.
        EmptySplitError: a part has no image, or a class has too few to be in each part.
        ImageShapeError: the parts' images have different shapes.
        LabelError: labels and class names do not match, or a class is never trained on.
        OneClassError: the training images show fewer than two classes.
    """
    labels = train.labels
    count = int(labels.max()) + 1 if len(labels) else 0
    names = tuple(map(str, range(count) if class_names is None else class_names))
    for part, split in (("training", train), ("validation", val), ("test", test)):
        if split is None:
            continue
        if not len(split):
            raise EmptySplitError(f"The {part} part of {name!r} has no image: add some.")
        _check_labels(name, part, split.labels, names)
        _check_alike(name, part, split, train)
    present = np.unique(labels)
    if len(present) < 2:
        raise OneClassError(
            f"{name!r} shows only one class, {names[int(present[0])]!r}: classification needs "
            f"images of two classes or more."
        )
    for part, split in (("validation", val), ("test", test)):
        unseen = np.setdiff1d([] if split is None else split.labels, present)
        if len(unseen):
            raise LabelError(
                f"The {part} part of {name!r} shows the class {names[int(unseen[0])]!r}, of which "
                f"there is no training image: add some, or remove the class."
            )
    parts = 1 + (val is None) + (test is None)
    sizes = np.bincount(labels)[present]
    if sizes.min() < parts:
        scarce = names[int(present[int(sizes.argmin())])]
        raise EmptySplitError(
            f"The class {scarce!r} of {name!r} has {sizes.min()} image(s), but {parts} are needed "
            f"for one in each part: add images, or remove the class."
        )
    rest = np.arange(len(train), dtype=np.int64)
    val, test = (None if s is None else _solid(s) for s in (val, test))
    if test is None:
        drawn, rest = stratified_sample(labels, fraction_of(len(labels)), stream(seed, "test"))
        test = train.take(drawn)
    if val is None:
        some, other = stratified_sample(
            labels[rest], fraction_of(len(rest)), stream(seed, "validation")
        )
        val, rest = train.take(rest[some]), rest[other]
    else:
        rest = stream(seed, "order").permutation(rest)
    if limit is not None:
        quarter = max(len(present), limit // 4)
        rest = rest[_limited(labels[rest], limit, seed, "limit-train")]
        val = val.take(_limited(val.labels, quarter, seed, "limit-val"))
        test = test.take(_limited(test.labels, quarter, seed, "limit-test"))
    train = train.take(rest)
    mean, std = channel_statistics(train.images)
    notes = (*notes, *_copies(train, val, test), *_ranges(train.images))
    for note in notes:
        warnings.warn(f"{name}: {note}", DataWarning, stacklevel=3)
    return Task(name, train, val, test, names, mean, std, flip, crop, tuple(notes))


def _copies(train: Split, val: Split, test: Split) -> list[str]:
    """Sentences about images of one part that are in another, too."""
    marks = {
        part: [_mark(image) for image in split.images]
        for part, split in (("training", train), ("validation", val), ("test", test))
    }
    notes = []
    for part, other in (("validation", "training"), ("test", "training"), ("test", "validation")):
        there = set(marks[other])
        copies = sum(mark in there for mark in marks[part])
        if copies:
            notes.append(
                f"{copies} of {len(marks[part])} {part} images are copies of {other} images: "
                f"accuracies on them are too high. Remove copies before splitting, or keep them in "
                f"one part."
            )
    return notes


def _mark(image: Images) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _ranges(images: Images) -> list[str]:
    """Sentences about channels without content, and a range that cannot be meant."""
    notes = []
    low, high = images.min(axis=(0, 2, 3)), images.max(axis=(0, 2, 3))
    constant = [int(k) for k in np.flatnonzero(low == high)]
    if constant:
        where = f"Channel(s) {', '.join(map(str, constant))} of {len(low)}"
        notes.append(
            f"{where if len(low) > 1 else 'The only channel'} of the training images is constant: "
            f"nothing can be learned from it."
        )
    elif images.dtype == np.uint8 and high.max() == 1:
        notes.append(
            "The uint8 pixels are all 0 or 1 of 255, almost black: if black and white is meant, "
            "give bool, or 0 and 255."
        )
    return notes


def channel_statistics(images: Images) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel in [0, 1], (c,) float64 each.

    Two passes in chunks, to limit memory. The standard deviation of a constant channel is 1.
    """
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    chunks = [slice(s, s + CHUNK) for s in range(0, len(images), CHUNK)]
    pixels = len(images) * images.shape[2] * images.shape[3]
    total = sum(images[s].sum(axis=(0, 2, 3), dtype=np.float64) for s in chunks)
    mean = np.asarray(total / pixels)
    squares = sum(
        ((images[s] - mean[:, None, None]) ** 2).sum(axis=(0, 2, 3), dtype=np.float64)
        for s in chunks
    )
    std = np.sqrt(np.asarray(squares / pixels))
    return mean / scale, np.where(std > 1e-12, std / scale, 1.0)


def _solid(split: Split) -> Split:
    """The same images as a contiguous array that torch can share."""
    images = np.require(split.images, requirements=["C", "W"])
    return Split(images, split.labels)


def _limited(labels: IntArray, count: int, seed: int, key: str) -> IntArray:
    if count >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    return stratified_sample(labels, count, stream(seed, key))[0]


def _check_labels(name: str, part: str, labels: IntArray, names: tuple[str, ...]) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(names):
        raise LabelError(
            f"The {part} labels of {name!r} run from {low} to {high}, but there are {len(names)} "
            f"class names: give labels from 0 to {len(names) - 1}, or {high + 1} names."
        )


def _check_alike(name: str, part: str, split: Split, train: Split) -> None:
    here, there = split.images, train.images
    if here.shape[1:] != there.shape[1:]:
        raise ImageShapeError(
            f"The training and {part} images of {name!r} have different shapes, "
            f"{there.shape[1:]} and {here.shape[1:]}: resize them alike."
        )
    if here.dtype != there.dtype:
        raise DataError(
            f"The training images of {name!r} are {there.dtype} and the {part} images "
            f"{here.dtype}: give both as uint8 or both as floats in [0, 1]."
        )
