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

__all__ = ["Attack", "Normalised", "fgsm", "pgd"]

Model: TypeAlias = Callable[[Tensor], Tensor]
"""Images (n, c, h, w) in [0, 1] to logits (n, classes)."""
Attack: TypeAlias = Callable[[Model, Tensor, Tensor, float, torch.Generator], Tensor]
"""Called with model, images, labels, eps in 1/255, generator; returns adversarial images."""


class Normalised(nn.Module):
    """A network behind its normalisation, so that it takes images in [0, 1].

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

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) in [0, 1] -> (n, classes)."""
        y: Tensor = self.module((x - self.mean) / self.std)
        return y


def loss_and_gradient(model: Model, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each image, (n,), and its gradient with respect to the pixels.

    Gradients of weights are neither computed nor stored. The gradient is zero where the output does
    not depend on the image.
    """
    x = images.detach().requires_grad_()
    with torch.enable_grad():
        loss = F.cross_entropy(model(x), labels, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x, materialize_grads=True)
    return loss.detach(), gradient


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
    return (images + eps / 255 * gradient.sign()).clamp(0, 1).detach()


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
        best_loss = F.cross_entropy(model(images), labels, reduction="none")
    best = images.clone()

    def keep(x: Tensor, loss: Tensor) -> None:
        better = loss > best_loss
        best[better] = x[better]
        best_loss[better] = loss[better]

    x = images
    if random_start:
        noise = torch.rand(images.shape, generator=generator).to(images)
        x = torch.minimum(torch.maximum(images + (2 * noise - 1) * radius, low), high)
    for _ in range(steps):
        loss, gradient = loss_and_gradient(model, x, labels)
        keep(x, loss)
        x = torch.minimum(torch.maximum(x + stride * gradient.sign(), low), high)
    with torch.no_grad():
        keep(x, F.cross_entropy(model(x), labels, reduction="none"))
    return best


def _check(eps: float) -> None:
    if not 0 <= eps <= 255:
        raise UsageError(f"Expected eps from 0 to 255 (in 1/255), but got {eps}.")
