"""One network in the pass: its forward under watch, its live layers, and the backwards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.func import functional_call

from foretell.errors import (
    DeadNetworkError,
    ForetellError,
    ModuleRaisedError,
    NetworkError,
    NoParametersError,
)
from foretell.proxies.autograd_pass.watch import Call, Watch, reachable
from foretell.proxies.shared.batches import Batches
from foretell.rng import stream_seed

__all__ = ["Pass", "leaf", "weight_of"]


class Pass:
    """The steps of the pass on one network, and what they leave for collectors.

    After the first forward: ``logits`` (n, classes), ``layers``, ``relus`` and ``norms`` (the calls
    in their order), ``nodes`` (of the autograd graph that lead to the logits), ``weights`` (of the
    live layers, in the order in which they first run) and ``first_calls`` (index of that call).
    After the backwards: ``image_grads`` (n, c, h, w) and ``grads``, aligned to ``weights``.

    Args:
        module: maps images (n, c, h, w) to logits (n, classes).
        batches: images and labels.
        seed: of noise and of dropout.
    """

    logits: Tensor
    layers: list[Call]
    relus: list[Call]
    norms: list[Call]
    nodes: set[Node]
    weights: list[Tensor]
    first_calls: list[int]
    image_grads: Tensor
    grads: tuple[Tensor, ...]

    def __init__(self, module: nn.Module, batches: Batches, seed: int) -> None:
        """Take the parameters; nothing runs yet."""
        self.module, self.batches, self.seed = module, batches, seed
        self.device = batches.images[0].device
        self.params = {n: leaf(p.detach().to(self.device)) for n, p in module.named_parameters()}
        self._with_graph: tuple[Tensor, ...] = ()
        self._seconds = 0

    @property
    def classes(self) -> int:
        """Number of outputs of the network."""
        return self.logits.shape[1]

    def forward(
        self, state: dict[str, Tensor], x: Tensor, watch: Watch, *, train: bool = True
    ) -> Tensor:
        """One forward: (n, c, h, w) -> (n, classes)."""
        with _mode(self.module, train), _seeded(stream_seed(self.seed, "forward"), x):
            try:
                with watch:
                    y = functional_call(self.module, state, (x,), tie_weights=True)
            except ForetellError:
                raise
            except Exception as error:
                raise ModuleRaisedError(
                    f"The module {type(self.module).__name__} raised {type(error).__name__} on "
                    f"images of shape {tuple(x.shape)}: {error}"
                ) from error
        if not isinstance(y, Tensor) or y.ndim != 2:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise NetworkError(
                f"Expected a module that maps images to logits of shape (n, classes), but got "
                f"{got}: wrap it so that forward returns the logits alone."
            )
        return y

    def buffers(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Copies of the buffers, so that a forward never changes those of the module."""
        copies = {}
        for name, buffer in self.module.named_buffers():
            to = dtype if dtype is not None and buffer.is_floating_point() else buffer.dtype
            copies[name] = buffer.detach().to(self.device, to, copy=True)
        return copies

    def first(self, images: Tensor, watch: Watch) -> None:
        """The first forward, which finds the live layers.

        Args:
            images: (n, c, h, w) of the first batch.
            watch: calls hooks meanwhile.

        Raises:
            DeadNetworkError: the output does not depend on the images.
            NoParametersError: no layer with weights leads to the output.
        """
        self._images = images.detach().clone().requires_grad_()
        self.logits = self.forward(self.params | self.buffers(), self._images, watch)
        self.nodes = reachable(self.logits)
        if not any(getattr(node, "variable", None) is self._images for node in self.nodes):
            raise DeadNetworkError("The output does not depend on the images.")
        self.layers, self.relus, self.norms = watch.layers, watch.relus, watch.norms
        live: dict[int, tuple[int, Tensor]] = {}
        for i, call in enumerate(self.layers):
            weight = call.weight
            if weight is not None and weight.requires_grad and call.node in self.nodes:
                live.setdefault(id(weight), (i, weight))
        if not live:
            raise NoParametersError(
                "Proxies need weights, but no convolution or linear layer leads to the output."
            )
        self.first_calls = [i for i, _ in live.values()]
        self.weights = [weight for _, weight in live.values()]

    def to_images(self, *, keep: bool) -> None:
        """One backward from the summed logits to the images.

        Args:
            keep: the graph, for another backward.
        """
        (self.image_grads,) = torch.autograd.grad(
            self.logits, self._images, torch.ones_like(self.logits), retain_graph=keep
        )

    def to_weights(self, *, seconds: int) -> None:
        """One backward from the loss on the first batch to the weights.

        Args:
            seconds: how often ``second`` will be called.
        """
        loss = F.cross_entropy(self.logits, self.batches.labels[0])
        grads = torch.autograd.grad(loss, self.weights, create_graph=seconds > 0)
        self.grads = tuple(g.detach() for g in grads)
        if seconds:
            self._with_graph, self._seconds = grads, seconds

    def second(self, scalar: Callable[[tuple[Tensor, ...]], Tensor]) -> Sequence[Tensor | None]:
        """Derivatives of a function of the gradients with respect to the weights.

        Args:
            scalar: the gradients of the loss, as part of a graph -> ().

        Returns:
            For each live layer, a tensor like its weights, or None where nothing depends on them.
        """
        value = scalar(self._with_graph)
        self._seconds -= 1
        hessian: Sequence[Tensor | None] = (None,) * len(self.weights)
        if value.requires_grad:  # else a network without a second layer or curvature
            hessian = torch.autograd.grad(
                value, self.weights, allow_unused=True, retain_graph=self._seconds > 0
            )
        if not self._seconds:
            self._with_graph = ()
        return hessian

    def live_weights(self, watch: Watch) -> list[Tensor]:
        """The weights of the live layers in another forward.

        Args:
            watch: what that forward recorded.
        """
        return [weight_of(watch.layers[i]) for i in self.first_calls]


def weight_of(call: Call) -> Tensor:
    """The weights of a layer's call."""
    return cast(Tensor, call.weight)


def leaf(p: Tensor) -> Tensor:
    """A tensor that gradients can be taken for, if it is of a floating type."""
    return p.requires_grad_() if p.is_floating_point() else p


@contextmanager
def _mode(module: nn.Module, train: bool) -> Iterator[None]:
    before: Mapping[nn.Module, bool] = {m: m.training for m in module.modules()}
    module.train(train)
    try:
        yield
    finally:
        for m, was in before.items():
            m.training = was


@contextmanager
def _seeded(seed: int, x: Tensor) -> Iterator[None]:
    """Dropout draws from a stream of its own; the caller's random state comes back."""
    devices: list[Any] = [x.device] if x.is_cuda else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(seed)
        if x.is_cuda:
            torch.cuda.manual_seed(seed)
        yield
