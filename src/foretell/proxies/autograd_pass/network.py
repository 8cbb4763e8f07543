"""One network in the pass: its forwards under watch, its live layers, and the backwards."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn, cast

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
    ProxyError,
)
from foretell.proxies.autograd_pass.graph import LayerKey, reachable
from foretell.proxies.autograd_pass.images import Layout, layout_of
from foretell.proxies.autograd_pass.restore import Held, seeded
from foretell.proxies.autograd_pass.rewrite import Rewrite
from foretell.proxies.autograd_pass.surroundings import (
    as_written,
    materialised,
    parts_of,
    twin_with,
)
from foretell.proxies.autograd_pass.watch import Call, Watch
from foretell.proxies.shared.batches import Batches
from foretell.proxies.shared.rounding import rounding_share
from foretell.rng import stream_seed

__all__ = ["Pass", "Trace", "leaf", "weight_of"]

_FEW = 3
"""Images whose parts of a result are told apart by changing one of them."""


@dataclass
class Trace:
    """One forward that was watched.

    Args:
        logits: (n, classes).
        nodes: of the autograd graph that lead to them.
        watch: what it recorded.
        weights: of each live layer whose parameters are not frozen, in the order in which they
            first run: the tensors that it ran with, which are several where weights that are
            computed were computed for each call.
    """

    logits: Tensor
    nodes: set[Node]
    watch: Watch
    weights: Mapping[LayerKey, tuple[Tensor, ...]]

    def gradients(self, root: Tensor, *, create_graph: bool = False) -> tuple[Tensor, ...]:
        """Derivatives of a number with respect to the weights of each layer.

        Args:
            root: () in the graph.
            create_graph: so that they can be differentiated again.
        """
        tensors = [t for ts in self.weights.values() for t in ts]
        grads = iter(
            torch.autograd.grad(root, tensors, create_graph=create_graph, allow_unused=True)
        )
        result = []
        for ts in self.weights.values():
            parts = [g for g in (next(grads) for _ in ts) if g is not None]
            total = torch.zeros_like(ts[0]) if not parts else parts[0]
            for part in parts[1:]:
                total = total + part
            result.append(total)
        return tuple(result)


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
    trace: Trace
    drew: bool = False

    def __init__(self, module: nn.Module, batches: Batches, seed: int) -> None:
        """Take the parameters; nothing but lazy layers runs yet."""
        while isinstance(module, nn.DataParallel):
            module = module.module
        self.seed = seed
        self.device = batches.images[0].device
        self.module = self._ready(module, batches)
        self._parts = parts = parts_of(self.module)
        self.held = Held(parts.modules)
        parameters = parts.parameters
        if any(p.is_complex() for p in parameters.values()):
            raise NetworkError(
                "Expected real parameters, but some are complex: proxies are not defined for them. "
                "Keep their real and imaginary parts as two parameters (torch.view_as_complex)."
            )
        floating = (p.dtype for p in parameters.values() if p.is_floating_point())
        self.dtype = next(floating, torch.float32)
        images = tuple(self._own(x) for x in batches.images)
        self.batches = Batches(images, tuple(_plain(y, y.device) for y in batches.labels))
        self.params = {n: leaf(_plain(p, self.device)) for n, p in parameters.items()}
        self.frozen = frozenset(n for n, p in parameters.items() if not p.requires_grad)
        self.scripted = any(isinstance(m, torch.jit.ScriptModule) for m in parts.modules)
        self._writes = False
        self._draws_elsewhere = True
        self._drew_elsewhere = False
        self._computed = any("parametrizations." in name for name in parameters)
        self._grads: tuple[Tensor, ...] | Exception | None = None
        self._image_grads: Tensor | Exception | None = None
        self._with_graph: tuple[Tensor, ...] = ()
        self._seconds = 0

    def _ready(self, module: nn.Module, batches: Batches) -> nn.Module:
        try:
            return materialised(module, batches.images[0][:2], stream_seed(self.seed, "lazy"))
        except Exception as error:
            raise _raised(module, batches.images[0], error) from error

    def _own(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise NetworkError(
                f"Expected images of a floating type, but got {x.dtype}: proxies take derivatives "
                f"by the images, which token indices do not have."
            )
        return _plain(x, x.device).to(self.dtype)

    @property
    def classes(self) -> int:
        """Number of outputs of the network."""
        return self.logits.shape[1]

    @property
    def weights(self) -> list[Tensor]:
        """Of the live layers, in the order in which they first run.

        Raises:
            NoParametersError: no layer leads to the output.
        """
        return [ts[0] for ts in self._live().weights.values()]

    @property
    def grads(self) -> tuple[Tensor, ...]:
        """dloss/dweight of the live layers on the first batch.

        Raises:
            NoParametersError: no layer leads to the output.
            NetworkError: there are fewer outputs than the labels need.
            ProxyError: the backward raised.
        """
        return cast("tuple[Tensor, ...]", _result(self._grads))

    @property
    def image_grads(self) -> Tensor:
        """Gradient of the summed logits, like the images.

        Raises:
            ProxyError: the backward raised.
        """
        return cast(Tensor, _result(self._image_grads))

    def _live(self) -> Trace:
        if self.trace.weights:
            return self.trace
        if self.trace.watch.graph.unregistered:
            why = "its weights are no parameters of it: use nn.ModuleList instead of a list."
        elif any(c.key is not None and c.key[0] <= self.frozen for c in self.layers):
            why = "all weights that lead to the output are frozen: call requires_grad_(True)."
        else:
            why = "no convolution or linear layer leads to the output."
        raise NoParametersError(f"Proxies need weights, but {why}")

    def forward(
        self,
        state: Mapping[str, Tensor],
        x: Tensor,
        watch: Watch | None,
        *,
        train: bool = True,
        rewrite: Callable[[Watch], Rewrite] | None = None,
    ) -> Tensor:
        """One forward: (n, c, h, w) -> (n, classes).

        Args:
            state: parameters and buffers.
            x: images.
            watch: records what runs; None where nobody asks.
            train: the mode.
            rewrite: makes what changes calls, for the watch that can tell weights.

        Raises:
            ModuleRaisedError: the module raised; the cause is chained.
            NetworkError: the result is not (n, classes).
        """
        module = twin_with(self.module, state) if self.scripted else self.module
        modules = list(module.modules()) if self.scripted else self._parts.modules
        params = dict(module.named_parameters()) if self.scripted else state
        images = x.detach().requires_grad_()
        if watch is not None:
            names = {id(p): n for n, p in params.items() if n in self.params}
            watch.begin(names, images, {id(t) for n, t in state.items() if n not in self.params})
        with ExitStack() as stack:
            seed = stream_seed(self.seed, "forward")
            draws = stack.enter_context(seeded(seed, x, everywhere=self._draws_elsewhere))
            stack.enter_context(as_written(modules))
            held = Held(modules) if self.scripted else self.held
            stack.enter_context(held.unchanged(train=train))
            try:
                if watch is not None and (rewrite is not None or self._computed):
                    stack.enter_context((rewrite or _whole)(watch))
                x = images.clone()  # no leaf: the module may write into it
                with watch or nullcontext():
                    if self.scripted:
                        y = module(x)
                    else:
                        y = functional_call(module, dict(state), (x,), tie_weights=self._parts.tied)
            except ForetellError:
                raise
            except Exception as error:
                raise _raised(module, x, error) from error
            self._drew_elsewhere = draws.of_others()
            self.drew = self._drew_elsewhere or draws.of_torch()
        if not isinstance(y, Tensor) or y.ndim != 2 or len(y) != len(x):
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise NetworkError(
                f"Expected a module that maps images to logits of shape (n, classes), but got "
                f"{got} for {len(x)} images: wrap it so that forward returns the logits alone."
            )
        return y

    def traced(
        self,
        state: Mapping[str, Tensor],
        x: Tensor,
        watch: Watch,
        *,
        train: bool = True,
        rewrite: Callable[[Watch], Rewrite] | None = None,
    ) -> Trace:
        """One forward and its live layers; see ``forward``."""
        logits = self.forward(state, x, watch, train=train, rewrite=rewrite)
        nodes = reachable(logits)
        weights: dict[LayerKey, list[Tensor]] = {}
        for call in watch.layers:
            if call.key is None or call.node not in nodes or call.key[0] <= self.frozen:
                continue
            tensors = weights.setdefault(call.key, [])
            if not any(t is call.weight for t in tensors):
                tensors.append(weight_of(call))
        return Trace(logits, nodes, watch, {k: tuple(ts) for k, ts in weights.items()})

    def buffers(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Copies of the buffers, so that a forward never changes those of the module."""
        copies = {}
        for name, buffer in self._parts.buffers.items():
            to = dtype if dtype is not None and buffer.is_floating_point() else buffer.dtype
            copies[name] = _plain(buffer, self.device).to(to, copy=True)
        return copies

    def state(self) -> dict[str, Tensor]:
        """The parameters, and copies of the buffers, for one forward."""
        return self.copies(self.params) | self.buffers()

    def copies(self, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parameters for one forward: copies where the module writes into them."""
        if not self._writes:
            return dict(params)
        return {n: leaf(p.detach().clone()) for n, p in params.items()}

    def first(self, images: Tensor, watch: Watch) -> bool:
        """The first forward, which finds the live layers.

        Args:
            images: (n, c, h, w) of the first batch.
            watch: calls hooks meanwhile.

        Returns:
            Whether it holds. It does not where the module wrote into parameters, which are as
            before, and of which every forward has copies of its own from now on: call it again.

        Raises:
            DeadNetworkError: the output does not depend on the images.
            NetworkError: no gradient leads from it to the images.
        """
        if not self._writes and not self.scripted:
            watch.guarded = {p.untyped_storage().data_ptr(): p for p in self.params.values()}
        self.trace = self.traced(self.state(), images, watch)
        self._draws_elsewhere = self._drew_elsewhere  # what need not be seeded is left alone
        if watch.overwritten:
            self._writes = True
            with torch.no_grad():
                for p, value in watch.overwritten:
                    p.data.copy_(value)
            return False
        self._images = watch.graph.image
        self.logits, self.nodes = self.trace.logits, self.trace.nodes
        if not any(getattr(node, "variable", None) is self._images for node in self.nodes):
            self._is_dead(images)
        self.layers, self.relus, self.norms = watch.layers, watch.relus, watch.norms
        return True

    def _is_dead(self, images: Tensor) -> NoReturn:
        """Say whether the output does not depend on the images, or only no gradient leads there."""
        other = self.forward(self.state(), torch.flip(images, (-1,)) * 1.5, None)
        if torch.equal(other, self.logits.detach()):
            raise DeadNetworkError("The output does not depend on the images.")
        raise NetworkError(
            "The output depends on the images, but no gradient leads from one to the other: the "
            "forward detaches, runs without gradients (torch.no_grad) or rounds to integers."
        )

    @cached_property
    def read(self) -> frozenset[str]:
        """Names of the parameters on a path to the output."""
        names = self.trace.watch.graph.names
        leaves = (getattr(node, "variable", None) for node in self.nodes)
        return frozenset(names[id(v)] for v in leaves if v is not None and id(v) in names)

    @cached_property
    def first_calls(self) -> list[int]:
        """For each of ``weights``, the index in ``layers`` of the call that used it first."""
        keys = [call.key if call.node in self.nodes else None for call in self.layers]
        return [keys.index(key) for key in self.trace.weights]

    @cached_property
    def unseen(self) -> float:
        """Share of the parameters on a path to the output, vectors apart, that are in no layer."""
        sizes = {n: self.params[n].numel() for n in self.read if self.params[n].ndim >= 2}
        seen = frozenset[str]().union(*(key[0] for key in self.trace.weights)) - self.frozen
        total = sum(sizes.values())
        return sum(size for n, size in sizes.items() if n not in seen) / total if total else 0.0

    def to_images(self, *, keep: bool) -> None:
        """One backward from the summed logits to the images.

        Args:
            keep: the graph, for another backward.
        """
        try:
            (self._image_grads,) = torch.autograd.grad(
                self.logits, self._images, torch.ones_like(self.logits), retain_graph=keep
            )
            if self._is_rounding(self._image_grads):
                self._image_grads = ProxyError(
                    "The sum of the outputs does not depend on the images, as after a softmax, a "
                    "normalisation at the end or a batch normalisation whose average is taken: its "
                    "gradients are rounding. Score the network without that last step."
                )
        except Exception as error:
            self._image_grads = _backward_raised(error)

    def _is_rounding(self, grads: Tensor) -> bool:
        """Whether the gradient of the summed logits is rounding beside that of other sums.

        They are compared only where the gradient does not explain how much the logits differ, and
        in half precision.
        """
        share = rounding_share(grads.dtype)
        logits, images = self.logits.detach(), self._images.detach()
        largest = grads.flatten(1).norm(dim=1).max()
        distance = (images - images.mean(0)).norm() / len(images) ** 0.5
        if share < 1e-3 and bool(largest * distance >= (logits - logits.mean(0)).norm()):
            return False
        watch = Watch()
        logits = self.forward(self.state(), images, watch)
        generator = torch.Generator().manual_seed(stream_seed(self.seed, "signs"))
        signs = torch.randint(0, 2, logits.shape, generator=generator) * 2 - 1
        (others,) = torch.autograd.grad(logits, watch.graph.image, signs.to(logits))
        return bool(grads.norm() < share * others.norm())

    def to_weights(self, *, seconds: int) -> None:
        """One backward from the loss on the first batch to the weights.

        Args:
            seconds: how often ``second`` will be called.
        """
        most = int(self.batches.labels[0].max())
        try:
            trace = self._live()
            if most >= self.classes:
                raise NetworkError(
                    f"The module gives {self.classes} outputs, but there is a label {most}: build "
                    f"it for at least {most + 1} classes."
                )
            loss = F.cross_entropy(self.logits, self.batches.labels[0])
            grads = trace.gradients(loss, create_graph=seconds > 0)
        except ForetellError as error:
            self._grads = error
        except Exception as error:
            self._grads = _backward_raised(error)
        else:
            self._grads = tuple(g.detach() for g in grads)
            if seconds:
                self._with_graph, self._seconds = grads, seconds

    def second(self, scalar: Callable[[tuple[Tensor, ...]], Tensor]) -> Sequence[Tensor | None]:
        """Derivatives of a function of the gradients with respect to the weights.

        Args:
            scalar: the gradients of the loss, as part of a graph -> ().

        Returns:
            For each live layer, a tensor like its weights, or None where nothing depends on them.

        Raises:
            ProxyError: there is no second derivative, or no first.
        """
        _result(self._grads)
        value = scalar(self._with_graph)
        if any(node.name().endswith("Error") for node in reachable(value)):
            raise ProxyError(
                "A function of the network is once_differentiable: it has no second derivative."
            )
        self._seconds -= 1
        hessian: Sequence[Tensor | None] = (None,) * len(self.weights)
        if value.requires_grad:  # else a network without a second layer or curvature
            tensors = [t for ts in self.trace.weights.values() for t in ts]
            parts = iter(
                torch.autograd.grad(
                    value, tensors, allow_unused=True, retain_graph=self._seconds > 0
                )
            )
            hessian = [_total([next(parts) for _ in ts]) for ts in self.trace.weights.values()]
        if not self._seconds:
            self._with_graph = ()
        return hessian

    @cached_property
    def of_parameters(self) -> bool:
        """Whether the weights of all live layers are parameters, none computed from others."""
        return not (
            self.scripted or self._computed or self._writes or any(k[2] for k in self.trace.weights)
        )

    def gradients(self, x: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """dloss/dweight of the live layers on other images, where they are parameters.

        Args:
            x: images.
            labels: (n,).

        Returns:
            For each live layer, a tensor like its weights; zeros where it does not run.
        """
        loss = F.cross_entropy(self.forward(self.state(), x, None), labels)
        weights = self.weights
        grads = torch.autograd.grad(loss, weights, allow_unused=True)
        return tuple(
            torch.zeros_like(w) if g is None else g for w, g in zip(weights, grads, strict=True)
        )

    def layer_layout(self, index: int) -> Layout:
        """Where the images are in the result of a layer.

        Args:
            index: of the call.

        Raises:
            ProxyError: the result mixes the images.
        """
        return self._layout("layers", index)

    def relu_layout(self, index: int) -> Layout:
        """Where the images are in the input of a ReLU; see ``layer_layout``."""
        return self._layout("relus", index)

    def _layout(self, kind: str, index: int) -> Layout:
        layout = self._layouts[kind].get(index)
        if layout is None:
            raise ProxyError(
                "A result inside the network mixes the images of the batch, or does not say which "
                "part of it belongs to which image: no value by image can be told."
            )
        return layout

    @cached_property
    def _layouts(self) -> dict[str, dict[int, Layout | None]]:
        """By two forwards of a few images, of the whole batch where others run."""
        images = len(self.batches.images[0])
        for small in {min(_FEW, images): 0, images: 0}:
            before, after = (self._results(small, changed) for changed in (False, True))
            shapes = {
                "layers": [c.shape for c in self.layers],
                "relus": [c.shape for c in self.relus],
            }
            if all(len(before[k]) == len(after[k]) == len(shapes[k]) for k in shapes):
                return {
                    kind: {
                        i: layout_of(a, b, shapes[kind][i], small, images)
                        for i, (a, b) in enumerate(zip(before[kind], after[kind], strict=True))
                    }
                    for kind in shapes
                }
        return {"layers": {}, "relus": {}}

    def _results(self, small: int, changed: bool) -> dict[str, list[Tensor]]:
        x = self.batches.images[0][:small].clone()
        if changed:
            x[1] = torch.flip(x[1], (-1,)) * -1.5 + 0.5
        results: dict[str, list[Tensor]] = {"layers": [], "relus": []}
        watch = Watch(
            on_layer=lambda _, out, __: results["layers"].append(out.detach().clone()),
            on_relu=lambda _, code, __: results["relus"].append((code.detach() > 0).clone()),
            uncoupled=True,
        )
        self.forward(self.state(), x, watch)
        return results


def _whole(watch: Watch) -> Rewrite:
    """Weights that are computed and turned get a shape of their own."""

    def weight(w: Tensor) -> Tensor | None:
        made = None if w._base is None else watch.graph.weight(w)
        return w.clone() if made is not None and made.key[2] else None

    return Rewrite(weight, norms=True)


def weight_of(call: Call) -> Tensor:
    """The weights of a layer's call."""
    return cast(Tensor, call.weight)


def leaf(p: Tensor) -> Tensor:
    """A tensor that gradients can be taken for, if it is of a floating type."""
    return p.requires_grad_() if p.is_floating_point() else p


def _plain(p: Tensor, device: torch.device) -> Tensor:
    """A detached tensor that may take part in a graph."""
    if p.is_inference():
        with torch.inference_mode(False):
            p = p.clone()
    return p.detach() if p.device == device else p.detach().to(device)


def _total(parts: list[Tensor | None]) -> Tensor | None:
    given = [p for p in parts if p is not None]
    return torch.stack(given).sum(0) if len(given) > 1 else next(iter(given), None)


def _result(value: object) -> object:
    if isinstance(value, Exception):
        raise value
    return value


def _raised(module: nn.Module, x: Tensor, error: Exception) -> ModuleRaisedError:
    return ModuleRaisedError(
        f"The module {type(module).__name__} raised {type(error).__name__} on images of shape "
        f"{tuple(x.shape)}: {_text(error)}"
    )


def _text(error: Exception) -> str:
    """What an error says; of TorchScript, without the listing of the code."""
    text = str(error).strip()
    return text.splitlines()[-1] if text.startswith("The following operation failed") else text


def _backward_raised(error: Exception) -> ProxyError:
    return ProxyError(f"The backward raised {type(error).__name__}: {_text(error)}")
