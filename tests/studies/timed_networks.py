"""Networks whose builder or forward does not come back, and one that ends its process."""

import ctypes
import os
import time

from torch import nn


def good():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def slow_builder():
    time.sleep(600)


class SlowForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = good()

    def forward(self, x):
        if x.device.type != "meta":
            time.sleep(600)
        return self.net(x)


class Segfault(SlowForward):
    def forward(self, x):
        ctypes.string_at(0)


def exits():
    os._exit(0)


def lazy():
    layers = (nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    return nn.Sequential(*layers)
