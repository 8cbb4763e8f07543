"""Plain autograd references of the proxies, from their formulas, for any network of nn modules.

A layer is an ``nn.Conv``, ``nn.ConvTranspose`` or ``nn.Linear`` with trainable weights, a ReLU one
of PyTorch's ReLU modules. Nothing is shared with the library but the seeds of dropout and of Zen.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretell.networks.nb201 import NB201Network
from foretell.rng import stream_seed

__all__ = ["Layer", "fisher", "layer_values", "references", "zen"]

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
_RELUS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass
class Layer:
    """One layer.

    Args:
        name: of its weights.
        weight: its weights.
        grads: of the loss, for each batch; zeros where it does not run.
    """

    name: str
    weight: Tensor
    grads: list[Tensor]


def _weights(net: nn.Module) -> dict[str, nn.Parameter]:
    owners = {id(m.weight) for m in net.modules() if isinstance(m, _LAYERS)}
    return {n: p for n, p in net.named_parameters() if id(p) in owners and p.requires_grad}


def _seeded() -> None:
    """The random state with which the library begins every forward of a module, seed 0."""
    torch.manual_seed(stream_seed(stream_seed(0, "module"), "forward"))


def _forward(net: nn.Module, x: Tensor) -> Tensor:
    with torch.random.fork_rng():
        _seeded()
        return net(x)


def layers_of(net: nn.Module, images: Sequence[Tensor], labels: Sequence[Tensor]) -> list[Layer]:
    """The layers that lead to the loss of the first batch, with their gradients."""
    grads: list[dict[str, Tensor | None]] = []
    for x, y in zip(images, labels, strict=True):
        one = copy.deepcopy(net).train()
        weights = _weights(one)
        loss = F.cross_entropy(_forward(one, x), y)
        found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        grads.append(dict(zip(weights, found, strict=True)))
    return [
        Layer(
            name, w.detach(), [torch.zeros_like(w) if g[name] is None else g[name] for g in grads]
        )
        for name, w in _weights(net).items()
        if grads[0][name] is not None
    ]


def layer_values(layers: Sequence[Layer]) -> dict[str, float]:
    """The proxies that are sums over layers of weights and gradients."""

    def total(values: Sequence[Tensor]) -> float:
        return float(sum(v.double() for v in values))

    def zico(of: object) -> float:
        score = 0.0
        for layer in layers:
            g = np.stack([g.double().flatten().numpy() for g in layer.grads])
            std, mean = np.std(of(g), axis=0), np.mean(np.abs(g), axis=0)  # type: ignore[operator]
            if (std != 0).any():
                score += math.log(np.sum(mean[std != 0] / std[std != 0]))
        return score

    return {
        "l2_norm": total([x.weight.norm() for x in layers]),
        "grad_norm": total([x.grads[0].norm() for x in layers]),
        "snip": total([(x.weight * x.grads[0]).abs().sum() for x in layers]),
        "plain": total([(x.weight * x.grads[0]).double().sum() for x in layers]),
        "zico": zico(np.abs),
        "zico_code": zico(lambda g: g),
    }


def fisher(net: nn.Module, x: Tensor, y: Tensor, layers: Sequence[Layer]) -> dict[str, float]:
    """Fisher of the results of the layers.

    Args:
        net: the plain network.
        x: images.
        y: labels.
        layers: those that count.
    """
    net = copy.deepcopy(net).train()
    names = {id(p): n for n, p in net.named_parameters()}
    alive = {layer.name for layer in layers}
    channels: dict[str, Tensor] = {}

    def watch(m: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        name, value = names[id(m.weight)], out.detach().clone()
        if name not in alive or not args[0].requires_grad:  # a constant, such as a first state
            return

        def of_gradient(g: Tensor) -> None:
            rows = value * g if isinstance(m, nn.Linear) else (value * g).movedim(1, -1)
            if len(rows) != len(x):  # several views of each image, one after the other
                rows = rows.unflatten(0, (-1, len(x))).transpose(0, 1)
            rows = rows.reshape(len(x), -1, rows.shape[-1])
            channels[name] = channels.get(name, 0) + rows.sum(1).double().square().mean(0) / 2

        out.register_hook(of_gradient)

    for m in net.modules():
        if isinstance(m, _LAYERS):
            m.register_forward_hook(watch)
    F.cross_entropy(_forward(net, x.detach().clone().requires_grad_()), y).backward()
    sizes = {layer.name: layer.weight.numel() for layer in layers}
    return {
        "fisher": sum(float(c.sum()) * sizes[n] / len(c) for n, c in channels.items()),
        "fisher_channels": sum(float(c.sum()) for c in channels.values()),
    }


@torch.no_grad()
def zen(net: nn.Module, shape: Sequence[int]) -> float:
    """Zen: N(0, 1) weights and inputs, no biases, what is pooled or flattened for a head.

    Args:
        net: the plain network.
        shape: of the batch of images.
    """
    net = copy.deepcopy(net).train()
    dtype = next(net.parameters()).dtype
    seed = stream_seed(stream_seed(0, "module"), "zen")
    generator = torch.Generator().manual_seed(seed)
    drawn: set[int] = set()
    features: list[Tensor] = []
    norms: list[tuple[nn.Module, list[float]]] = []

    def variance(values: list[float]) -> Any:
        def hook(m: nn.Module, args: tuple[Tensor, ...]) -> None:
            axes = [d for d in range(args[0].ndim) if d != 1]
            values.append(float(args[0].var(axes).double().mean()))

        return hook

    for m in net.modules():
        if isinstance(m, _LAYERS):
            if id(m.weight) not in drawn:  # what a mask has cut stays cut
                values = torch.randn(m.weight.shape, generator=generator)
                m.weight.copy_(values * (m.weight != 0))
            drawn.add(id(m.weight))
            if m.bias is not None:
                m.bias.zero_()
        elif isinstance(m, (*_NORMS, nn.GroupNorm)):
            m.weight.fill_(1)
            m.bias.zero_()
        if isinstance(m, _NORMS):
            norms.append((m, []))
            m.register_forward_pre_hook(variance(norms[-1][1]))
        if type(m).__name__ in ("Pool", "Tokens", "Flatten", "AdaptiveAvgPool2d"):
            m.register_forward_pre_hook(lambda m, args: features.append(args[0].clone()))
    if isinstance(net, NB201Network):
        net.last.register_forward_hook(lambda m, args, out: features.append(out.clone()))
    if hasattr(net, "rows"):  # each state is read by itself: what it reads of all rows
        net.rows.register_forward_hook(lambda m, args, out: features.append(out.clone()))
    heads = 2 if type(net).__name__ == "Aided" and not net.looked_at else 1
    generator = torch.Generator().manual_seed(seed ^ 1)
    x, e = (torch.randn(shape, generator=generator) for _ in range(2))
    seen: list[list[Tensor]] = []
    for images in (x, x + 0.01 * e):
        features.clear()
        logits = _forward(net, images.to(dtype))
        spatial = [f for f in features if f.ndim > 2 and f.shape[1:].numel() > f.shape[1]]
        last = spatial[-heads:] if spatial and spatial[-1].shape != images.shape else [logits]
        seen.append(last)
    distance = sum(float((a - b).abs().sum().double()) for a, b in zip(*seen, strict=True))
    score = math.log(distance / len(x))
    for _, (first, second) in norms:
        score += math.log(0.81 + 0.09 * first + 0.1 * second) / 2
    return score


def _grasp(net: nn.Module, x: Tensor, y: Tensor, layers: Sequence[Layer]) -> float:
    net = copy.deepcopy(net).train()
    names = [layer.name for layer in layers]
    weights = [p for n, p in net.named_parameters() if n in names]
    first = torch.autograd.grad(F.cross_entropy(_forward(net, x), y), weights)
    again = torch.autograd.grad(F.cross_entropy(_forward(net, x), y), weights, create_graph=True)
    z = sum((a.detach() * b).sum() for a, b in zip(first, again, strict=True))
    second = torch.autograd.grad(z, weights, allow_unused=True)
    return -float(
        sum(
            (w.detach() * h).double().sum()
            for w, h in zip(weights, second, strict=True)
            if h is not None
        )
    )


def _jacobian(net: nn.Module, x: Tensor) -> np.ndarray:
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(_forward(copy.deepcopy(net).train(), x).sum(), x)
    return g.flatten(1).double().numpy()


def _images(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    j, labels = _jacobian(net, x), y.numpy()
    v = np.linalg.eigvalsh(np.corrcoef(j)).clip(0)
    epe = sum(
        abs(float(np.log(np.abs(np.corrcoef(j[labels == c])) + 1e-5).sum()))
        for c in np.unique(labels)
    )
    return {"jacov": -float(np.sum(np.log(v + 1e-5) + 1 / (v + 1e-5))), "epe_nas": epe}


def _nwot(net: nn.Module, x: Tensor) -> float | None:
    net = copy.deepcopy(net).train()
    kernels = []

    def watch(m: nn.Module, args: tuple[Tensor, ...], _: object) -> None:
        code = (args[0] > 0).double()
        if len(code) != len(x):
            code = code.unflatten(0, (-1, len(x))).transpose(0, 1)
        code = code.reshape(len(x), -1)
        kernels.append(code @ code.T + (1 - code) @ (1 - code).T)

    for m in net.modules():
        if isinstance(m, _RELUS):
            m.register_forward_hook(watch)
    _forward(net, x)
    return float(np.linalg.slogdet(sum(kernels).numpy())[1]) if kernels else None


def _synflow(net: nn.Module, shape: Sequence[int]) -> dict[str, float]:
    net = copy.deepcopy(net).double().eval()
    for m in list(net.modules()):
        for name, child in m.named_children():
            if isinstance(child, _NORMS):
                setattr(m, name, nn.Identity())
    with torch.no_grad():
        for p in net.parameters():
            p.abs_()
    weights = list(_weights(net).values())
    out = net(torch.ones(1, *shape, dtype=torch.float64)).sum()
    grads = torch.autograd.grad(out, weights, allow_unused=True)
    live = [(w.detach(), g) for w, g in zip(weights, grads, strict=True) if g is not None]
    total = sum(float((w * g).abs().sum()) for w, g in live)
    logs = sum(float((torch.log1p(g.abs()) * w.abs()).sum()) for w, g in live)
    sizes = sum(math.log(w.numel()) for w, _ in live)
    return {"synflow": math.log(total), "logsynflow": logs, "sum_log_params": sizes}


def references(
    net: nn.Module, still: nn.Module, images: Sequence[Tensor], labels: Sequence[Tensor]
) -> tuple[dict[str, float], list[Layer]]:
    """Each proxy but params, live_params and flops; and the layers.

    Args:
        net: with the weights of a forward in training.
        still: with those of a forward in evaluation.
        images: of the batches, in the dtype of the weights.
        labels: of the batches.
    """
    layers = layers_of(net, images, labels)
    x, y = images[0], labels[0]
    values = layer_values(layers)
    values |= fisher(net, x, y, layers) | _images(net, x, y) | _synflow(still, x.shape[1:])
    values |= {"grasp": _grasp(net, x, y, layers), "zen": zen(net, x.shape)}
    if (nwot := _nwot(net, x)) is not None:
        values["nwot"] = nwot
    return values, layers
