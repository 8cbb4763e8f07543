"""The parts of Zen that both passes share: weights, inputs and running variances."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

__all__ = ["gaussian_values", "gaussian_weights", "running_variance", "zen_inputs"]

LayerKey: TypeAlias = tuple[frozenset[str], tuple[int, ...], bool]
"""Names of the parameters that a layer's weights are made of, the shape of these weights, and
whether they are computed, not a parameter."""

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
    return gaussian_values(module, seed, {})[0]


def gaussian_values(
    module: nn.Module,
    seed: int,
    layers: Mapping[LayerKey, str | None],
    scales: Mapping[str, float] | None = None,
    idle: Collection[str] = (),
) -> tuple[dict[str, Tensor], dict[LayerKey, Tensor]]:
    """The same, and the weights of layers that are no modules or compute their weights.

    Args:
        module: gives the names and shapes.
        seed: of the draws, which run in the order of the module's parameters; a computed weight has
            the turn of the first parameter that it is made of.
        layers: layers that run in it -> name of their bias.
        scales: parameters of normalisations that run in it -> their value.
        idle: parameters that nothing reads. A matrix among them takes a turn, whether or not a
            module says that it is a layer's weight.

    Returns:
        Name of a parameter -> float32 values, and layer with computed weights -> float32 values.
    """
    parameters = dict(module.named_parameters())
    order = {name: i for i, name in enumerate(parameters)}
    shapes: dict[str | LayerKey, tuple[int, ...]] = {}
    constants: dict[str, float] = {bias: 0.0 for bias in layers.values() if bias is not None}
    constants |= scales or {}
    by_id = {id(p): name for name, p in parameters.items()}
    for child in module.modules():
        own = dict(child.named_parameters(recurse=False))
        weight, bias = (by_id.get(id(own.get(k))) for k in ("weight", "bias"))
        layer = isinstance(child, nn.modules.conv._ConvNd | nn.Linear)
        if layer and weight is not None:
            shapes[weight] = parameters[weight].shape
        norm = isinstance(child, nn.modules.batchnorm._BatchNorm | nn.GroupNorm)
        if norm and weight is not None:
            constants[weight] = 1.0
        if (layer or norm) and bias is not None:
            constants[bias] = 0.0
    for key in layers:
        names, shape, computed = key
        shapes[key if computed else next(iter(names))] = shape
    turns = {k: order[k] if isinstance(k, str) else min(order[n] for n in k[0]) for k in shapes}
    unread = [n for n in idle if n not in shapes and _is_matrix(parameters[n])]
    turns |= {name: order[name] for name in unread}
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Tensor] = {}
    made: dict[LayerKey, Tensor] = {}
    for target in sorted(turns, key=lambda k: turns[k]):
        if target not in shapes:
            torch.randn(parameters[cast(str, target)].shape, generator=generator)
            continue
        values = torch.randn(shapes[target], generator=generator)
        if isinstance(target, str):
            drawn[target] = values
        else:
            made[target] = values
    for name, value in constants.items():
        if name in parameters and name not in drawn:
            drawn[name] = torch.full(parameters[name].shape, value)
    return drawn, made


def _is_matrix(p: Tensor) -> bool:
    """Whether it has more than one axis, and is no scale with a value for each channel."""
    return sum(size > 1 for size in p.shape) > 1


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
