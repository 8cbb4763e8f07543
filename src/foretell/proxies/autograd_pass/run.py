"""The shared pass for any module: every forward and backward runs once for all proxies."""

from torch import Tensor, nn

from foretell.errors import ForetellError, NetworkError, NoParametersError, ProxyError
from foretell.proxies._base import Collected, Costs
from foretell.proxies.autograd_pass.network import Pass
from foretell.proxies.autograd_pass.watch import Watch
from foretell.proxies.cell_pass.lower import lower
from foretell.proxies.cell_pass.run import BY_HAND, collect_program
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
    parts: dict[str, object] = {} if costs is None else {"costs": costs}
    left = Needs(plan.needs.names - parts.keys())
    program = lower(module) if fast and left in BY_HAND else None
    if program is not None:
        return collect_program(program, module, batches, plan, seed=seed, costs=costs)
    if not plan.main and not plan.probe:
        return Collected(parts, 0, batches.labels[0])
    run = Pass(module, batches, seed)
    made = _first(run, plan, left)
    for name, collector in made.items():
        try:
            parts[name] = collector.collect(run)
        except ProxyError as error:
            parts[name] = error
        except ForetellError as error:
            if not collectors.entry(name).facts["forwards"]:
                raise
            parts[name] = ProxyError(f"{name}: {error}")
        except Exception as error:  # a collector from outside: its failure is its own
            parts[name] = ProxyError(f"{name}: {type(error).__name__}: {error}")
    return Collected(parts, run.classes, batches.labels[0])


def _first(run: Pass, plan: Plan, needs: Needs) -> dict[str, Collector]:
    """The first forward and the backwards through it; collectors in the order in which they go on.

    Those with forwards of their own come last, when the graph of the first is gone.
    """
    labels = run.batches.labels[0]
    images = run.batches.images[0] if plan.main else run.batches.images[0][:2]
    entries = [e for e in collectors.entries() if e.name in needs.names]
    entries.sort(key=lambda e: (e.facts["forwards"], e.facts["more"], e.facts["step"]))
    made = {e.name: e.load()(len(images)) for e in entries}
    run.first(images, _watch(tuple(made.values())))
    if plan.weights and (most := int(labels.max())) >= run.classes:
        raise NetworkError(
            f"The module gives {run.classes} outputs, but there is a label {most}: build it "
            f"for at least {most + 1} classes."
        )
    if plan.images:
        run.to_images(keep=plan.weights)
    if plan.weights:
        for collector in made.values():
            collector.backward(running=True)
        run.to_weights(seconds=sum(e.facts["step"] == Step.SECOND for e in entries))
        for collector in made.values():
            collector.backward(running=False)
    return made


def _watch(made: tuple[Collector, ...]) -> Watch:
    """Calls the hooks that collectors have; none where there are none."""
    layers = [c.layer for c in made if type(c).layer is not Collector.layer]
    relus = [c.relu for c in made if type(c).relu is not Collector.relu]
    writes = [c.write for c in made if type(c).write is not Collector.write]

    def on_layer(index: int, out: Tensor) -> None:
        for hook in layers:
            hook(index, out)

    def on_relu(index: int, x: Tensor) -> None:
        for hook in relus:
            hook(index, x)

    def on_write(x: Tensor) -> None:
        for hook in writes:
            hook(x)

    return Watch(
        on_layer=on_layer if layers else None,
        on_relu=on_relu if relus else None,
        on_write=on_write if writes else None,
    )
