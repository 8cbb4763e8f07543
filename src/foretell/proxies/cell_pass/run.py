"""The shared pass over a lowered network: channels last, no autograd."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from foretell.errors import TooFewBatchesError
from foretell.proxies._base import Collected, Costs, SynflowLayer, ZenStats
from foretell.proxies.cell_pass._fuse import can_merge, flat
from foretell.proxies.cell_pass._ops import Norm, Run, Sweep, Weights
from foretell.proxies.cell_pass.lower import Program
from foretell.proxies.needs import Needs
from foretell.proxies.shared.batches import Batches, check_distinct
from foretell.proxies.shared.plan import Plan
from foretell.proxies.shared.zen_inputs import gaussian_weights, running_variance, zen_inputs
from foretell.rng import stream_seed

__all__ = ["BY_HAND", "collect_program", "fits"]

BY_HAND = (
    Needs.WEIGHTS | Needs.GRADS | Needs.FISHER | Needs.BATCH_GRADS | Needs.JACOBIAN
    | Needs.CODES | Needs.GRASP | Needs.SYNFLOW | Needs.ZEN
)  # fmt: skip
"""What this pass collects; the pass over any module takes a network that needs more."""

Parameters = Mapping[str, Tensor]


def fits(module: nn.Module, batches: Batches, plan: Plan) -> bool:
    """Whether a lowered network can take these images and labels.

    Args:
        module: the network.
        batches: images and labels.
        plan: what to run.
    """
    weights = [p for p in module.parameters() if p.ndim > 1]
    images = batches.images
    one_type = {p.dtype for p in module.parameters()} == {x.dtype for x in images}
    shaped = all(x.ndim == 4 and x.shape[1] == weights[0].shape[1] for x in images)
    labels = max(int(y.max()) for y in batches.labels)
    return one_type and shaped and (not plan.weights or labels < weights[-1].shape[0])


@torch.no_grad()
def collect_program(
    program: Program,
    module: nn.Module,
    batches: Batches,
    plan: Plan,
    *,
    seed: int,
    costs: Costs | None = None,
) -> Collected:
    """The same parts as the pass over any module collects; see ``collect`` for the arguments."""
    params = {n: p.detach() for n, p in module.named_parameters()}
    classes = int(params[program.layers[-1]].shape[0])
    needs, parts = plan.needs, dict[str, object]()
    weights = _weights(program, params, torch.channels_last)
    if Needs.WEIGHTS in needs:
        parts["weights"] = tuple(weights.layers)
    if Needs.COSTS in needs and costs is not None:
        parts["costs"] = costs
    if plan.main:
        _main(program, weights, batches, plan, parts)
    if Needs.SYNFLOW in needs:
        parts["synflow"] = _synflow(program, params, batches)
    if Needs.ZEN in needs:
        parts["zen"] = _zen(program, module, batches, seed)
    return Collected(parts, classes, batches.labels[0], 0.0)


def _weights(program: Program, params: Parameters, fmt: torch.memory_format) -> Weights:
    layers = [params[name] for name in program.layers]
    return Weights(
        [w.contiguous(memory_format=fmt) if w.ndim == 4 else w for w in layers],
        None if program.bias is None else params[program.bias],
        [(params.get(f"{n}.weight"), params.get(f"{n}.bias")) for n in program.norm_names],
    )


def _forward(program: Program, run: Run, x: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, classes)."""
    run.values[0] = x
    for i, op in enumerate(program.ops):
        op.forward(run)
        if not run.keep:
            for value in op.reads:
                if program.last_use[value] == i and value != program.features:
                    run.values.pop(value, None)
    return run.values[program.logits]


def _backward(program: Program, run: Run, sweep: Sweep, adjoint: Tensor) -> Sweep:
    """From the adjoint of the logits."""
    sweep.send(program.logits, adjoint)
    for op in reversed(program.ops):
        op.backward(run, sweep)
    return sweep


def _loss_adjoint(logits: Tensor, labels: Tensor) -> Tensor:
    """dloss/dlogits of the mean cross-entropy."""
    p = torch.softmax(logits, 1)
    p[torch.arange(len(p)), labels] -= 1
    return p / len(p)


def _main(
    program: Program, weights: Weights, batches: Batches, plan: Plan, parts: dict[str, object]
) -> None:
    needs = plan.needs
    images = batches.images[0]
    x = images.contiguous(memory_format=torch.channels_last)
    run = Run(weights, keep=plan.weights or plan.images, merge=can_merge(x))
    if Needs.CODES in needs:
        run.codes = torch.zeros(len(x), len(x))
    logits = _forward(program, run, x)
    if run.codes is not None:
        parts["codes"] = run.codes.double()
    if plan.images:
        sweep = Sweep(want_weights=False, want_image=True, last=not plan.weights)
        jacobian = _backward(program, run, sweep, torch.ones_like(logits)).adjoint(0)
        assert jacobian is not None
        parts["jacobian"] = jacobian.contiguous().flatten(1)
    if plan.weights:
        sweep = Sweep(last=not plan.second, store=plan.second)
        sweep.fisher = {} if Needs.FISHER in needs else None
        _backward(program, run, sweep, _loss_adjoint(logits, batches.labels[0]))
        order = range(len(program.layers))
        parts["grads"] = grads = tuple(sweep.grads[i] for i in order)
        if sweep.fisher is not None:
            products = sweep.fisher
            parts["fisher"] = tuple(products[i].square().mean(0) / 2 for i in order)
        if plan.second:
            parts["grasp"] = _second(program, run, sweep)
        if Needs.BATCH_GRADS in needs:
            del run, sweep
            try:
                check_distinct(batches)
            except TooFewBatchesError as error:
                parts["batch_grads"] = error
                return
            more = [
                _gradients(program, weights, x, labels)
                for x, labels in zip(batches.images[1:], batches.labels[1:], strict=True)
            ]
            parts["batch_grads"] = (grads, *more)


def _gradients(
    program: Program, weights: Weights, images: Tensor, labels: Tensor
) -> tuple[Tensor, ...]:
    run = Run(weights, merge=can_merge(images))
    logits = _forward(program, run, images.contiguous(memory_format=torch.channels_last))
    sweep = _backward(program, run, Sweep(), _loss_adjoint(logits, labels))
    return tuple(sweep.grads[i] for i in range(len(program.layers)))


def _second(program: Program, run: Run, sweep: Sweep) -> float:
    """w'Hg: the loss's second derivative along the gradient and along the weights."""
    for i, op in enumerate(program.ops):
        op.tangent(run, sweep)
        for value in op.reads:
            if program.last_use[value] == i:
                run.r.pop(value, None)
                run.u.pop(value, None)
    p = torch.softmax(run.values[program.logits], 1).double()
    r, u = run.r[program.logits].double(), run.u[program.logits].double()
    curvature = (p * r * u).sum(1) - (p * r).sum(1) * (p * u).sum(1)
    return run.second + float(curvature.mean())


def _synflow(program: Program, params: Parameters, batches: Batches) -> tuple[SynflowLayer, ...]:
    positive = {n: p.double().abs() for n, p in params.items()}
    run = Run(_weights(program, positive, torch.contiguous_format), linear=True)
    x = torch.ones(1, *batches.input_shape, dtype=torch.float64)
    logits = _forward(program, run, x)
    sweep = _backward(program, run, Sweep(), torch.ones_like(logits))
    return tuple(
        SynflowLayer(run.weights.layers[i], sweep.grads[i]) for i in range(len(program.layers))
    )


def _zen(program: Program, module: nn.Module, batches: Batches, seed: int) -> ZenStats:
    seed = stream_seed(seed, "zen")
    dtype = batches.images[0].dtype
    drawn = {name: w.to(dtype) for name, w in gaussian_weights(module, seed).items()}
    weights = _weights(program, drawn, torch.channels_last)
    features, variances = [], []
    for x in zen_inputs(tuple(batches.images[0].shape), seed):
        x = x.to(dtype)
        run = Run(weights, keep=False, merge=can_merge(x))
        _forward(program, run, x.contiguous(memory_format=torch.channels_last))
        features.append(run.values[program.features])
        variances.append(_variances(program, run))
    difference = float((features[0] - features[1]).abs().flatten(1).sum(1).mean())
    live = [True] * len(program.norms)
    return ZenStats(difference, running_variance(variances[0], variances[1], live))


def _variances(program: Program, run: Run) -> list[tuple[float, float]]:
    """Mean unbiased variance over channels and momentum of each batch normalisation."""
    variances: dict[int, float] = {}
    for op in flat(program.ops):
        if isinstance(op, Norm):
            _, inv = run.stats[op.out]
            m = run.sizes[op.out]
            variance = (inv.double().pow(-2) - op.eps) * (m / (m - 1))
            variances[op.norm] = float(variance.mean())
    return [
        (variances[i], 0.1 if norm.momentum is None else norm.momentum)
        for i, norm in enumerate(program.norms)
    ]
