"""NASWOT: how differently the ReLUs see the images of a batch."""

import torch

from foretell.errors import ProxyError
from foretell.proxies._base import Collected

__all__ = ["nwot"]

_SINGULAR = 1e4 * torch.finfo(torch.float64).eps
"""Pivots below this, for each image and beside the largest, are 0: of matrices of whole numbers
those that rounding leaves are a thousand times smaller, and others 1e4 times larger."""


def nwot(c: Collected) -> float:
    """Log determinant of the number of ReLU units on which two images agree.

    Each ReLU counts once, and only if its result reaches the output, as in the authors' code.

    Differs from NASLib before its fix: that counted a ReLU again for the block it stands in. Where
    the matrix is singular that takes the log of what rounding leaves of its determinant.

    Raises:
        ProxyError: the determinant is 0.
    """
    pivots = torch.linalg.lu_factor_ex(c.codes).LU.diagonal().abs()
    if float(pivots.min()) <= len(pivots) * _SINGULAR * float(pivots.max()):
        raise ProxyError(
            f"The determinant of the ReLU codes of {len(pivots)} images is 0: two images have the "
            f"same codes, or there are fewer units than images. Take fewer images (--batch-size)."
        )
    return float(pivots.log().sum())
