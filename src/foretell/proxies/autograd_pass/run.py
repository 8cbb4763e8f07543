"""The shared pass for any module: every forward and backward runs once for all proxies."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from foretell.errors import ForetellError, ModuleRaisedError, NoParametersError, ProxyError
from foretell.proxies._base import Collected, Costs
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.restore import streams_kept
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.cell_pass.lower import lower
from foretell.proxies.cell_pass.run import BY_HAND, collect_program, fits
from foretell.proxies.needs import Collector, Needs, Step, collectors
from foretell.proxies.shared.batches import Batches
from foretell.proxies.shared.plan import Plan

__all__ = ["collect"]


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
        fast: run a network of cells by hand, unless a need from outside is collected; the values
            are the same up to rounding.

    Returns:
        What was collected. A need that failed is an error of its own there, and costs no other.

    Raises:
        NoParametersError: the module has no parameters, or all that was to be collected needs
            layers with weights and there are none.
        ModuleRaisedError: the module raised; the cause is chained.
        NetworkError: its output is not (n, classes), or all that was to be collected needs more
            classes than it has.
        DeadNetworkError: the output does not depend on the images.
    """
    if not any(True for _ in module.parameters()):
        raise NoParametersError(
            f"Proxies need weights, but the module {type(module).__name__} has no parameters: "
            f"assign its layers to attributes, or use nn.ModuleList instead of a list."
        )
    parts: dict[str, object] = {} if costs is None else {"costs": costs}
    left = Needs(plan.needs.names - parts.keys())
    program = lower(module) if fast and left in BY_HAND else None
    if program is not None and fits(module, batches, plan):
        return collect_program(program, module, batches, plan, seed=seed, costs=costs)
    if not plan.main and not plan.probe:
        return Collected(parts, 0, batches.labels[0])
    with torch.inference_mode(False), torch.enable_grad(), streams_kept():
        return _collect_any(module, batches, plan, left, parts, seed)


def _collect_any(
    module: nn.Module,
    batches: Batches,
    plan: Plan,
    needs: Needs,
    parts: dict[str, object],
    seed: int,
) -> Collected:
    """The pass over any module; see ``collect``."""
    run = Pass(module, batches, seed)
    members = _first(run, plan, needs)
    errors = [_collect(member, run, parts) for member in members]
    if errors and errors[0] is not None and len({repr(e) for e in errors}) == 1:
        raise errors[0]
    return Collected(parts, run.classes, batches.labels[0], run.unseen)


def _collect(member: "_Member", run: Pass, parts: dict[str, object]) -> ForetellError | None:
    """Collect one need; a failure is its own."""
    try:
        if member.error is not None:
            raise member.error
        parts[member.name] = member.collector.collect(run)
    except ProxyError as error:
        parts[member.name] = error
    except ForetellError as error:
        parts[member.name] = ProxyError(str(error))
        return error
    except Exception as error:
        parts[member.name] = ProxyError(f"{member.name}: {type(error).__name__}: {error}")
    return None


class _Member:
    """A collector in the pass; a hook of it that raises costs its own need alone."""

    def __init__(self, name: str, collector: Collector) -> None:
        self.name, self.collector = name, collector
        self.error: Exception | None = None

    def has(self, hook: str) -> bool:
        """Whether it overrides a hook."""
        return getattr(type(self.collector), hook) is not getattr(Collector, hook)

    def call(self, hook: str, *args: object) -> None:
        """Call a hook, unless one has failed."""
        if self.error is None:
            try:
                getattr(self.collector, hook)(*args)
            except Exception as error:
                self.error = error


def _first(run: Pass, plan: Plan, needs: Needs) -> list[_Member]:
    """The first forward and the backwards through it; collectors in the order in which they go on.

    Those with forwards of their own come last, when the graph of the first is gone.
    """
    images = run.batches.images[0]
    entries = [e for e in collectors.entries() if e.name in needs.names]
    entries.sort(key=lambda e: (e.facts["forwards"], e.facts["more"], e.facts["step"]))

    def made(n: int) -> list[_Member]:
        return [_Member(e.name, e.load()(n)) for e in entries]

    few = images if plan.main else images[:2]
    members = made(len(few))
    whole = len(few) == len(images)
    try:
        holds = run.first(few, _watch(members, len(few)))
        again = not holds or (run.drew and not whole)  # how many draws may decide which layers run
    except ModuleRaisedError:
        if whole:
            raise
        again = True  # it may take batches of one size alone
    if again:
        members = made(len(images))
        run.first(images, _watch(members, len(images)))
    if plan.images:
        run.to_images(keep=plan.weights)
    if plan.weights:
        for member in members:
            member.call("backward", True)
        run.to_weights(seconds=sum(e.facts["step"] == Step.SECOND for e in entries))
        for member in members:
            member.call("backward", False)
    return members


def _watch(members: list[_Member], images: int) -> Watch:
    """Calls the hooks that collectors have; none where there are none."""
    by_image = any(member.has(hook) for member in members for hook in ("layer", "relu"))
    return Watch(
        on_layer=_each_where(members, "layer"),
        on_relu=_each_where(members, "relu"),
        on_write=_each(members, "write"),
        images=images if by_image else 0,
    )


def _each(members: list[_Member], hook: str) -> Callable[[Tensor], None] | None:
    listening = [m for m in members if m.has(hook)]

    def call(x: Tensor) -> None:
        for member in listening:
            member.call(hook, x)

    return call if listening else None


def _each_where(members: list[_Member], hook: str) -> Callable[[int, Tensor, bool], None] | None:
    """The same for hooks that ask where the images are."""
    listening = [m for m in members if m.has(hook)]

    def call(index: int, x: Tensor, by_row: bool) -> None:
        for member in listening:
            member.collector.by_row = by_row
            member.call(hook, index, x)

    return call if listening else None
