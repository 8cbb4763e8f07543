"""What an epoch of training costs, and which part of it is not the network's own passes.

    python experiments/training.py [--repeats 5]

Each network of the small NAS-Bench-201 preset is trained on the embedded digits, on one thread.
The time of an epoch, validation included, stands beside that of as many plain forward and backward
passes on the same batches in the same memory format. CPU seconds, the least of the repeats.
"""

import argparse
import itertools
import time

import torch
import torch.nn.functional as F

from foretell import Arch, get_space, load_task
from foretell.networks import build
from foretell.training import get_recipe, loop, tensor_task

CELLS = {"all 3x3": (3,) * 6, "mixed": (3, 1, 2, 3, 1, 4), "all skip": (1,) * 6}


def plain_passes(module: torch.nn.Module, task: loop.TensorTask, size: int) -> float:
    """CPU seconds of an epoch's forward and backward passes alone."""
    images = loop.normalise(task.train.images, task.mean, task.std)
    images = images.contiguous(memory_format=torch.channels_last)
    start = time.process_time()
    for s in range(0, len(images) - size // 2, size):
        loss = F.cross_entropy(module(images[s : s + size]), task.train.labels[s : s + size])
        loss.backward()  # type: ignore[no-untyped-call]
        for p in module.parameters():
            p.grad = None
    return time.process_time() - start


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    task = load_task("digits")
    tensors = tensor_task(task)
    space = get_space("nb201")
    skeleton = space.skeleton(task.input_shape, task.classes)
    recipe = get_recipe("short")
    print(f"{recipe}\n{'cell':10s} {'params':>8s} {'epoch s':>8s} {'passes s':>9s} {'ratio':>6s}")
    for name, genes in CELLS.items():
        module = build(Arch("nb201", genes), skeleton, seed=0)
        ends: list[float] = [time.process_time()]
        loop.fit(
            module,
            tensors,
            recipe,
            seed=0,
            on_epoch=lambda _, ends=ends: ends.append(time.process_time()),  # type: ignore[misc]
        )
        epoch = min(b - a for a, b in itertools.pairwise(ends))
        module.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        passes = min(plain_passes(module, tensors, recipe.batch_size) for _ in range(repeats))
        params = sum(p.numel() for p in module.parameters())
        print(f"{name:10s} {params:8,d} {epoch:8.3f} {passes:9.3f} {epoch / passes:6.2f}")


if __name__ == "__main__":
    main()
