"""Whether a module is exactly what ``networks.cells`` builds."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules import module as hooks

from foretell.networks.cells import (
    EDGES,
    NONE,
    SKIP,
    Cell,
    CellNetwork,
    Projection,
    ReLUConvBN,
    ResidualReduction,
    Zero,
    live_edges,
)

__all__ = ["is_exact"]

_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
)
_GLOBAL_HOOKS = (
    *("_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks"),
    *("_global_backward_pre_hooks", "_global_forward_hooks_always_called"),
)
_EDGES = (Zero, nn.Identity, Projection, ReLUConvBN, nn.AvgPool2d)
_PARTS = {
    CellNetwork: ("stem", "layers", "last", "head"),
    Cell: ("edges",),
    ReLUConvBN: ("relu", "conv", "norm"),
    Projection: ("conv", "norm"),
    ResidualReduction: ("first", "second", "pool", "shortcut"),
}
"""Kind of module -> names of its children."""
_TENSORS = {
    nn.Conv2d: ({"weight", "bias"}, set[str]()),
    nn.BatchNorm2d: ({"weight", "bias"}, {"running_mean", "running_var", "num_batches_tracked"}),
    nn.Linear: ({"weight", "bias"}, set[str]()),
}
"""Kind of module -> names of its parameters and buffers; all others have none."""
_OWN = {
    nn.Conv2d: frozenset(vars(nn.Conv2d(1, 1, 1))),
    nn.BatchNorm2d: frozenset(vars(nn.BatchNorm2d(1))),
    nn.Linear: frozenset(vars(nn.Linear(1, 1))),
    nn.AvgPool2d: frozenset(vars(nn.AvgPool2d(1))),
    nn.ReLU: frozenset(vars(nn.ReLU())),
    Cell: frozenset({*vars(nn.Module()), "c_out", "plan"}),
}
_MODULE = frozenset(vars(nn.Module()))
"""Names of the attributes that each kind of module has, and no more."""


def is_exact(module: nn.Module) -> bool:
    """Whether a network computes what its class was written to compute, in float and no other way.

    A subclass may override a method, and a module may have been changed after it was built: layers
    exchanged or shared, settings, hooks, parametrisations, frozen weights, other types of numbers.

    Args:
        module: any.
    """
    if not isinstance(module, CellNetwork) or not _inherits(type(module)):
        return False
    if any(getattr(hooks, name, None) for name in _GLOBAL_HOOKS):
        return False
    ends = (*module.stem, *module.last, module.head)
    if not _are(ends, nn.Conv2d, nn.BatchNorm2d, nn.BatchNorm2d, nn.ReLU, nn.Linear):
        return False
    if not all(type(layer) in (Cell, ResidualReduction) for layer in module.layers):
        return False
    parameters = [p for m in module.modules() for p in m._parameters.values() if p is not None]
    if len({id(p) for p in parameters}) != len(parameters):
        return False
    if len({p.dtype for p in parameters}) != 1 or not all(map(_plain, parameters)):
        return False
    return all(_plain_module(m) and _exact(m) for m in module.modules()) and _called_once(module)


def _inherits(kind: type) -> bool:
    """Whether a class says nothing new but how it is built."""
    for base in kind.__mro__[: kind.__mro__.index(CellNetwork)]:
        new = (n for n in vars(base) if not n.startswith("__") or n in ("__call__", "__getattr__"))
        if any(hasattr(CellNetwork, name) for name in new) or "__getattribute__" in vars(base):
            return False
    return True


def _plain(p: nn.Parameter) -> bool:
    return (
        type(p) is nn.Parameter
        and p.requires_grad
        and p.dtype in (torch.float32, torch.float64)
        and not p._backward_hooks
    )


def _plain_module(m: nn.Module) -> bool:
    """Whether nothing is attached to a module that its class does not have."""
    if any(getattr(m, name, None) for name in _HOOKS) or m._compiled_call_impl is not None:
        return False
    own = vars(m).keys()
    if not isinstance(m, CellNetwork) and not own <= _OWN.get(type(m), _MODULE):
        return False
    if isinstance(m, CellNetwork) and not own <= _MODULE:
        return False
    parameters, buffers = _TENSORS.get(type(m), (set(), set()))
    return m._parameters.keys() <= parameters and m._buffers.keys() <= buffers


def _called_once(module: CellNetwork) -> bool:
    """Whether no module stands in two places."""
    children = [id(c) for m in module.modules() for c in m._modules.values() if c is not None]
    return len(set(children)) == len(children)


def _exact(m: nn.Module) -> bool:
    """Whether a part of the network computes what the operation for it computes."""
    kind = CellNetwork if isinstance(m, CellNetwork) else type(m)
    if kind in _PARTS and tuple(m._modules) != _PARTS[kind]:
        return False
    if type(m) is nn.Conv2d:
        plain = (m.groups, m.dilation, m.padding_mode, m.bias) == (1, (1, 1), "zeros", None)
        return plain and _square(m.stride) and _square(m.padding) and m.weight.ndim == 4
    if type(m) is nn.BatchNorm2d:
        return isinstance(m.momentum, float) and (m.weight is None) == (m.bias is None)
    if type(m) is nn.AvgPool2d:
        sizes = all(type(v) is int for v in (m.kernel_size, m.stride, m.padding))
        return sizes and m.divisor_override is None and not (m.padding and m.count_include_pad)
    if type(m) is ReLUConvBN:
        return _are((m.relu, m.conv, m.norm), nn.ReLU, nn.Conv2d, nn.BatchNorm2d)
    if type(m) is Projection:
        return _are((m.conv, m.norm), nn.Conv2d, nn.BatchNorm2d)
    if type(m) is ResidualReduction:
        parts = (m.first, m.second, m.pool, m.shortcut)
        return _are(parts, ReLUConvBN, ReLUConvBN, nn.AvgPool2d, nn.Conv2d)
    if type(m) is Cell:
        pooled = (ReLUConvBN, nn.AvgPool2d)
        edges = [
            _are(e, *pooled) if type(e) is nn.Sequential else type(e) in _EDGES for e in m.edges
        ]
        return all(edges) and m.plan == _plan(m)
    return kind in (
        CellNetwork,
        nn.Sequential,
        nn.ModuleList,
        nn.ReLU,
        nn.Identity,
        nn.Linear,
        Zero,
    )


def _plan(cell: Cell) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The edges into each node that a cell with these operations runs."""
    live = live_edges([NONE if type(e) is Zero else SKIP for e in cell.edges])
    return tuple(
        tuple((e, s) for e, (s, t) in enumerate(EDGES) if t == target and live[e])
        for target in (1, 2, 3)
    )


def _square(size: object) -> bool:
    return isinstance(size, tuple) and len(set(size)) == 1


def _are(modules: Iterable[nn.Module], *kinds: type[nn.Module]) -> bool:
    return [type(m) for m in modules] == list(kinds)
