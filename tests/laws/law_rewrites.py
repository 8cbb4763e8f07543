"""Rewrites that keep the function of a network; None where there is nothing to rewrite."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from law_networks import Pool, Tokens
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

__all__ = ["REWRITES", "split_name"]

_LAYERS = (nn.modules.conv._ConvNd, nn.Linear)
_NORMS = nn.modules.batchnorm._BatchNorm
_CONVS = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d}


def _replaced(net: nn.Module, make: Callable[[nn.Module], nn.Module | None]) -> nn.Module | None:
    """Every module for which another is made, exchanged; None where there is none."""
    count = 0
    if isinstance(net, torch.jit.ScriptModule):
        return None
    for parent in list(net.modules()):
        if isinstance(parent, nn.MultiheadAttention | nn.TransformerEncoderLayer):
            continue  # their own code reads the attributes of their parts
        for name, child in list(parent.named_children()):
            if "_parametrizations" in name or name == "parametrizations":
                continue
            other = make(child)
            if other is not None:
                setattr(parent, name, other)
                count += 1
    return net if count else None


class Outer(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def wrapped(net: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Identity(), Outer(net))


def hooked(net: nn.Module) -> nn.Module | None:
    if isinstance(net, torch.jit.ScriptModule):
        return None
    for m in net.modules():
        m.register_forward_hook(lambda m, args, out: None)
    return net


class Called(nn.Module):
    """A module's parameters, and a function instead of its forward."""

    def __init__(self, module: nn.Module, run: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        for name, p in module.named_parameters(recurse=False):
            self.register_parameter(name, p)
        for name, b in module.named_buffers(recurse=False):
            self.register_buffer(name, b)
        if not hasattr(self, "bias"):
            self.bias = None
        self.given, self.run = dict(vars(module)), run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def _bare(m: nn.Module) -> bool:
    return not hasattr(m, "parametrizations") and not m._forward_pre_hooks


def functional(net: nn.Module) -> nn.Module | None:
    """Functions instead of modules."""

    def make(m: nn.Module) -> nn.Module | None:
        g = vars(m)
        if not _bare(m):
            return None
        if type(m) in _CONVS and m.padding_mode == "zeros":
            run = _CONVS[type(m)]
            options = (g["stride"], g["padding"], g["dilation"], g["groups"])
            return Called(m, lambda s, x: run(x, s.weight, s.bias, *options))
        if type(m) is nn.Linear:
            return Called(m, lambda s, x: F.linear(x, s.weight, s.bias))
        if isinstance(m, nn.BatchNorm2d):
            return Called(
                m,
                lambda s, x: F.batch_norm(
                    x, s.running_mean, s.running_var, s.weight, s.bias, s.training, 0.1, 1e-5
                ),
            )
        if type(m) is nn.ReLU:
            return Called(m, lambda s, x: torch.relu(x))
        if type(m) is nn.ReLU6:
            return Called(m, lambda s, x: F.relu6(x))
        if type(m) is nn.LayerNorm:
            shape = m.normalized_shape
            return Called(m, lambda s, x: F.layer_norm(x, shape, s.weight, s.bias))
        if type(m) is nn.GroupNorm:
            groups = m.num_groups
            return Called(m, lambda s, x: F.group_norm(x, groups, s.weight, s.bias))
        return None

    return _replaced(net, make)


def _pooled(way: str) -> Callable[[nn.Module], nn.Module | None]:
    def rewrite(net: nn.Module) -> nn.Module | None:
        pools = [m for m in net.modules() if isinstance(m, Pool | Tokens)]
        if way not in ("mean", "sum"):
            pools = [m for m in pools if isinstance(m, Pool)]
        for m in pools:
            m.way = way
        return net if pools and not isinstance(net, torch.jit.ScriptModule) else None

    return rewrite


class Spelled(nn.Module):
    def __init__(self, run: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)


def _relu(run: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], nn.Module | None]:
    return lambda net: _replaced(net, lambda m: Spelled(run) if type(m) is nn.ReLU else None)


def in_place(net: nn.Module) -> nn.Module | None:
    """Activations that write into their input; in a cell others read it as well."""
    count = 0
    if type(net).__name__ == "NB201Network":
        return None
    for m in net.modules():
        if isinstance(m, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.LeakyReLU) and not m.inplace:
            m.inplace, count = True, count + 1
    return net if count and not isinstance(net, torch.jit.ScriptModule) else None


class Moved(nn.Module):
    """Runs a module that looks at one position at a time with the batch axis second."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.transpose(0, 1)).transpose(0, 1) if x.ndim > 2 else self.module(x)


def moved(net: nn.Module) -> nn.Module | None:
    """Activations, and layers over tokens, with the batch axis second."""
    kinds = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.Linear)
    return _replaced(net, lambda m: Moved(m) if isinstance(m, kinds) else None)


class Halves(nn.Module):
    """A layer as two, each with half of the outputs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.one, self.two = copy.deepcopy(layer), copy.deepcopy(layer)
        n = len(layer.weight) // 2
        for part, rows in ((self.one, slice(n)), (self.two, slice(n, None))):
            part.weight = nn.Parameter(layer.weight.detach()[rows].clone())
            if layer.bias is not None:
                part.bias = nn.Parameter(layer.bias.detach()[rows].clone())
        self.axis = -1 if isinstance(layer, nn.Linear) else 1

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.two(x)], self.axis)


def split_name(net: nn.Module) -> str | None:
    """The layer that is split: the first whose halves have a multiple of sixteen weights."""
    shared = [id(p) for m in net.modules() for p in m._parameters.values() if p is not None]
    for name, m in net.named_modules():
        if isinstance(m, nn.Conv2d | nn.Linear) and _bare(m) and name.split(".")[-1] != "out_proj":
            whole = getattr(m, "groups", 1) == 1 and len(m.weight) % 2 == 0
            once = shared.count(id(m.weight)) == 1 and m.weight.requires_grad
            if whole and once and m.weight.numel() % 32 == 0 and "linear" not in name:
                return name.removeprefix("_orig_mod.")
    return None


def split(net: nn.Module) -> nn.Module | None:
    if isinstance(net, torch.jit.ScriptModule) or (name := split_name(net)) is None:
        return None
    net = getattr(net, "_orig_mod", net)
    parent = net.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], Halves(net.get_submodule(name)))
    return net


class Aliased(nn.Module):
    """Holds the parameters of a network a second time."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.again = nn.ParameterList(inner.parameters())
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def aliased(net: nn.Module) -> nn.Module | None:
    return None if isinstance(net, torch.jit.ScriptModule) else Aliased(net)


class Same(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w * 1


def parametrised(net: nn.Module) -> nn.Module | None:
    """Weights that are computed from parameters: the same weights."""
    if isinstance(net, torch.jit.ScriptModule):
        return None
    count = 0
    for m in list(net.modules()):
        if isinstance(m, nn.TransformerEncoderLayer | nn.MultiheadAttention):
            return None
        if isinstance(m, _LAYERS) and _bare(m) and m.weight.requires_grad:
            parametrize.register_parametrization(m, "weight", Same())
            count += 1
    return net if count else None


class Again(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.module, x, use_reentrant=False)


def checkpointed(net: nn.Module) -> nn.Module | None:
    if any(hasattr(m, "parametrizations") for m in net.modules()):
        return None
    return _replaced(net, lambda m: Again(m) if isinstance(m, (*_LAYERS, _NORMS)) else None)


class Pointwise(nn.Module):
    """A linear layer as a convolution of one position."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.conv = nn.Conv1d(layer.in_features, layer.out_features, 1, bias=layer.bias is not None)
        self.conv.weight = nn.Parameter(layer.weight.detach()[..., None].clone())
        self.conv.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return self.conv(x[..., None])[..., 0]
        return self.conv(x.transpose(1, 2)).transpose(1, 2)


def _linear(m: nn.Module) -> bool:
    return type(m) is nn.Linear and _bare(m) and m.weight.requires_grad


def pointwise(net: nn.Module) -> nn.Module | None:
    def make(m: nn.Module) -> nn.Module | None:
        return Pointwise(m) if _linear(m) else None

    return None if _spatial(net) else _replaced(net, make)


def _spatial(net: nn.Module) -> bool:
    """Whether linear layers run over more axes than one of positions."""
    return type(net).__name__ == "ConvNext"


def by_matmul(net: nn.Module) -> nn.Module | None:
    """Linear layers as products with a parameter."""

    def make(m: nn.Module) -> nn.Module | None:
        if not _linear(m):
            return None
        return Called(m, lambda s, x: x @ s.weight.t() + (0 if s.bias is None else s.bias))

    return _replaced(net, make)


def bias_apart(net: nn.Module) -> nn.Module | None:
    """Biases added after the layer."""

    def make(m: nn.Module) -> nn.Module | None:
        if not isinstance(m, _LAYERS) or not _bare(m) or m.bias is None:
            return None
        if not m.weight.requires_grad:
            return None
        bias, shape = m.bias, [-1] + [1] * (m.weight.ndim - 2)
        m.bias = None
        return Biased(m, bias, shape)

    return _replaced(net, make)


class Biased(nn.Module):
    def __init__(self, layer: nn.Module, bias: nn.Parameter, shape: list[int]) -> None:
        super().__init__()
        self.layer, self.bias, self.shape = layer, bias, shape

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.bias.view(self.shape)


def neighbours(net: nn.Module) -> nn.Module | None:
    """Modules that do nothing, beside every activation."""
    kinds = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU)
    return _replaced(
        net,
        lambda m: (
            nn.Sequential(nn.Identity(), m, nn.Dropout(0.0)) if isinstance(m, kinds) else None
        ),
    )


def single(net: nn.Module) -> nn.Module | None:
    """Single precision."""
    double = any(p.dtype == torch.float64 for p in net.parameters())
    return net.float() if double else None


def channels_last(net: nn.Module) -> nn.Module | None:
    if not any(isinstance(m, nn.Conv2d) for m in net.modules()):
        return None
    if any(isinstance(m, nn.Dropout) for m in net.modules()):  # it draws in the order of memory
        return None
    return net.to(memory_format=torch.channels_last)


REWRITES: dict[str, Callable[[nn.Module], nn.Module | None]] = {
    "wrapped": wrapped,
    "hooked": hooked,
    "functional": functional,
    "pooled by mean": _pooled("mean"),
    "pooled by a fixed window": _pooled("fixed"),
    "pooled axis by axis": _pooled("twice"),
    "pooled by sum": _pooled("sum"),
    "ReLU by clamp": _relu(lambda x: x.clamp(min=0)),
    "ReLU by maximum": _relu(lambda x: torch.maximum(x, torch.zeros_like(x))),
    "ReLU by where": _relu(lambda x: torch.where(x > 0, x, 0.0)),
    "ReLU by threshold": _relu(lambda x: F.threshold(x, 0.0, 0.0)),
    "ReLU by mask": _relu(lambda x: x * (x > 0)),
    "in place": in_place,
    "batch axis moved": moved,
    "layer split": split,
    "parameters listed twice": aliased,
    "weights computed": parametrised,
    "checkpointed": checkpointed,
    "linear as convolution": pointwise,
    "linear by matmul": by_matmul,
    "bias apart": bias_apart,
    "idle neighbours": neighbours,
    "channels last": channels_last,
    "single precision": single,
}
