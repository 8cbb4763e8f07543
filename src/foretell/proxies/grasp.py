"""GraSP: does removing a weight raise or lower the gradient flow?"""

from foretell.proxies._base import Collected

__all__ = ["grasp"]


def grasp(c: Collected) -> float:
    """Minus the sum over all weights of w (H g), g the loss gradient and H its Hessian.

    The sign is that of Abdelfattah et al. (ICLR 2021), the opposite of GraSP's own score; in which
    direction it helps depends on the space.
    """
    return -c.grasp
