"""Lazy layers: what has no shape before the first image gets one."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

__all__ = ["materialised"]


def materialised(module: nn.Module, images: Tensor) -> nn.Module:
    """The module, or a copy whose lazy layers have met images; weights come from torch's stream.

    Args:
        module: any.
        images: (n, ...); two or more, since normalisation in training needs a spread.

    Raises:
        Exception: whatever the module raises on such images.
    """
    if not any(is_lazy(p) for p in (*module.parameters(), *module.buffers())):
        return module
    memo: dict[int, Any] = {}
    for p in (*module.parameters(), *module.buffers()):
        if is_lazy(p):
            empty = type(p).__new__(type(p))
            memo[id(p)] = empty
    ready = copy.deepcopy(module, memo)
    with torch.no_grad():
        for train in (False, True):
            if any(is_lazy(p) for p in ready.parameters()):
                ready.train(train)(images)
    return ready.train(module.training)
