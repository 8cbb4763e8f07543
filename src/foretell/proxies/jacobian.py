"""Proxies of the gradients by the images: jacov and EPE-NAS."""

import torch
from torch import Tensor

from foretell.errors import ProxyError
from foretell.proxies._base import Collected

__all__ = ["epe_nas", "jacov"]

_K = 1e-5
_MANY = 100
"""With more classes than this, EPE-NAS compares classes instead of summing them."""
_DECIMALS = 12
"""Of a correlation; the rest is rounding, which would order networks of equal correlations."""


def correlation(rows: Tensor) -> Tensor:
    """Pearson correlation of each pair of rows, (n, d) -> (n, n) float64, to 12 decimals.

    Raises:
        ProxyError: a row does not vary.
    """
    x = rows.double()
    x = x - x.mean(1, keepdim=True)
    norm = x.norm(dim=1, keepdim=True)
    if not bool((norm > 0).all()):
        raise ProxyError("Some image has no gradient: its correlation is not defined.")
    x = x / norm
    corr: Tensor = (x @ x.T).clamp(-1, 1)
    return corr.round(decimals=_DECIMALS)


def jacov(c: Collected) -> float:
    """Minus the sum of log(v + k) + 1 / (v + k), v the eigenvalues of the images' correlation.

    The correlation is that of the gradients of the summed outputs by the images, k = 1e-5. Images
    that the network tells apart have nearly uncorrelated gradients, and a score near -n.

    Differs from the authors' code: symmetric eigenvalues instead of general ones; those that are
    rounding, below 1e-12 of their sum, count as 0, so that all linear networks have one value.
    """
    v = torch.linalg.eigvalsh(correlation(c.jacobian))
    v = torch.where(v > len(v) * 10.0**-_DECIMALS, v, 0.0) + _K
    return -float((v.log() + 1 / v).sum())


def epe_nas(c: Collected) -> float:
    """Sum over classes of |sum log(|corr| + k)| over pairs of images of the class, k = 1e-5.

    With more than 100 classes: each class's sum is divided by its number of images, and the score
    is the sum of absolute differences over pairs of classes, divided by the number of classes.
    """
    many = c.classes > _MANY
    sums = []
    for label in torch.unique(c.labels):
        corr = correlation(c.jacobian[c.labels == label])
        total = (corr.abs() + _K).log().sum()
        sums.append(total / len(corr) if many else total)
    s = torch.stack(sums)
    if many:
        return float((s[:, None] - s[None, :]).abs().sum() / len(s))
    return float(s.abs().sum())
