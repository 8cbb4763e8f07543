"""Accuracy under attack."""

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from foretell.data import Task, stratified_sample
from foretell.errors import AttackWarning, ForetellError, ModuleRaisedError, UsageError
from foretell.rng import stream, stream_seed
from foretell.robustness._checks import (
    AttackIssue,
    Outcome,
    check_logits,
    finite_logits,
    gradient_issues,
    noise,
    outcome_issues,
    outcome_of,
    same_logits,
)
from foretell.robustness.catalogue import attacks as registry
from foretell.robustness.linf import Attack, Normalised, fgsm

__all__ = ["RobustnessResult", "evaluate"]

BATCH = 256


@dataclass(frozen=True)
class RobustnessResult:
    """Accuracy without and with attacks, all on the same images.

    Args:
        clean: in [0, 1].
        accuracy: attack -> eps in 1/255 -> accuracy in [0, 1], at most ``clean``.
        images: how many there were.
        seconds: that it took.
        issues: why accuracies may be far too high; empty if nothing was noticed.
    """

    clean: float
    accuracy: Mapping[str, Mapping[float, float]]
    images: int
    seconds: float
    issues: tuple[AttackIssue, ...] = ()

    def worst(self) -> tuple[AttackIssue, ...]:
        """The issue of the largest share of each kind."""
        kinds = dict.fromkeys(i.kind for i in self.issues)
        return tuple(max((i for i in self.issues if i.kind == k), key=_share) for k in kinds)


def _share(issue: AttackIssue) -> float:
    return issue.share


def evaluate(
    module: nn.Module,
    task: Task,
    *,
    attacks: Sequence[str] = ("fgsm", "pgd"),
    eps: Sequence[float] = (1, 2, 4, 8),
    images: int = 500,
    seed: int = 0,
    device: str | None = None,
    split: str = "test",
    on_done: Callable[[str, float], None] | None = None,
    warn: bool = True,
) -> RobustnessResult:
    """Robust accuracy of a network under attacks.

    Only correctly classified images are attacked; the others count as wrong at every eps, as in
    AutoAttack. The mode, weights and gradients of the module are restored. Whether attacks can see
    the network is checked: zero or NaN gradients, a loss that does not rise, random forwards, and
    attacks that are weaker than random noise or FGSM are ``issues`` of the result.

    Args:
        module: takes normalised images.
        task: gives images, mean and std.
        attacks: names from the registry of attacks.
        eps: L-infinity radius in 1/255 of the image range.
        images: number of images, class-balanced; all if there are fewer.
        seed: of the sample of images and of random starts.
        device: by default that of the module; on another one, a copy is evaluated.
        split: "val" or "test"; model selection needs "val".
        on_done: called with attack and eps after each.
        warn: whether each issue is an ``AttackWarning`` too.

    Raises:
        UnknownNameError: no such attack.
        UsageError: an eps, the number of images or the split is invalid.
        NonFiniteLogitsError: the network's outputs name no class.
        NetworkError: its outputs are no logits.
        ModuleRaisedError: it raised; the cause is chained.
    """
    start = time.perf_counter()
    if split not in ("val", "test"):
        raise UsageError(f"Expected split 'val' or 'test', but got {split!r}.")
    if images < 1:
        raise UsageError(f"Expected images >= 1, but got {images}.")
    if not all(0 <= e <= 255 for e in eps):
        raise UsageError(f"Expected eps from 0 to 255 (in 1/255), but got {list(eps)}.")
    chosen = {name: registry[name] for name in attacks}
    with torch.inference_mode(False), torch.random.fork_rng(_cuda(device, module)):
        torch.manual_seed(stream_seed(seed, "attack"))
        try:
            result = _evaluate(module, task, chosen, eps, images, seed, device, split, on_done)
        except ForetellError:
            raise
        except Exception as error:
            words = (str(error).strip().splitlines() or [""])[0][:200]
            raise ModuleRaisedError(
                f"The network raised {type(error).__name__} while it was attacked: {words}. Mend "
                f"its forward, or what its backward needs."
            ) from error
    if warn:
        for issue in result.issues:
            warnings.warn(issue.sentence, AttackWarning, stacklevel=2)
    return replace(result, seconds=time.perf_counter() - start)


def _cuda(device: str | None, module: nn.Module) -> list[int]:
    """CUDA devices whose random numbers a network may draw."""
    devices = {p.device for p in module.parameters()} | (
        {torch.device(device)} if device else set()
    )
    return [d.index or 0 for d in devices if d.type == "cuda"]


def _evaluate(
    module: nn.Module,
    task: Task,
    chosen: Mapping[str, Attack],
    eps: Sequence[float],
    images: int,
    seed: int,
    device: str | None,
    split: str,
    on_done: Callable[[str, float], None] | None,
) -> RobustnessResult:
    own_device = next((p.device for p in module.parameters()), torch.device("cpu"))
    target = own_device if device is None else torch.device(device)
    network = module if target == own_device else copy.deepcopy(module).to(target)
    if any(t.is_inference() for t in (*network.parameters(), *network.buffers())):
        network = _usable(network)
    x, y = _images(task, split, images, seed)
    x, y = x.to(target), y.to(target)
    modes = [(m, m.training) for m in network.modules()]
    model = Normalised(network, task.mean.tolist(), task.std.tolist()).to(target).eval()
    try:
        logits = finite_logits(_logits(model, x, task.classes))
        issues = list(same_logits(logits, _logits(model, x, task.classes)))
        right = logits.argmax(1) == y
        x, y, logits, n = x[right], y[right], logits[right], len(x)
        if chosen and any(eps) and len(x):
            issues += gradient_issues(model, x, y, BATCH)
        accuracy: dict[str, dict[float, float]] = {name: {} for name in chosen}
        weak: dict[float, list[Outcome]] = {}
        for name, attack in chosen.items():
            for e in eps:
                outcome = _attacked(model, name, attack, e, x, y, logits, seed)
                accuracy[name][e] = int(outcome.right.sum()) / n
                if e and len(x):
                    if e not in weak:
                        step = outcome if name == "fgsm" else None
                        step = step or _attacked(model, "fgsm", fgsm, e, x, y, logits, seed)
                        weak[e] = [_noise(model, e, x, y, logits, seed), step]
                    issues += outcome_issues(outcome, weak[e])
                if on_done is not None:
                    on_done(name, e)
    finally:
        for m, training in modes:
            m.training = training
    return RobustnessResult(len(x) / n, accuracy, n, 0.0, tuple(issues))


def _images(task: Task, split: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    part = task.test if split == "test" else task.val
    if count < len(part):
        index, _ = stratified_sample(part.labels, count, stream(seed, "attacked images"))
        part = part.take(index)
    images = part.images
    scaled = images.astype(np.float32) / 255 if images.dtype == np.uint8 else images
    return torch.from_numpy(scaled), torch.from_numpy(part.labels)


@torch.no_grad()
def _logits(model: nn.Module, x: Tensor, classes: int) -> Tensor:
    """Checked logits of all images, (n, classes), of at least single precision."""
    parts = []
    for s in range(0, len(x), BATCH):
        part = check_logits(model(x[s : s + BATCH]), len(x[s : s + BATCH]), classes)
        parts.append(part.double() if part.dtype == torch.float64 else part.float())
    return torch.cat(parts) if parts else x.new_zeros(0, classes)


def _attacked(
    model: nn.Module,
    name: str,
    attack: Attack,
    eps: float,
    x: Tensor,
    y: Tensor,
    logits: Tensor,
    seed: int,
) -> Outcome:
    """What an attack of one size does to all images."""
    generator = torch.Generator().manual_seed(stream_seed(seed, "attack", name, eps))
    parts = [logits[:0]]
    for s in range(0, len(x), BATCH):
        batch = x[s : s + BATCH], y[s : s + BATCH]
        parts.append(_logits(model, attack(model, *batch, eps, generator), logits.shape[1]))
    return outcome_of(name, eps, logits, torch.cat(parts), y)


def _noise(
    model: nn.Module, eps: float, x: Tensor, y: Tensor, logits: Tensor, seed: int
) -> Outcome:
    """What random noise of one size does to all images."""
    changed = noise(x, eps, stream_seed(seed, "noise", eps))
    return outcome_of("noise", eps, logits, _logits(model, changed, logits.shape[1]), y)


def _usable(network: nn.Module) -> nn.Module:
    """A copy whose weights may be differentiated through, of one made under inference mode."""
    made = copy.deepcopy(network)
    for module in made.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(value.detach().clone())
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.clone()
    return made
