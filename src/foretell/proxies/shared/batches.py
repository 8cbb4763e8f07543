"""The images and labels that networks are scored on."""

from collections import Counter
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
    """Batches of training images, drawn without replacement while there are enough.

    Images are scaled to [0, 1] and normalised with the task's mean and standard deviation; there is
    no augmentation.

    Args:
        task: the data.
        batch_size: images in a batch.
        count: number of batches.
        seed: of the sample.

    Raises:
        UsageError: ``batch_size`` is below 2 or ``count`` below 1.
    """
    if batch_size < 2 or count < 1:
        raise UsageError(
            f"Expected batch_size >= 2 and count >= 1, but got {batch_size} and {count}."
        )
    images, labels = task.train.images, task.train.labels
    total = len(images)
    order = stream(seed, "batches").permutation(total)
    while len(order) < min(batch_size, total) * count:
        order = np.concatenate([order, stream(seed, "batches", len(order)).permutation(total)])
    size = min(batch_size, total)
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
    """Refuse batches that share most of their images: gradients hardly differ between them.

    Raises:
        TooFewBatchesError: two batches have more than half of their images in common.
    """
    contents = [Counter(map(_content, x)) for x in batches.images]
    for i, a in enumerate(contents):
        for b in contents[:i]:
            shared, size = (a & b).total(), min(a.total(), b.total())
            if 2 * shared > size:
                raise TooFewBatchesError(
                    f"Expected batches of different images, but two have {shared} of {size} in "
                    f"common, and their gradients differ by little more than rounding: take "
                    f"smaller batches (--batch-size), or add images."
                )


def _content(image: Tensor) -> bytes:
    return image.detach().cpu().double().numpy().tobytes()
