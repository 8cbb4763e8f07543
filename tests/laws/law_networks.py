"""Small networks of every family, each with its parameters and multiply-adds as written-out sums.

Images are (3, 8, 8), there are 4 classes. A network that is normed, scripted, checkpointed or the
like has a plain twin of the same function, on which the plain references run.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from foretell.arch import Arch
from foretell.networks import build
from foretell.spaces import Skeleton

__all__ = ["NETWORKS", "Network", "Pool", "Tokens", "make", "twin"]


class Pool(nn.Module):
    """The global average, in several spellings."""

    way = "adaptive"

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        if self.way == "mean":
            return x.mean((2, 3))
        if self.way == "fixed":
            return F.avg_pool2d(x, (h, w)).view(len(x), -1)
        if self.way == "twice":
            return x.mean(-1).mean(-1)
        if self.way == "sum":
            return x.sum((2, 3)) / (h * w)
        return F.adaptive_avg_pool2d(x, 1).flatten(1)


class Tokens(nn.Module):
    """One vector for a sequence (n, t, d): the mean, or the first token."""

    def __init__(self, first: bool = False, axis: int = 1) -> None:
        super().__init__()
        self.first, self.axis, self.way = first, axis, "mean"

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            return x[:, 0]
        return x.sum(self.axis) / x.shape[self.axis] if self.way == "sum" else x.mean(self.axis)


def conv(i: int, o: int, k: int = 3, stride: int = 1, groups: int = 1, bias: bool = False) -> Any:
    return nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=bias)


class Plain(nn.Module):
    """Two convolutions with normalisation and activation, global average, head."""

    def __init__(self, act: Any = nn.ReLU, norm: Any = nn.BatchNorm2d, drop: float = 0.0) -> None:
        super().__init__()
        bias = norm is None
        self.a, self.b = conv(3, 8, bias=bias), conv(8, 16, stride=2, bias=bias)
        self.n, self.m = (norm(8), norm(16)) if norm else (nn.Identity(), nn.Identity())
        self.r, self.s = act(), act()
        self.drop = nn.Dropout(drop) if drop else nn.Identity()
        self.pool, self.head = Pool(), nn.Linear(16, 4)

    def features(self, x: Tensor) -> Tensor:
        return self.s(self.m(self.b(self.drop(self.r(self.n(self.a(x)))))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)))


PLAIN = 3 * 8 * 9 + 8 * 16 * 9 + 16 * 4 + 4
NORMS = 2 * 8 + 2 * 16
PLAIN_FLOPS = 64 * 3 * 8 * 9 + 16 * 8 * 16 * 9 + 16 * 4


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.n = conv(3, 8), nn.BatchNorm2d(8)
        self.a, self.b, self.short = conv(8, 16, stride=2), conv(16, 16), conv(8, 16, 1, 2)
        self.m, self.o, self.p = (nn.BatchNorm2d(16) for _ in range(3))
        self.r, self.s, self.t = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool, self.head = Pool(), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r(self.n(self.stem(x)))
        y = self.o(self.b(self.s(self.m(self.a(x)))))
        return self.head(self.pool(self.t(y + self.p(self.short(x)))))


class Depthwise(nn.Module):
    def __init__(self, act: Any = nn.ReLU6) -> None:
        super().__init__()
        self.stem, self.n, self.r = conv(3, 8), nn.BatchNorm2d(8), act()
        self.up, self.m, self.s = conv(8, 24, 1), nn.BatchNorm2d(24), act()
        self.deep, self.o, self.t = conv(24, 24, stride=2, groups=24), nn.BatchNorm2d(24), act()
        self.down, self.p, self.u = conv(24, 16, 1), nn.BatchNorm2d(16), act()
        self.pool, self.head = Pool(), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.s(self.m(self.up(self.r(self.n(self.stem(x))))))
        return self.head(self.pool(self.u(self.p(self.down(self.t(self.o(self.deep(x))))))))


class UNet(nn.Module):
    """Down, up by a transposed convolution, both joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.up = (
            conv(3, 8, bias=True),
            conv(8, 16, bias=True),
            nn.ConvTranspose2d(16, 8, 2, 2),
        )
        self.c, self.lower = conv(16, 8, bias=True), nn.MaxPool2d(2)
        self.r, self.s, self.t = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool, self.head = Pool(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r(self.a(x))
        y = self.up(self.s(self.b(self.lower(x))))
        return self.head(self.pool(self.t(self.c(torch.cat([x, y], 1)))))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), conv(8, 8), conv(16, 8)
        self.n, self.m, self.o = nn.BatchNorm2d(8), nn.BatchNorm2d(16), nn.BatchNorm2d(24)
        self.r, self.s, self.t = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool, self.head = Pool(), nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        x = torch.cat([x, self.b(self.r(self.n(x)))], 1)
        x = torch.cat([x, self.c(self.s(self.m(x)))], 1)
        return self.head(self.pool(self.t(self.o(x))))


class Shuffled(nn.Module):
    """Grouped convolutions and a shuffle of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(3, 8), conv(8, 16, 1, groups=2), conv(16, 16, groups=4)
        self.n, self.m = nn.BatchNorm2d(16), nn.BatchNorm2d(16)
        self.r, self.s, self.pool = nn.ReLU(), nn.ReLU(), Pool()
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r(self.n(self.b(self.a(x))))
        x = x.unflatten(1, (2, 8)).transpose(1, 2).flatten(1, 2)
        return self.head(self.pool(self.s(self.m(self.c(x)))))


class Vgg(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(3, 8, bias=True), conv(8, 8, bias=True)
        self.r, self.s, self.t = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.lower, self.quarter, self.flat = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Flatten()
        self.deep, self.head = nn.Linear(32, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quarter(self.s(self.b(self.lower(self.r(self.a(x))))))
        return self.head(self.t(self.deep(self.flat(x))))


class Dilated(nn.Module):
    """No padding, dilation, uneven kernels, padding that reflects."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, (3, 5), padding=(1, 2), padding_mode="reflect")
        self.b = nn.Conv2d(8, 8, 3, dilation=2)
        self.c = nn.Conv2d(8, 8, (1, 2), stride=(2, 1))
        self.r, self.s, self.pool, self.head = nn.ReLU(), nn.ReLU(), Pool(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.s(self.c(self.r(self.b(self.a(x)))))))


class ConvNext(nn.Module):
    """Depthwise convolution, then layers over the last axis, channels moved there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 8, 2, 2), conv(8, 8, groups=8, bias=True)
        self.n, self.up, self.act = nn.LayerNorm(8), nn.Linear(8, 16), nn.ReLU()
        self.down, self.scale = nn.Linear(16, 8), nn.Parameter(torch.full((8,), 0.5))
        self.pool, self.m, self.head = Pool(), nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.n(self.deep(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(self.act(self.up(y)))
        return self.head(self.m(self.pool(x + y.permute(0, 3, 1, 2))))


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.r = conv(3, 8), nn.BatchNorm2d(8), nn.ReLU()
        self.squeeze, self.less, self.s = Pool(), nn.Linear(8, 4), nn.ReLU()
        self.more, self.b, self.t = nn.Linear(4, 8), conv(8, 16, stride=2, bias=True), nn.ReLU()
        self.pool, self.head = Pool(), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.r(self.n(self.a(x)))
        gate = torch.sigmoid(self.more(self.s(self.less(self.squeeze(x)))))
        return self.head(self.pool(self.t(self.b(x * gate[:, :, None, None]))))


class Attention(nn.Module):
    """Four heads over tokens (n, 16, 16), in several spellings."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.in_proj, self.out_proj = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.in_proj(x).view(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4)
        if self.way == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v)
        elif self.way == "einsum":
            weights = (torch.einsum("nhid,nhjd->nhij", q, k) / 2).softmax(-1)
            y = torch.einsum("nhij,nhjd->nhid", weights, v)
        else:
            y = ((q @ k.transpose(-2, -1)) / 2).softmax(-1) @ v
        return self.out_proj(y.transpose(1, 2).reshape(n, t, 16))


class Vit(nn.Module):
    """Patches, one block of attention and MLP, mean or class token."""

    def __init__(self, way: str = "matmul", act: Any = nn.ReLU, token: bool = False) -> None:
        super().__init__()
        self.way, self.token = way, token
        self.patch = nn.Conv2d(3, 16, 2, 2)
        self.pos = nn.Parameter(torch.randn(1, 16 + token, 16) / 5)
        if token:
            self.cls = nn.Parameter(torch.randn(1, 1, 16) / 5)
        batch_first = way != "sequence"
        if way in ("encoder", "sequence"):
            one = nn.TransformerEncoderLayer(16, 4, 32, 0.0, batch_first=batch_first)
            self.layers = nn.TransformerEncoder(one, 1) if way == "encoder" else one
        else:
            self.attn = (
                nn.MultiheadAttention(16, 4, batch_first=True)
                if way == "module"
                else Attention(way)
            )
            self.n, self.m = nn.LayerNorm(16), nn.LayerNorm(16)
            self.up, self.act, self.down = nn.Linear(16, 32), act(), nn.Linear(32, 16)
        self.pool, self.head = Tokens(token), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        if self.token:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        x = x + self.pos
        if self.way == "encoder":
            x = self.layers(x)
        elif self.way == "sequence":
            x = self.layers(x.transpose(0, 1)).transpose(0, 1)
        else:
            y = self.attn(x, x, x, need_weights=False)[0] if self.way == "module" else self.attn(x)
            x = self.n(x + y)
            x = self.m(x + self.down(self.act(self.up(x))))
        return self.head(self.pool(x))


VIT_LAYERS = 3 * 16 * 4 + 16 * 48 + 16 * 16 + 16 * 32 + 32 * 16 + 16 * 4
VIT = VIT_LAYERS + 16 + 48 + 16 + 32 + 16 + 4 + 2 * 32 + 16 * 16


def vit_flops(tokens: int) -> int:
    """Patches, projections, two products of each head, MLP, head."""
    block = tokens * (16 * 48 + 16 * 16 + 16 * 32 + 32 * 16) + 2 * 4 * tokens * tokens * 4
    return 16 * 3 * 16 * 4 + block + 16 * 4


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flat, self.a, self.r = nn.Flatten(), nn.Linear(192, 24), nn.ReLU()
        self.b, self.s, self.head = nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.s(self.b(self.r(self.a(self.flat(x))))))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.n, self.m = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8), nn.LayerNorm(8)
        self.a, self.r, self.b = nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 16)
        self.c, self.s, self.d = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8)
        self.pool, self.head = Tokens(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = x + self.b(self.r(self.a(self.n(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.d(self.s(self.c(self.m(x))))
        return self.head(self.pool(x))


class Deep(nn.Module):
    """Stochastic depth as in the paper: a dropped block does not run at all."""

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        self.stem, self.probability = conv(3, 8, bias=True), probability
        self.blocks = nn.ModuleList(conv(8, 8, bias=True) for _ in range(4))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(5))
        self.pool, self.head = Pool(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.acts[0](self.stem(x))
        for block, act in zip(self.blocks, self.acts[1:], strict=True):
            if not (self.training and torch.rand(()) < self.probability):
                x = x + act(block(x))
        return self.head(self.pool(x))


class Aided(Plain):
    """A head in training only, before the other layers; or one whose result is only looked at."""

    def __init__(self, looked_at: bool) -> None:
        super().__init__(norm=None)
        self.extra, self.squeeze, self.looked_at = nn.Linear(8, 4), Pool(), looked_at

    def forward(self, x: Tensor) -> Tensor:
        x = self.r(self.a(x))
        if self.looked_at:
            if not self.training:
                self.extra(self.squeeze(x))
            return self.head(self.pool(self.s(self.b(x))))
        side = 0.3 * self.extra(self.squeeze(x)) if self.training else 0
        return self.head(self.pool(self.s(self.b(x)))) + side


class Again(nn.Module):
    """One convolution three times, or three that share one weight."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.stem = conv(3, 8, bias=True)
        self.blocks = nn.ModuleList(conv(8, 8, bias=True) for _ in range(3 if tied else 1))
        for block in self.blocks:
            block.weight, block.bias = self.blocks[0].weight, self.blocks[0].bias
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(3))
        self.pool, self.head = Pool(), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for i in range(3):
            x = self.acts[i](self.blocks[i % len(self.blocks)](x))
        return self.head(self.pool(x))


class Glued(Plain):
    """Two views of each image, one after the other on the batch axis."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.pool(self.features(torch.cat([x, x.flip(3)]))))
        return (y[: len(x)] + y[len(x) :]) / 2


class Recurrent(nn.Module):
    """The rows of an image as a sequence; an LSTM or GRU of PyTorch's, or one written out."""

    def __init__(self, own: bool, gated: bool = False) -> None:
        super().__init__()
        self.own, self.gated, self.act, self.head = own, gated, nn.ReLU(), nn.Linear(16, 4)
        width = 48 if gated else 64
        if own:
            self.rows, self.state = nn.Linear(24, width), nn.Linear(16, width)
        else:
            self.cells = (nn.GRU if gated else nn.LSTM)(24, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 1, 3).flatten(2)
        if not self.own:
            states, last = self.cells(x)
            return self.head(self.act(last[-1] if self.gated else states[:, -1]))
        if self.gated:
            h = x.new_zeros(len(x), 16)
            for row in self.rows(x).unbind(1):
                (r, z, n), (a, b, c) = row.chunk(3, 1), self.state(h).chunk(3, 1)
                z = (z + b).sigmoid()
                h = (1 - z) * (n + (r + a).sigmoid() * c).tanh() + z * h
            return self.head(self.act(h))
        h = c = x.new_zeros(len(x), 16)
        for row in self.rows(x).unbind(1):
            i, f, g, o = (row + self.state(h)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
        return self.head(self.act(h))


class Signal(nn.Module):
    """Convolutions over one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n, self.r = nn.Conv1d(24, 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU()
        self.b, self.s, self.pool = nn.Conv1d(16, 8, 3, 2), nn.ReLU(), Tokens(axis=2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.s(self.b(self.r(self.n(self.a(x.flatten(1, 2))))))))


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


class Checkpointed(Plain):
    """Its two blocks are computed again in the backward."""

    def forward(self, x: Tensor) -> Tensor:
        x = checkpoint(lambda v: self.r(self.n(self.a(v))), x, use_reentrant=False)
        x = checkpoint(lambda v: self.s(self.m(self.b(v))), x, use_reentrant=False)
        return self.head(self.pool(x))


def _spread(net: nn.Module) -> nn.Module:
    """Scales and shifts of normalisations that are not 1 and 0."""
    for m in net.modules():
        weight = getattr(m, "weight", None)
        scales = isinstance(weight, nn.Parameter) and weight.ndim == 1
        if scales and not isinstance(m, nn.PReLU):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    return net


def _normed(kind: Any, *names: str) -> Callable[[], nn.Module]:
    def make_it() -> nn.Module:
        net = Plain()
        for name in names:
            kind(getattr(net, name))
        return net

    return make_it


def _frozen() -> nn.Module:
    net = Plain(norm=None)
    net.a.requires_grad_(False)
    return net


def _masked(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", amount=0.5)


def _scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(_sequence())


def _sequence() -> nn.Sequential:
    net = Plain()
    average = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(
        *(net.a, net.n, net.r, net.b, net.m, net.s, average, nn.Flatten(), net.head)
    )


def _lazy() -> nn.Module:
    return nn.Sequential(
        *(nn.LazyConv2d(8, 3, padding=1, bias=False), nn.LazyBatchNorm2d(), nn.ReLU()),
        *(nn.LazyConv2d(16, 3, 2, 1, bias=False), nn.LazyBatchNorm2d(), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4)),
    )


def _materialised() -> nn.Module:
    net = _lazy()
    with torch.no_grad():
        net.eval()(torch.zeros(2, 3, 8, 8))
    return net.train()


def _cells() -> nn.Module:
    arch = Arch("nb201", (3, 1, 2, 4, 1, 3))
    return build(arch, Skeleton((3, 8, 8), 4, 4, 1), seed=0)


def _compiled() -> nn.Module:
    return torch.compile(Plain(), backend="eager")


@dataclass(frozen=True)
class Network:
    """One of the networks.

    Args:
        build: builds it; the random state is set before.
        params: trainable parameters.
        flops: multiply-adds of one image.
        plain: builds the plain network of the same function.
        dtype: of weights, and of images where those have none of their own.
        images: dtype of images.
        convolutional: whether it is a plain convolutional network.
        first: one of the twelve that see half of the rewrites in the tests.
        idle: trainable parameters that do not act on the output in evaluation.
    """

    build: Callable[[], nn.Module]
    params: int
    flops: int
    plain: Callable[[], nn.Module] | None = None
    dtype: torch.dtype = torch.float64
    images: torch.dtype | None = None
    convolutional: bool = False
    first: bool = False
    idle: int = 0


def _own_vit(token: bool = False) -> Callable[[], nn.Module]:
    return lambda: Vit("matmul", token=token)


NETWORKS: dict[str, Network] = {
    "conv": Network(Plain, PLAIN + NORMS, PLAIN_FLOPS, convolutional=True, first=True),
    "biased": Network(
        lambda: Plain(norm=None), PLAIN + 8 + 16, PLAIN_FLOPS, convolutional=True
    ),
    "residual": Network(
        Residual,
        3 * 8 * 9 + 8 * 16 * 9 + 16 * 16 * 9 + 8 * 16 + 16 * 4 + 4 + 2 * (8 + 16 + 16 + 16),
        64 * 216 + 16 * (8 * 16 * 9 + 16 * 16 * 9 + 8 * 16) + 64,
        convolutional=True,
        first=True,
    ),
    "depthwise": Network(
        Depthwise,
        216 + 8 * 24 + 24 * 9 + 24 * 16 + 64 + 4 + 2 * (8 + 24 + 24 + 16),
        64 * (216 + 8 * 24) + 16 * (24 * 9 + 24 * 16) + 64,
        convolutional=True,
        first=True,
    ),
    "cells": Network(
        _cells,
        # stem, 3 stages of a 3x3 twice and a 1x1, 2 reductions, last norm, head
        (108 + 8)
        + sum(2 * (9 * c * c + 2 * c) + (c * c + 2 * c) for c in (4, 8, 16))
        + sum(27 * c * c // 2 + c * c // 2 + 4 * c for c in (8, 16))
        + 32
        + 68,
        64 * 108
        + sum(s * 19 * c * c for c, s in ((4, 64), (8, 16), (16, 4)))
        + sum(s * (27 * c * c // 2 + c * c // 2) for c, s in ((8, 16), (16, 4)))
        + 64,
        convolutional=True,
    ),
    "unet": Network(
        UNet,
        (216 + 8) + (8 * 16 * 9 + 16) + (16 * 8 * 4 + 8) + (16 * 8 * 9 + 8) + 36,
        64 * 216 + 16 * 8 * 16 * 9 + 16 * 16 * 8 * 4 + 64 * 16 * 8 * 9 + 32,
        convolutional=True,
    ),
    "dense": Network(
        Dense,
        216 + 8 * 8 * 9 + 16 * 8 * 9 + 24 * 4 + 4 + 2 * (8 + 16 + 24),
        64 * (216 + 8 * 8 * 9 + 16 * 8 * 9) + 96,
        convolutional=True,
    ),
    "shuffled": Network(
        Shuffled,
        216 + 8 * 16 // 2 + 16 * 16 * 9 // 4 + 68 + 64,
        64 * (216 + 64 + 576) + 64,
        convolutional=True,
    ),
    "vgg": Network(
        Vgg,
        224 + (8 * 8 * 9 + 8) + (32 * 16 + 16) + 68,
        64 * 216 + 16 * 576 + 32 * 16 + 64,
        convolutional=True,
    ),
    "dilated": Network(
        Dilated,
        (3 * 8 * 15 + 8) + (8 * 8 * 9 + 8) + (8 * 8 * 2 + 8) + 36,
        64 * 360 + 16 * 576 + 2 * 3 * 128 + 32,
        convolutional=True,
    ),
    "silu": Network(lambda: Plain(nn.SiLU), PLAIN + NORMS, PLAIN_FLOPS),
    "gelu": Network(lambda: Plain(nn.GELU), PLAIN + NORMS, PLAIN_FLOPS),
    "relu6": Network(lambda: Plain(nn.ReLU6), PLAIN + NORMS, PLAIN_FLOPS, convolutional=True),
    "clamp": Network(lambda: Plain(Clamp), PLAIN + NORMS, PLAIN_FLOPS, Plain, first=True),
    "leaky": Network(
        lambda: Plain(lambda: nn.LeakyReLU(0.3)), PLAIN + NORMS, PLAIN_FLOPS, convolutional=True
    ),
    "prelu": Network(
        lambda: Plain(nn.PReLU), PLAIN + NORMS + 2, PLAIN_FLOPS, convolutional=True
    ),
    "groupnorm": Network(
        lambda: Plain(norm=lambda c: nn.GroupNorm(4, c)), PLAIN + NORMS, PLAIN_FLOPS, first=True
    ),
    "layernorm": Network(
        ConvNext,
        (3 * 8 * 4 + 8) + (72 + 8) + 16 + (8 * 16 + 16) + (16 * 8 + 8) + 8 + 16 + 36,
        16 * (96 + 72 + 128 + 128) + 32,
        first=True,
    ),
    "instancenorm": Network(
        lambda: Plain(norm=lambda c: nn.InstanceNorm2d(c, affine=True)), PLAIN + NORMS, PLAIN_FLOPS
    ),
    "excited": Network(
        Excited,
        216 + 16 + (32 + 4) + (32 + 8) + (8 * 16 * 9 + 16) + 68,
        64 * 216 + 64 + 16 * 8 * 16 * 9 + 64,
        convolutional=True,
        first=True,
    ),
    "vit_module": Network(lambda: Vit("module"), VIT, vit_flops(16), _own_vit(), first=True),
    "vit_encoder": Network(lambda: Vit("encoder"), VIT, vit_flops(16), _own_vit(), first=True),
    "vit_sequence": Network(lambda: Vit("sequence"), VIT, vit_flops(16), _own_vit()),
    "vit_sdpa": Network(lambda: Vit("sdpa"), VIT, vit_flops(16), _own_vit()),
    "vit_matmul": Network(lambda: Vit("matmul"), VIT, vit_flops(16)),
    "vit_einsum": Network(lambda: Vit("einsum"), VIT, vit_flops(16), _own_vit()),
    "vit_token": Network(
        lambda: Vit("module", token=True), VIT + 16 + 16, vit_flops(17), _own_vit(True)
    ),
    "vit_gelu": Network(lambda: Vit("sdpa", nn.GELU), VIT, vit_flops(16), lambda: Vit(act=nn.GELU)),
    "mlp": Network(Mlp, 192 * 24 + 24 + 24 * 16 + 16 + 68, 192 * 24 + 24 * 16 + 64),
    "mixer": Network(
        Mixer,
        (96 + 8) + 32 + (384 + 24) + (384 + 16) + (128 + 16) + (128 + 8) + 36,
        16 * 96 + 8 * 2 * 16 * 24 + 16 * 2 * 8 * 16 + 32,
        first=True,
    ),
    "deep": Network(Deep, 224 + 4 * (576 + 8) + 36, 64 * (216 + 4 * 576) + 32),
    "aided": Network(lambda: Aided(False), PLAIN + 24 + 36, PLAIN_FLOPS, idle=36),
    "watched": Network(lambda: Aided(True), PLAIN + 24 + 36, PLAIN_FLOPS + 32, idle=36),
    "dropout": Network(lambda: Plain(drop=0.3), PLAIN + NORMS, PLAIN_FLOPS),
    "tied": Network(lambda: Again(True), 224 + 584 + 36, 64 * (216 + 3 * 576) + 32),
    "reused": Network(lambda: Again(False), 224 + 584 + 36, 64 * (216 + 3 * 576) + 32),
    "glued": Network(Glued, PLAIN + NORMS, 2 * PLAIN_FLOPS, first=True),
    "recurrent": Network(
        lambda: Recurrent(False),
        64 * (24 + 16 + 2) + 68,
        8 * 64 * (24 + 16) + 64,
        lambda: Recurrent(True),
    ),
    "gated": Network(
        lambda: Recurrent(False, gated=True),
        48 * (24 + 16 + 2) + 68,
        8 * 48 * (24 + 16) + 64,
        lambda: Recurrent(True, gated=True),
    ),
    "signal": Network(
        Signal, (24 * 16 * 3 + 16) + 32 + (16 * 8 * 3 + 8) + 36, 8 * 1152 + 3 * 384 + 32
    ),
    "weight_norm": Network(
        _normed(parametrizations.weight_norm, "a", "b", "head"),
        PLAIN + NORMS + 8 + 16 + 4,
        PLAIN_FLOPS,
        Plain,
        first=True,
    ),
    "spectral_norm": Network(
        _normed(parametrizations.spectral_norm, "a", "b"), PLAIN + NORMS, PLAIN_FLOPS, Plain
    ),
    "orthogonal": Network(
        _normed(parametrizations.orthogonal, "b", "head"), PLAIN + NORMS, PLAIN_FLOPS, Plain
    ),
    "pruned": Network(_normed(_masked, "a", "b"), PLAIN + NORMS, PLAIN_FLOPS, Plain),
    "checkpointed": Network(Checkpointed, PLAIN + NORMS, PLAIN_FLOPS, Plain),
    "scripted": Network(_scripted, PLAIN + NORMS, PLAIN_FLOPS, _sequence),
    "compiled": Network(_compiled, PLAIN + NORMS, PLAIN_FLOPS, Plain),
    "lazy": Network(_materialised, PLAIN + NORMS, PLAIN_FLOPS, convolutional=True),
    "frozen": Network(_frozen, PLAIN + 24 - 224, PLAIN_FLOPS),
    "float64": Network(Plain, PLAIN + NORMS, PLAIN_FLOPS, images=torch.float32),
    "bfloat16": Network(
        Plain, PLAIN + NORMS, PLAIN_FLOPS, dtype=torch.bfloat16, images=torch.float32
    ),
    "channels_last": Network(
        lambda: Plain().to(memory_format=torch.channels_last), PLAIN + NORMS, PLAIN_FLOPS
    ),
}  # fmt: skip
"""Name -> network; sums are those of the definitions above."""

_RENAMED = {
    "_orig_mod.": "", "layers.layers.0.": "", "layers.": "", "self_attn.": "attn.",
    "linear1.": "up.", "linear2.": "down.", "norm1.": "n.", "norm2.": "m.",
    "in_proj_": "in_proj.", "cells.weight_ih_l0": "rows.weight", "cells.bias_ih_l0": "rows.bias",
    "cells.weight_hh_l0": "state.weight", "cells.bias_hh_l0": "state.bias",
}  # fmt: skip
"""Parts of a name in PyTorch's own modules -> those of the networks written out."""


def make(name: str, seed: int = 0) -> nn.Module:
    """The network, with weights of its own from the seed."""
    spec = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _spread(spec.build()).to(spec.dtype)


def twin(name: str, net: nn.Module, *, train: bool) -> nn.Module:
    """A plain network of the same function and the same weights.

    Args:
        name: of the network.
        net: the network itself; a spectral norm moves as it does in one forward.
        train: mode in which the weights are looked at.
    """
    spec = NETWORKS[name]
    net.train(train)
    if spec.plain is None:
        return net
    other = spec.plain().to(spec.dtype)
    values = _values(net)
    with torch.no_grad():
        for key, p in other.named_parameters():
            p.copy_(values[key])
            p.requires_grad_(values[key].requires_grad)
    return other.train(train)


def _values(net: nn.Module) -> dict[str, Tensor]:
    """Weights as the layers read them, by the names of the plain network."""
    names = [n for n, _ in net.named_parameters() if "parametrizations" not in n]
    names += [f"{n}.weight" for n, m in net.named_modules() if hasattr(m, "parametrizations")]
    names += [f"{n}.weight" for n, m in net.named_modules() if hasattr(m, "weight_mask")]
    values = {}
    for name in names:
        owner, _, attribute = name.rpartition(".")
        key = name
        for old, new in _RENAMED.items():
            key = key.replace(old, new)
        module = net
        for part in filter(None, owner.split(".")):
            module = getattr(module, part)
        values[key] = getattr(module, attribute)
    return values
