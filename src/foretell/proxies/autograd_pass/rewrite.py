"""Other weights and no batch normalisation, wherever a forward asks for them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["Rewrite"]

_LAYERS = frozenset(
    {
        *(torch.conv1d, torch.conv2d, torch.conv3d, F.linear),
        *(torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d),
    }
)
_NORMS = frozenset({F.batch_norm, torch.batch_norm})


class Rewrite(TorchFunctionMode):
    """Changes calls before autograd sees them, while it is entered.

    Args:
        weight: what to take instead of weights that are computed, such as normed ones; None keeps
            them.
        norms: batch normalisations stay; otherwise they return their input.
    """

    def __init__(self, weight: Callable[[Tensor], Tensor | None], *, norms: bool) -> None:
        """Only store."""
        super().__init__()
        self._weight, self._keep_norms = weight, norms

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, with other weights where it is a layer."""
        kwargs = dict(kwargs or {})
        if func in _NORMS and not self._keep_norms:
            return args[0] if args else kwargs["input"]
        if func in _LAYERS:
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            if isinstance(weight, Tensor) and weight.grad_fn is not None:
                other = self._weight(weight)
                if other is not None:
                    if len(args) > 1:
                        args = (args[0], other, *args[2:])
                    else:
                        kwargs["weight"] = other
        return func(*args, **kwargs)
