"""Accuracy under attack."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from foretell.data import Task, stratified_sample
from foretell.errors import UsageError
from foretell.rng import stream, stream_seed
from foretell.robustness.catalogue import attacks as registry
from foretell.robustness.linf import Normalised

__all__ = ["RobustnessResult", "evaluate"]

BATCH = 256


@dataclass(frozen=True)
class RobustnessResult:
    """Accuracy without and with attacks, all on the same images.

    Args:
        clean: in [0, 1].
        accuracy: attack -> eps in 1/255 -> accuracy in [0, 1], at most ``clean``.
        images: how many there were.
        seconds: that it took.
    """

    clean: float
    accuracy: Mapping[str, Mapping[float, float]]
    images: int
    seconds: float


def evaluate(
    module: nn.Module,
    task: Task,
    *,
    attacks: Sequence[str] = ("fgsm", "pgd"),
    eps: Sequence[float] = (1, 2, 4, 8),
    images: int = 500,
    seed: int = 0,
    device: str | None = None,
    split: str = "test",
    on_done: Callable[[str, float], None] | None = None,
) -> RobustnessResult:
    """Robust accuracy of a network under attacks.

    Only correctly classified images are attacked; the others count as wrong at every eps, as in
    AutoAttack. The mode, weights and gradients of the module are restored.

    Args:
        module: takes normalised images.
        task: gives images, mean and std.
        attacks: names from the registry of attacks.
        eps: L-infinity radius in 1/255 of the image range.
        images: number of images, class-balanced; all if there are fewer.
        seed: of the sample of images and of random starts.
        device: by default that of the module; on another one, a copy is evaluated.
        split: "val" or "test"; model selection needs "val".
        on_done: called with attack and eps after each.

    Raises:
        UnknownNameError: no such attack.
        UsageError: an eps, the number of images or the split is invalid.
    """
    start = time.perf_counter()
    if split not in ("val", "test"):
        raise UsageError(f"Expected split 'val' or 'test', but got {split!r}.")
    if images < 1:
        raise UsageError(f"Expected images >= 1, but got {images}.")
    if not all(0 <= e <= 255 for e in eps):
        raise UsageError(f"Expected eps from 0 to 255 (in 1/255), but got {list(eps)}.")
    chosen = {name: registry[name] for name in attacks}
    own_device = next((p.device for p in module.parameters()), torch.device("cpu"))
    target = own_device if device is None else torch.device(device)
    network = module if target == own_device else copy.deepcopy(module).to(target)
    x, y = _images(task, split, images, seed)
    x, y = x.to(target), y.to(target)
    modes = [(m, m.training) for m in network.modules()]
    model = Normalised(network, task.mean.tolist(), task.std.tolist()).to(target).eval()
    try:
        right = _right(model, x, y)
        x, y, n = x[right], y[right], len(x)
        accuracy: dict[str, dict[float, float]] = {}
        for name, attack in chosen.items():
            accuracy[name] = {}
            for e in eps:
                generator = torch.Generator().manual_seed(stream_seed(seed, "attack", name, e))
                correct = 0
                for part in range(0, len(x), BATCH):
                    batch = x[part : part + BATCH], y[part : part + BATCH]
                    changed = attack(model, *batch, e, generator)
                    correct += int(_right(model, changed, batch[1]).sum())
                accuracy[name][e] = correct / n
                if on_done is not None:
                    on_done(name, e)
    finally:
        for m, training in modes:
            m.training = training
    return RobustnessResult(len(x) / n, accuracy, n, time.perf_counter() - start)


def _images(task: Task, split: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    part = task.test if split == "test" else task.val
    if count < len(part):
        index, _ = stratified_sample(part.labels, count, stream(seed, "attacked images"))
        part = part.take(index)
    images = part.images
    scaled = images.astype(np.float32) / 255 if images.dtype == np.uint8 else images
    return torch.from_numpy(scaled), torch.from_numpy(part.labels)


@torch.no_grad()
def _right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Whether each image is classified as its label, (n,) bool."""
    parts = [model(x[s : s + BATCH]).argmax(1) for s in range(0, len(x), BATCH)]
    return torch.cat([*parts, y[:0]]) == y
