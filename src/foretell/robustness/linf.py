"""White-box attacks within an Linf ball: FGSM and PGD.

Images are floats in [0, 1] and stay there; eps is in units of 1/255. The model takes such images:
``Normalised`` puts a network's normalisation inside it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foretell.errors import UsageError

__all__ = ["Attack", "Normalised", "fgsm", "pgd", "pgd_until_wrong"]

Model: TypeAlias = Callable[[Tensor], Tensor]
"""Images (n, c, h, w) in [0, 1] to logits (n, classes)."""
Attack: TypeAlias = Callable[[Model, Tensor, Tensor, float, torch.Generator], Tensor]
"""Called with model, images, labels, eps in 1/255, generator; returns adversarial images."""


class Normalised(nn.Module):
    """A network behind its normalisation, so that it takes images in [0, 1].

    The network gets the type of its own weights, such as float64; images stay what they are.

    Args:
        module: takes normalised images.
        mean: of each channel in [0, 1].
        std: of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Keep the network as it is; mean and std become buffers."""
        super().__init__()
        self.module = module
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor([float(v) for v in values]).view(-1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)
        floats = (t.dtype for t in (*module.parameters(), *module.buffers()))
        self.dtype = next((d for d in floats if d.is_floating_point), torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) in [0, 1] -> (n, classes)."""
        x = (x - self.mean) / self.std
        y: Tensor = self.module(x if x.dtype == self.dtype else x.to(self.dtype))
        return y


def loss_and_gradient(model: Model, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each image, (n,), and its gradient with respect to the pixels.

    Gradients of weights are neither computed nor stored. The gradient is zero where the output does
    not depend on the image.
    """
    logits, gradient = logits_and_gradient(model, images, labels)
    return F.cross_entropy(logits, labels, reduction="none"), gradient


def logits_and_gradient(model: Model, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, (n, classes), and the gradient of the cross-entropy with respect to the pixels."""
    x = images.detach().requires_grad_()
    with torch.enable_grad():
        logits = _single(model(x))
        loss = F.cross_entropy(logits, labels, reduction="none").sum()
        if not loss.requires_grad:
            return logits, torch.zeros_like(images)
        (gradient,) = torch.autograd.grad(loss, x, materialize_grads=True)
    return logits.detach(), gradient


def hardness(logits: Tensor, labels: Tensor) -> Tensor:
    """How wrong each prediction is, (n,): log-sum-exp of the other logits minus the label's.

    It orders images as the cross-entropy does, log(1 + exp(hardness)), but does not become 0 in
    rounding where a network is very sure.

    Args:
        logits: (n, classes).
        labels: (n,).
    """
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return torch.logsumexp(others, 1) - own[:, 0]


def _single(logits: Tensor) -> Tensor:
    """Logits of at least single precision."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _steps(gradient: Tensor) -> Tensor:
    """Signs of a gradient; 0 where it is no number, so that such a pixel is not changed."""
    return gradient.sign().nan_to_num(nan=0.0)


def fgsm(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One step of size eps along the sign of the gradient.

    x' = clip(x + eps / 255 * sign(dloss/dx), 0, 1); exact for a linear model with two classes.

    Args:
        model: takes images in [0, 1]; in evaluation mode.
        images: (n, c, h, w) in [0, 1].
        labels: (n,) the true classes.
        eps: largest change of a pixel, in 1/255.
        generator: not used.

    Returns:
        Adversarial images, (n, c, h, w) in [0, 1].

    Raises:
        UsageError: eps is negative.
    """
    _check(eps)
    _, gradient = loss_and_gradient(model, images, labels)
    return (images + eps / 255 * _steps(gradient)).clamp(0, 1).detach()


def pgd(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    generator: torch.Generator | None = None,
    *,
    steps: int = 10,
    step_size: float | None = None,
    random_start: bool = True,
    until_wrong: bool = False,
) -> Tensor:
    """Repeated small steps along the sign of the gradient, projected back into the ball.

    Differs from the paper: of all points visited, the clean image among them, the one of highest
    loss is kept for each image, not the last one, so that more steps never make it weaker.

    Args:
        model: takes images in [0, 1]; in evaluation mode.
        images: (n, c, h, w) in [0, 1].
        labels: (n,) the true classes.
        eps: largest change of a pixel, in 1/255.
        generator: of the random start; needed if there is one.
        steps: how many.
        step_size: in 1/255; by default 2.5 * eps / steps, so that the ball's edge can be reached
            from anywhere in it.
        random_start: whether to begin at a uniformly drawn point of the ball.
        until_wrong: whether the first point that is misclassified is kept and ends the attack on
            its image: accuracy needs no more, and most steps are saved.

    Returns:
        Adversarial images, (n, c, h, w) in [0, 1].

    Raises:
        UsageError: a number is out of range, or the generator is missing.

    Reference: Madry et al., ICLR 2018, section 2.1; the step size is that of their repository.
    """
    _check(eps)
    if steps < 1 or (step_size is not None and step_size <= 0):
        raise UsageError(f"Expected steps >= 1 and step_size > 0, but got {steps}, {step_size}.")
    if random_start and generator is None:
        raise UsageError("A random start needs a generator: give one, or random_start=False.")
    radius = eps / 255
    stride = (2.5 * eps / steps if step_size is None else step_size) / 255
    low, high = (images - radius).clamp(0, 1), (images + radius).clamp(0, 1)
    with torch.no_grad():
        logits = _single(model(images))
    hardest, right = hardness(logits, labels), logits.argmax(1) == labels
    best = images.clone()
    x = images
    if random_start:
        noise = torch.rand(images.shape, generator=generator).to(images)
        x = torch.minimum(torch.maximum(images + (2 * noise - 1) * radius, low), high)
    left = torch.arange(len(images), device=images.device)
    for step in range(steps + 1):
        if until_wrong and not right.all():
            left, x, low, high = left[right], x[right], low[right], high[right]
        if not len(left):
            break
        own = labels[left]
        if step < steps:
            logits, gradient = logits_and_gradient(model, x, own)
        else:
            with torch.no_grad():
                logits = _single(model(x))
        loss, right = hardness(logits, own), logits.argmax(1) == own
        better = loss > hardest[left]
        if until_wrong:
            better |= ~right
        best[left[better]], hardest[left[better]] = x[better], loss[better]
        if step < steps:
            x = torch.minimum(torch.maximum(x + stride * _steps(gradient), low), high)
    return best


def pgd_until_wrong(
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Repeated small steps along the sign of the gradient, projected back into the ball.

    ``pgd`` that leaves an image as soon as it is misclassified: what accuracy needs.
    """
    return pgd(model, images, labels, eps, generator, until_wrong=True)


def _check(eps: float) -> None:
    if not 0 <= eps <= 255:
        raise UsageError(f"Expected eps from 0 to 255 (in 1/255), but got {eps}.")
