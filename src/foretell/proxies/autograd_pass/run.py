"""The shared pass for any module: every forward and backward runs once for all proxies."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
from foretell.proxies._base import Collected, Costs, Needs, SynflowLayer, ZenStats
from foretell.proxies.autograd_pass.watch import Call, Watch, reachable
from foretell.proxies.cell_pass.lower import lower
from foretell.proxies.cell_pass.run import collect_program
from foretell.proxies.shared.batches import Batches
from foretell.proxies.shared.codes import CodeCounter
from foretell.proxies.shared.plan import Plan
from foretell.proxies.shared.zen_inputs import gaussian_weights, running_variance, zen_inputs
from foretell.rng import stream_seed

__all__ = ["collect", "no_relu"]

State = dict[str, Tensor]


def no_relu() -> ProxyError:
    """The error that replaces the codes of a network without ReLU."""
    return ProxyError(
        "The network has no ReLU whose result reaches the output: no codes to compare."
    )


def collect(
    module: nn.Module,
    batches: Batches,
    plan: Plan,
    *,
    seed: int,
    costs: Costs | None = None,
    fast: bool = True,
) -> Collected:
    """Run the plan on one module; its state is restored.

    Args:
        module: maps images (n, c, h, w) to logits (n, classes). It runs in train mode; its weights,
            buffers, gradients, mode and the caller's random state come back unchanged.
        batches: images and labels.
        plan: what to run.
        seed: of N(0, 1) weights, of noise and of dropout.
        costs: the closed-form costs, where the space has them.
        fast: run a network of cells by hand; the values are the same up to rounding.

    Raises:
        NoParametersError: the module has no parameters.
        ModuleRaisedError: the module raised; the cause is chained.
        NetworkError: its output is not (n, classes), or has fewer classes than the labels.
        DeadNetworkError: the output does not depend on the images.
    """
    if not any(p.numel() for p in module.parameters()):
        raise NoParametersError(
            f"Proxies need weights, but the module {type(module).__name__} has no parameters: "
            f"assign its layers to attributes, or use nn.ModuleList instead of a list."
        )
    program = lower(module) if fast else None
    if program is not None and (Needs.COSTS not in plan.needs or costs is not None):
        return collect_program(program, module, batches, plan, seed=seed, costs=costs)
    runner = _Runner(module, batches, plan, seed)
    parts: dict[str, object] = {}
    classes = 0
    if plan.main or plan.probe:
        trace = runner.first()
        classes = trace.classes
        parts |= trace.parts
        if Needs.COSTS in plan.needs and costs is None:
            parts["costs"] = runner.costs(trace)
        _optional(parts, plan.synflow, "synflow", lambda: runner.synflow(trace))
        _optional(parts, plan.zen, "zen", lambda: runner.zen(trace))
    if Needs.COSTS in plan.needs and costs is not None:
        parts["costs"] = costs
    return Collected(parts, classes, batches.labels[0])


def _optional(
    parts: dict[str, object], requested: bool, name: str, run: Callable[[], object]
) -> None:
    """A part with a forward of its own; if it fails, only this part is missing."""
    if not requested:
        return
    try:
        parts[name] = run()
    except ForetellError as error:
        parts[name] = ProxyError(f"{name}: {error}")


@dataclass
class _Trace:
    """Live layers and collected parts of the first forward."""

    classes: int
    layers: list[int]
    """Index of the call where each live layer runs first."""
    weights: list[Tensor]
    norms: list[bool]
    nodes: set[Node]
    parts: dict[str, object] = field(default_factory=dict)


class _Runner:
    def __init__(self, module: nn.Module, batches: Batches, plan: Plan, seed: int) -> None:
        self.module, self.batches, self.plan, self.seed = module, batches, plan, seed
        self.device = batches.images[0].device
        self.params = {n: _leaf(p.detach().to(self.device)) for n, p in module.named_parameters()}

    def run(self, state: State, x: Tensor, watch: Watch, *, train: bool = True) -> Tensor:
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

    def buffers(self, dtype: torch.dtype | None = None) -> State:
        """Copies of the buffers, so that a forward never changes those of the module."""
        copies = {}
        for name, buffer in self.module.named_buffers():
            to = dtype if dtype is not None and buffer.is_floating_point() else buffer.dtype
            copies[name] = buffer.detach().to(self.device, to, copy=True)
        return copies

    def first(self) -> _Trace:
        """The main forward, which finds the live layers, and the backwards through it."""
        plan = self.plan
        size = None if plan.main else 2
        x = self.batches.images[0][:size].detach().clone().requires_grad_()
        recorder = _Fisher() if Needs.FISHER in plan.needs else None
        counter = CodeCounter(len(x)) if Needs.CODES in plan.needs else None
        watch = Watch(
            on_layer=recorder.layer if recorder else None,
            on_write=recorder.write if recorder else None,
            on_relu=counter.add if counter else None,
        )
        y = self.run(self.params | self.buffers(), x, watch)
        nodes = reachable(y)
        if not any(getattr(node, "variable", None) is x for node in nodes):
            raise DeadNetworkError("The output does not depend on the images.")
        trace = _make_trace(y, watch, nodes)
        if plan.weights and (most := int(self.batches.labels[0].max())) >= trace.classes:
            raise NetworkError(
                f"The module gives {trace.classes} outputs, but there is a label {most}: build it "
                f"for at least {most + 1} classes."
            )
        if Needs.WEIGHTS in plan.needs:
            trace.parts["weights"] = tuple(w.detach() for w in trace.weights)
        if counter is not None:
            live = [call.node in nodes for call in watch.relus]
            trace.parts["codes"] = counter.total(live) if any(live) else no_relu()
        if plan.images:
            (jacobian,) = torch.autograd.grad(y, x, torch.ones_like(y), retain_graph=plan.weights)
            trace.parts["jacobian"] = jacobian.flatten(1)
        if plan.weights:
            self._backward(trace, y, watch, recorder)
        return trace

    def _backward(self, trace: _Trace, y: Tensor, watch: Watch, recorder: "_Fisher | None") -> None:
        plan = self.plan
        if recorder is not None:
            recorder.active = True
        loss = F.cross_entropy(y, self.batches.labels[0])
        grads = torch.autograd.grad(loss, trace.weights, create_graph=plan.second)
        first = tuple(g.detach() for g in grads)
        if recorder is not None:
            recorder.active = False
            trace.parts["fisher"] = recorder.total(watch.layers, trace.weights)
        trace.parts["grads"] = first
        if plan.second:
            product = torch.stack([(g * d).sum() for g, d in zip(grads, first, strict=True)]).sum()
            if product.requires_grad:
                hessian: Sequence[Tensor | None] = torch.autograd.grad(
                    product, trace.weights, allow_unused=True
                )
            else:  # a linear loss surface, such as a network without a second layer or curvature
                hessian = (None,) * len(first)
            trace.parts["grasp"] = sum(
                float((w.detach() * h).sum(dtype=torch.float64))
                for w, h in zip(trace.weights, hessian, strict=True)
                if h is not None
            )
        if Needs.BATCH_GRADS in plan.needs:
            trace.parts["batch_grads"] = (first, *self._more(trace))

    def _more(self, trace: _Trace) -> Iterator[tuple[Tensor, ...]]:
        for x, labels in zip(self.batches.images[1:], self.batches.labels[1:], strict=True):
            watch = Watch()
            y = self.run(self.params | self.buffers(), x, watch)
            weights = [_weight(watch.layers[i]) for i in trace.layers]
            yield torch.autograd.grad(F.cross_entropy(y, labels), weights)

    def synflow(self, trace: _Trace) -> tuple[SynflowLayer, ...]:
        """All weights made positive, batch normalisation removed, one image of ones."""
        params = {
            n: _leaf(p.detach().double().abs()) if p.is_floating_point() else p
            for n, p in self.params.items()
        }
        x = torch.ones(1, *self.batches.input_shape, dtype=torch.float64, device=self.device)
        watch = Watch(linearise=True)
        y = self.run(params | self.buffers(torch.float64), x, watch, train=False)
        weights = [_weight(watch.layers[i]) for i in trace.layers]
        grads = torch.autograd.grad(y.sum(), weights, allow_unused=True)
        return tuple(
            SynflowLayer(w.detach(), torch.zeros_like(w) if g is None else g)
            for w, g in zip(weights, grads, strict=True)
        )

    @torch.no_grad()
    def zen(self, trace: _Trace) -> ZenStats:
        """Features of an input and its perturbation under N(0, 1) weights."""
        seed = stream_seed(self.seed, "zen")
        drawn = gaussian_weights(self.module, seed)
        params = {n: drawn[n].to(self.device) if n in drawn else p for n, p in self.params.items()}
        shape = tuple(self.batches.images[0].shape)
        features, variances = [], []
        for x in zen_inputs(shape, seed):
            watch = Watch(measure=True)
            y = self.run(params | self.buffers(), x.to(self.device), watch)
            features.append(y if watch.features is None else watch.features)
            variances.append(watch.variances)
        difference = float((features[0] - features[1]).abs().flatten(1).sum(1).mean())
        live = trace.norms if len(trace.norms) == len(variances[0]) else [True] * len(variances[0])
        return ZenStats(difference, running_variance(variances[0], variances[1], live))

    def costs(self, trace: _Trace) -> Costs:
        """Parameters by the autograd graph, multiply-adds by the meta device."""
        from foretell.cost import count

        own = {n: p for n, p in self.module.named_parameters() if p.requires_grad}
        live = {id(v) for node in trace.nodes if (v := getattr(node, "variable", None)) is not None}
        shape = self.batches.input_shape
        return Costs(
            params=sum(p.numel() for p in own.values()),
            live_params=sum(
                own[n].numel() for n, p in self.params.items() if n in own and id(p) in live
            ),
            flops=int(count(self.module, (shape[0], shape[1], shape[2])).flops),
            sum_log_params=sum(math.log(w.numel()) for w in trace.weights),
        )


class _Fisher:
    """Activations of the layers and, while active, their products with the gradients."""

    def __init__(self) -> None:
        self.active = False
        self.outputs: list[Tensor] = []
        self.values: list[Tensor] = []
        self.channels: dict[int, Tensor] = {}

    def layer(self, index: int, out: Tensor) -> None:
        self.outputs.append(out)
        self.values.append(out.detach())
        if out.requires_grad:
            out.register_hook(lambda grad: self.grad(index, grad.detach()))  # type: ignore[no-untyped-call]

    def write(self, x: Tensor) -> None:
        """An operation is about to write into a tensor: keep what was there."""
        for i, out in enumerate(self.outputs):
            if out is x:
                self.values[i] = x.detach().clone()

    def grad(self, index: int, grad: Tensor) -> None:
        if self.active:
            product = self.values[index] * grad
            self.channels[index] = self.channels.get(index, 0) + product

    def total(self, calls: Sequence[Call], weights: Sequence[Tensor]) -> tuple[Tensor, ...]:
        totals: dict[int, Tensor] = {}
        for index, product in self.channels.items():
            weight = _weight(calls[index])
            channel = product.ndim - 1 if weight.ndim == 2 else 1
            dims = [d for d in range(1, product.ndim) if d != channel]
            value = (product.sum(dims) if dims else product).square().mean(0) / 2
            totals[id(weight)] = totals[id(weight)] + value if id(weight) in totals else value
        return tuple(totals[id(w)] for w in weights)


def _make_trace(y: Tensor, watch: Watch, nodes: set[Node]) -> _Trace:
    layers, weights, seen = [], [], set()
    for i, call in enumerate(watch.layers):
        weight = call.weight
        if (
            weight is not None
            and weight.requires_grad
            and call.node in nodes
            and id(weight) not in seen
        ):
            seen.add(id(weight))
            layers.append(i)
            weights.append(weight)
    if not weights:
        raise NoParametersError(
            "Proxies need weights, but no convolution or linear layer leads to the output."
        )
    return _Trace(y.shape[1], layers, weights, [c.node in nodes for c in watch.norms], nodes)


def _weight(call: Call) -> Tensor:
    assert call.weight is not None
    return call.weight


def _leaf(p: Tensor) -> Tensor:
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
