"""NASWOT: how differently the ReLUs see the images of a batch."""

import torch

from foretell.proxies._base import Collected

__all__ = ["nwot"]


def nwot(c: Collected) -> float:
    """Log determinant of the number of ReLU units on which two images agree.

    Each ReLU counts once, and only if its result reaches the output, as in the authors' code.

    Differs from NASLib before its fix: that counted a ReLU again for the block it stands in.
    """
    return float(torch.linalg.slogdet(c.codes).logabsdet)
