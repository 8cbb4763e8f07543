"""The images and labels that networks are scored on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from foretell.errors import ProxyError, TooFewBatchesError, UsageError
from foretell.rng import stream

if TYPE_CHECKING:
    from foretell.data import Task

__all__ = ["Batches", "check_distinct", "make_batches"]


@dataclass(frozen=True)
class Batches:
    """Batches of images and labels, the same for every scored network.

    Args:
        images: each (n, c, h, w) float32, normalised.
        labels: each (n,) int64.

    Raises:
        ProxyError: no batch, batches of fewer than two images, or lengths that differ.
    """

    images: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        """Check the lengths."""
        sizes = [len(x) for x in self.images]
        if not sizes or min(sizes) < 2 or sizes != [len(y) for y in self.labels]:
            raise ProxyError(
                f"Expected batches of at least two images with as many labels, but got images "
                f"{sizes} and labels {[len(y) for y in self.labels]}."
            )

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.images)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.images[0].shape[1:])


def make_batches(task: "Task", *, batch_size: int = 64, count: int = 2, seed: int = 0) -> Batches:
    """Distinct batches of training images: no image is in two of them, or twice in one.

    Where the images are too few, the batches are smaller. Images are scaled to [0, 1] and normalised with the task's mean and standard deviation; there is
    no augmentation.

    Args:
        task: the data.
        batch_size: images in a batch, at most.
        count: number of batches.
        seed: of the sample.

    Raises:
        UsageError: ``batch_size`` is below 2, ``count`` below 1, or there are fewer than two images
            for each batch.
    """
    if batch_size < 2 or count < 1:
        raise UsageError(
            f"Expected batch_size >= 2 and count >= 1, but got {batch_size} and {count}."
        )
    images, labels = task.train.images, task.train.labels
    total = len(images)
    size = min(batch_size, total // count)
    if size < 2:
        raise UsageError(
            f"Expected at least {2 * count} training images for {count} distinct batches, but got "
            f"{total}: add images, or ask for fewer batches."
        )
    order = stream(seed, "batches").permutation(total)
    mean = torch.as_tensor(task.mean, dtype=torch.float32).reshape(1, -1, 1, 1)
    std = torch.as_tensor(task.std, dtype=torch.float32).reshape(1, -1, 1, 1)
    xs, ys = [], []
    for i in range(count):
        rows = order[i * size : (i + 1) * size]
        pixels = torch.from_numpy(np.ascontiguousarray(images[rows]))
        x = pixels.to(torch.float32)
        if pixels.dtype == torch.uint8:
            x = x / 255.0
        xs.append((x - mean) / std)
        ys.append(torch.from_numpy(np.asarray(labels[rows], dtype=np.int64)))
    return Batches(tuple(xs), tuple(ys))


def check_distinct(batches: Batches) -> None:
    """Refuse two batches of the same images, between which gradients differ by rounding alone.

    Raises:
        TooFewBatchesError: two batches hold the same images, in whatever order.
    """
    contents = [_content(x) for x in batches.images]
    if any(a == b for i, a in enumerate(contents) for b in contents[:i]):
        raise TooFewBatchesError(
            "Two batches hold the same images: their gradients differ by rounding alone. Make "
            "distinct batches with make_batches(task, count=2)."
        )


def _content(x: Tensor) -> list[bytes]:
    """The images as bytes, in an order of their own."""
    return sorted(row.tobytes() for row in x.detach().cpu().float().numpy())
