"""Stochastic-gradient Hamiltonian Monte Carlo with step sizes adapted during the burn-in."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from foretell.types import Array

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["sample"]

_TINY = 1e-16


def sample(
    energy: Callable[["Tensor"], "Tensor"],
    first: "Tensor",
    *,
    burn_in: int,
    steps: int,
    keep: int,
    step_size: float,
    friction: float,
    noise: "Generator",
) -> Iterator[Array]:
    """Samples of exp(-energy), each parameter in units of its own gradient's size.

    With g the gradient and V the running mean of its square, over a window that adapts to how
    noisy the gradient is and is fixed after the burn-in, a step is

        v <- (1 - friction) v - e^2 V^(-1/2) g + N(0, 2 e^2 friction V^(-1/2))
        p <- p + v

    Args:
        energy: (chains, parameters) -> (chains,) negative log density up to a constant; of a new
            batch at each call, scaled to all data.
        first: (chains, parameters) to start from; not changed.
        burn_in: steps before the first sample.
        steps: after the burn-in.
        keep: thinning: a sample is taken every this many steps.
        step_size: e.
        friction: share of the momentum lost at each step.
        noise: of the injected noise.

    Yields:
        (chains, parameters) float64 for each sample.

    Reference: Springenberg et al., Bayesian Optimization with Robust Bayesian Neural Networks,
    NeurIPS 2016, section 4. Differs: no correction for the noise of the gradient, which there is
    estimated as the gradient itself: too much where a batch holds all the data.
    """
    import torch

    p = first.clone().requires_grad_()
    v = torch.zeros_like(first)
    window, mean, square = (torch.ones_like(first) for _ in range(3))
    rate, spread = torch.ones_like(first), torch.ones_like(first)
    for step in range(burn_in + steps):
        (g,) = torch.autograd.grad(energy(p).sum(), p)
        with torch.no_grad():
            if step < burn_in:
                share = 1 / (window + 1)
                window.addcmul_(window, mean**2 / square, value=-1).add_(1)
                mean.lerp_(g, share)
                square.lerp_(g**2, share)
                rate = step_size**2 * square.clamp(min=_TINY).rsqrt()
                spread = (2 * friction * rate).sqrt()
            v.mul_(1 - friction).addcmul_(rate, g, value=-1)
            v.addcmul_(spread, torch.randn(v.shape, generator=noise))
            p += v
        if step >= burn_in and (step - burn_in + 1) % keep == 0:
            yield p.detach().numpy().astype(np.float64)
