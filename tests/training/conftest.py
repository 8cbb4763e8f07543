"""Tiny tasks and networks."""

import pytest
import torch
from torch import nn

from foretell.data import Task, load_task


class Tiny(nn.Module):
    """Convolution, BatchNorm, dropout, head: everything that keeps state or draws numbers."""

    def __init__(self, channels: int = 1, classes: int = 4, width: int = 8, drop: float = 0.2):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(drop),
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(scope="session")
def task() -> Task:
    return load_task("synthetic:1x8x8x4?limit=200&crop=1&flip=1")


@pytest.fixture
def make():
    """A function that builds the same tiny network each time."""

    def build(seed: int = 0, **options) -> Tiny:
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            return Tiny(**options)

    return build
