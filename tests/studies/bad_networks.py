"""A space of six small networks, one of which does what an environment variable says."""

import ctypes
import os
import sys
import time

import torch
from torch import nn

from foretell.spaces import CustomSpace

ALLOCATION = 1 << 45
"""Bytes that no machine has."""


def _misbehave(kind):
    with open(os.environ["BAD_CALLS"], "a", encoding="utf-8") as file:
        file.write(f"{kind}\n")
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "exit":
        os._exit(3)
    elif kind == "quit":
        sys.exit("enough")
    elif kind == "raise":
        raise LookupError("not a good day")
    elif kind == "memory":
        torch.empty(ALLOCATION, dtype=torch.uint8)
    elif kind == "recursion":
        _misbehave(kind)
    elif kind == "hang":
        time.sleep(600)


class Bad(nn.Module):
    """Misbehaves on real images."""

    def __init__(self, kind, layers):
        super().__init__()
        self.kind, self.layers = kind, layers
        if kind == "nan":
            nn.init.constant_(layers[0].weight, float("nan"))

    def forward(self, x):
        if x.device.type != "meta" and type(x) is torch.Tensor:
            _misbehave(self.kind)
        return self.layers(x)


def build(*, input_shape, classes, width, depth):
    layers = [nn.Conv2d(input_shape[0], width, 3, padding=1), nn.ReLU()]
    layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()] * depth
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    where, _, kind = os.environ.get("BAD", "").partition(" ")
    if (width, depth) != (3, 1):
        return net
    if where == "build":
        _misbehave(kind)
    return Bad(kind, net) if where == "forward" else net


space = CustomSpace({"width": (2, 3, 4), "depth": (0, 1)}, build, name="bad")
BAD = "bad:1.1"
