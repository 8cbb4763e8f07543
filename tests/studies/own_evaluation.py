"""An evaluation and a space of a user's own, at the top of a file, so that processes find them."""

import os
import time

from foretell.spaces import CustomSpace

space = CustomSpace({"a": tuple(range(6)), "b": tuple(range(6)), "c": (0, 1, 2)}, name="own")


def worth(arch):
    """The higher the genes, the better."""
    return float(sum((i + 2) * g for i, g in enumerate(arch.genes)))


def slow(arch):
    """The same, after a while, and a line in the file CALLS for each call."""
    with open(os.environ["CALLS"], "a", encoding="utf-8") as file:
        file.write(f"{arch}\n")
    time.sleep(0.01)
    return worth(arch)


def two(arch, trial):
    """Two values, with reports."""
    for step in range(3):
        trial.report(step, worth(arch) * step)
    return {"value": worth(arch), "joules": float(trial.values["a"] + 1)}


def build(*, input_shape, classes, width, depth):
    """A small network."""
    from torch import nn

    layers = [nn.Conv2d(input_shape[0], width, 3, padding=1)]
    layers += [nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


networks = CustomSpace({"width": (4, 8, 16, 32), "depth": (1, 2, 3)}, build, name="networks")
tiny = CustomSpace({"width": (2, 3, 4, 5), "depth": (0, 1, 2)}, build, name="tiny")


def params_of(width, depth):
    """Parameters of such a network for 3 channels and 10 classes, by hand."""
    return 28 * width + depth * (9 * width * width + width) + 10 * width + 10
