"""What runs inside any module: convolutions, ReLUs and normalisations, seen at the function level.

A function mode sees ``nn.ReLU`` and ``torch.relu`` alike and never sees a container, so nothing is
counted twice and no module needs to be of a known class.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

__all__ = ["Call", "Watch", "reachable"]

_LAYERS = frozenset(
    {
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
        F.linear,
    }
)
_RELUS = frozenset(
    {
        F.relu,
        torch.relu,
        torch.relu_,
        Tensor.relu,
        Tensor.relu_,
        F.relu6,
        F.leaky_relu,
        F.leaky_relu_,
        F.prelu,
        torch.prelu,
        Tensor.prelu,
        F.rrelu,
        F.rrelu_,
    }
)
_POOLS = frozenset(
    {
        F.adaptive_avg_pool1d,
        F.adaptive_avg_pool2d,
        F.adaptive_avg_pool3d,
        F.adaptive_max_pool1d,
        F.adaptive_max_pool2d,
        F.adaptive_max_pool3d,
    }
)
_MEANS = frozenset({torch.mean, Tensor.mean, torch.amax, Tensor.amax})
_FLATS = frozenset({torch.flatten, Tensor.flatten, Tensor.view, Tensor.reshape, torch.reshape})


@dataclass
class Call:
    """One call of a layer, a ReLU or a batch normalisation.

    Args:
        weight: the layer's weights; the key of a normalisation.
        node: the result's place in the autograd graph, None outside of it.
    """

    weight: Tensor | None
    node: Node | None


class Watch(TorchFunctionMode):
    """Records what runs while it is entered.

    Args:
        on_layer: called with the index of a layer's call and its result.
        on_relu: called with the input of each ReLU.
        linearise: batch normalisations return their input.
        measure: keep the unbiased batch variance of each batch normalisation.
    """

    def __init__(
        self,
        *,
        on_layer: Callable[[int, Tensor], None] | None = None,
        on_relu: Callable[[int, Tensor], None] | None = None,
        on_write: Callable[[Tensor], None] | None = None,
        linearise: bool = False,
        measure: bool = False,
    ) -> None:
        """Start with nothing seen."""
        super().__init__()
        self.layers: list[Call] = []
        self.relus: list[Call] = []
        self.norms: list[Call] = []
        self.variances: list[tuple[float, float]] = []
        self.features: Tensor | None = None
        self._pooled = False
        self._on_layer, self._on_relu, self._on_write = on_layer, on_relu, on_write
        self._linearise, self._measure = linearise, measure

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function, and record it if it is one of those that matter."""
        kwargs = dict(kwargs or {})
        if func in _LAYERS:
            return self._layer(func, args, kwargs)
        if func in _RELUS:
            return self._relu(func, args, kwargs)
        if func is F.batch_norm:
            return self._norm(func, args, kwargs)
        if func in _POOLS or func in _MEANS or func in _FLATS:
            self._pool(func, args, kwargs)
        elif self._on_write is not None and _writes(func, kwargs) and isinstance(args[0], Tensor):
            self._on_write(args[0])
        return func(*args, **kwargs)

    def _layer(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        result = func(*args, **kwargs)
        self.layers.append(Call(weight, result.grad_fn))
        if self._on_layer is not None:
            self._on_layer(len(self.layers) - 1, result)
        return result

    def _relu(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        x = args[0] if args else kwargs["input"]
        if self._on_relu is not None:
            self._on_relu(len(self.relus), x)
        if self._on_write is not None and (_writes(func, kwargs) or len(args) > 1):
            self._on_write(x)
        result = func(*args, **kwargs)
        self.relus.append(Call(None, result.grad_fn))
        return result

    def _norm(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum")
        given = dict(zip(names, args, strict=False)) | kwargs
        x: Tensor = given["input"]
        if self._linearise:
            self.norms.append(Call(given.get("running_var"), x.grad_fn))
            return x
        if self._measure:
            dims = [d for d in range(x.ndim) if d != 1]
            momentum = given.get("momentum", 0.1)
            variance = float(x.var(dims, unbiased=True).double().mean())
            self.variances.append((variance, 0.1 if momentum is None else float(momentum)))
        result = func(*args, **kwargs)
        self.norms.append(Call(given.get("running_var"), result.grad_fn))
        return result

    def _pool(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Keep the last features with spatial dimensions that are averaged or flattened."""
        x = args[0] if args else kwargs.get("input")
        if not isinstance(x, Tensor) or x.ndim < 3:
            return
        if func in _POOLS:
            self.features, self._pooled = x, True
        elif func in _MEANS:
            dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
            dims = (dims,) if isinstance(dims, int) else dims
            if dims is not None and {d % x.ndim for d in dims} == set(range(2, x.ndim)):
                self.features, self._pooled = x, True
        elif not self._pooled:
            self.features = x


def _writes(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    name = getattr(func, "__name__", "")
    return bool(kwargs.get("inplace")) or (name.endswith("_") and not name.endswith("__"))


def reachable(*roots: Tensor) -> set[Node]:
    """Every node of the autograd graph that leads to one of the tensors."""
    stack = [t.grad_fn for t in roots if t.grad_fn is not None]
    seen = set(stack)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None and node not in seen:
                seen.add(node)
                stack.append(node)
    return seen
