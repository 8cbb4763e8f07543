"""The parts of Zen that both passes share: weights, inputs and running variances."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["gaussian_weights", "running_variance", "zen_inputs"]

GAMMA = 0.01
"""Size of the perturbation of the inputs."""


def gaussian_weights(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """N(0, 1) weights of convolutions and linear layers, biases 0, normalisations 1 and 0.

    Args:
        module: gives the names and shapes.
        seed: of the draws, which run in the order of the module's parameters.

    Returns:
        Name of a parameter -> float32 values; parameters of other layers are left out.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Tensor] = {}
    for name, child in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(child, nn.modules.conv._ConvNd | nn.Linear):
            drawn[f"{prefix}weight"] = torch.randn(child.weight.shape, generator=generator)
            if child.bias is not None:
                drawn[f"{prefix}bias"] = torch.zeros(child.bias.shape)
        elif isinstance(child, nn.modules.batchnorm._BatchNorm | nn.GroupNorm):
            if child.weight is not None:
                drawn[f"{prefix}weight"] = torch.ones(child.weight.shape)
            if child.bias is not None:
                drawn[f"{prefix}bias"] = torch.zeros(child.bias.shape)
    return drawn


def zen_inputs(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """N(0, 1) images and the same with a small perturbation.

    Args:
        shape: (n, c, h, w).
        seed: of the draws.
    """
    generator = torch.Generator().manual_seed(seed ^ 1)
    x = torch.randn(shape, generator=generator)
    return x, x + GAMMA * torch.randn(shape, generator=generator)


def running_variance(
    first: Sequence[tuple[float, float]],
    second: Sequence[tuple[float, float]],
    live: Sequence[bool],
) -> Tensor:
    """Mean running variance of each live batch normalisation after two batches.

    It starts at 1 and moves by the layer's momentum to each batch's unbiased variance.

    Args:
        first: (mean variance, momentum) of each layer on the first batch.
        second: the same on the second.
        live: whether the layer's result reaches the output.
    """
    values = [
        (1 - m) ** 2 + m * (1 - m) * v1 + m * v2
        for (v1, m), (v2, _), alive in zip(first, second, live, strict=True)
        if alive
    ]
    return torch.tensor(values, dtype=torch.float64)
