"""What makes accuracy under attack say less than it seems: gradients that an attack cannot see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foretell.errors import NetworkError, NonFiniteLogitsError
from foretell.robustness.linf import hardness, logits_and_gradient

__all__ = [
    "AttackIssue",
    "Outcome",
    "check_logits",
    "finite_logits",
    "gradient_issues",
    "noise",
    "outcome_issues",
    "outcome_of",
    "same_logits",
]

ZERO_SHARE = 0.01
"""Share of images without a gradient from which it is said."""
FLAT_SHARE = 0.2
"""Share of images whose loss an attack does not raise from which it is said."""
SLACK = 0.01
"""Share of images by which an attack may be weaker than another before it is said."""


@dataclass(frozen=True)
class AttackIssue:
    """A reason why accuracy under attack may be far above the truth.

    Args:
        kind: "zero_gradient", "nan_gradient", "stochastic", "nan_logits", "loss_flat",
            "weaker_than_noise" or "weaker_than_fgsm".
        share: of the attacked images, in [0, 1].
        sentence: what was seen, and what it means.
        attack: its name; empty if every attack is concerned.
        eps: in 1/255; 0 if every size is concerned.
    """

    kind: str
    share: float
    sentence: str
    attack: str = ""
    eps: float = 0.0


def check_logits(logits: object, images: int, classes: int) -> Tensor:
    """The outputs of a network, (images, classes or more).

    Raises:
        NetworkError: they are something else.
    """
    if isinstance(logits, Tensor) and logits.is_floating_point() and logits.ndim == 2:
        rows, columns = logits.shape
        if (rows, columns >= classes) == (images, True):
            return logits
    came = (
        f"{str(logits.dtype).removeprefix('torch.')} of shape {tuple(logits.shape)}"
        if isinstance(logits, Tensor)
        else f"a {type(logits).__name__}"
    )
    raise NetworkError(
        f"Expected a module that maps {images} images to logits of shape ({images}, {classes}), "
        f"but got {came}: wrap it so that forward returns the logits alone."
    )


def finite_logits(logits: Tensor) -> Tensor:
    """The same logits.

    Raises:
        NonFiniteLogitsError: some are not a number, or positive infinity.
    """
    bad = (logits.isnan() | logits.isposinf()).any(1)
    if bad.any():
        raise NonFiniteLogitsError(
            f"The network's outputs are NaN or infinite for {int(bad.sum())} of {len(bad)} images, "
            f"so that they name no class: look at its weights and at divisions, roots and "
            f"logarithms in its forward."
        )
    return logits


def same_logits(first: Tensor, second: Tensor) -> tuple[AttackIssue, ...]:
    """Whether two forwards of the same images agree up to rounding."""
    scale = float(first.abs().amax()) if first.numel() else 0.0
    differ = ((first - second).abs() > 1e-4 * scale + 1e-3 * first.abs()).any(1)
    if not differ.any():
        return ()
    share = float(differ.double().mean())
    flips = float((first.argmax(1) != second.argmax(1)).double().mean())
    return (
        AttackIssue(
            "stochastic",
            share,
            f"The network is random in evaluation mode: two forwards differ for {share:.1%} of the "
            f"images and name another class for {flips:.1%}. Accuracies are of one draw each, and "
            f"gradients are of other draws than predictions: average several forwards inside the "
            f"network.",
        ),
    )


def gradient_issues(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, batch: int
) -> tuple[AttackIssue, ...]:
    """Whether the gradient of the loss reaches the pixels of each image."""
    zero = nan = 0
    for s in range(0, len(x), batch):
        _, gradient = logits_and_gradient(model, x[s : s + batch], y[s : s + batch])
        flat = gradient.flatten(1)
        finite = flat.isfinite().all(1)
        nan += int((~finite).sum())
        zero += int((finite & (flat == 0).all(1)).sum())
    n, issues = max(len(x), 1), []
    if zero / n >= ZERO_SHARE:
        issues.append(
            AttackIssue(
                "zero_gradient",
                zero / n,
                f"The gradient of the loss is exactly zero for {zero} of {n} attacked images: "
                f"attacks by gradients do not see them, and their accuracy under attack is too "
                f"high. Look for rounding or other steps without a derivative, detached tensors, "
                f"and logits so large that the softmax saturates.",
            )
        )
    if nan:
        issues.append(
            AttackIssue(
                "nan_gradient",
                nan / n,
                f"The gradient of the loss is NaN or infinite for {nan} of {n} attacked images: "
                f"pixels without a gradient are not changed, and accuracy under attack is too "
                f"high. Look for roots, logarithms and divisions at 0 in the network's forward.",
            )
        )
    return tuple(issues)


@dataclass(frozen=True)
class Outcome:
    """What an attack of one size did.

    Args:
        attack: its name.
        eps: in 1/255.
        right: whether each attacked image is still classified as its label, (n,) bool.
        harder: whether the loss rose, (n,) bool.
        broken: whether the logits are NaN, (n,) bool.
    """

    attack: str
    eps: float
    right: Tensor
    harder: Tensor
    broken: Tensor


def outcome_of(attack: str, eps: float, before: Tensor, after: Tensor, labels: Tensor) -> Outcome:
    """What an attack did, from logits before and after; NaN logits name no class.

    Args:
        attack: its name.
        eps: in 1/255.
        before: logits of the images, (n, classes).
        after: logits of the changed images.
        labels: (n,).
    """
    broken = (after.isnan() | after.isposinf()).any(1)
    right = (after.argmax(1) == labels) & ~broken
    harder = (hardness(after, labels) > hardness(before, labels)) | broken
    return Outcome(attack, eps, right, harder, broken)


def outcome_issues(outcome: Outcome, others: Sequence[Outcome]) -> tuple[AttackIssue, ...]:
    """Whether an attack did what an attack does.

    Args:
        outcome: of the attack.
        others: outcomes of weaker attacks on the same images.
    """
    n, name, eps = max(len(outcome.right), 1), outcome.attack, outcome.eps
    issues: list[AttackIssue] = []

    def add(kind: str, count: int, sentence: str) -> None:
        issues.append(AttackIssue(kind, count / n, f"{name} at {eps:g}/255 {sentence}", name, eps))

    if broken := int(outcome.broken.sum()):
        add(
            "nan_logits",
            broken,
            f"made the network's outputs NaN or infinite for {broken} of {n} images, which count "
            f"as wrong.",
        )
    flat = int((~outcome.harder).sum())
    if flat / n >= FLAT_SHARE:
        add(
            "loss_flat",
            flat,
            f"does not raise the loss of {flat} of {n} images: it cannot see where the network is "
            f"weak, and the accuracy is too high.",
        )
    slack, here = max(1, math.floor(SLACK * n)), int(outcome.right.sum())
    for other in others:
        there = int(other.right.sum())
        if other.attack != name and here > there + slack:
            kind = "noise" if other.attack == "noise" else "fgsm"
            words = "random noise of the same size" if kind == "noise" else other.attack
            add(
                f"weaker_than_{kind}",
                here - there,
                f"leaves {here} of {n} images right, but {words} only {there}: it is no attack "
                f"here, and the accuracy is too high.",
            )
    return tuple(issues)


def noise(x: Tensor, eps: float, seed: int) -> Tensor:
    """Every pixel changed by plus or minus eps / 255 at random, within [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
    return (x + eps / 255 * signs).clamp(0, 1)
