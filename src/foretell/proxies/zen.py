"""Zen-score: how much the features move with the input, batch normalisation undone."""

import math

from foretell.errors import ProxyError
from foretell.proxies._base import Collected

__all__ = ["zen"]


def zen(c: Collected) -> float:
    """Log E|f(x) - f(x + 0.01 e)|_1 + sum over batch norms of log sqrt(mean variance).

    Weights, x and e are N(0, 1); f is what the global average pooling reads. Variances are the
    running ones after these two batches in train mode, as in the authors' code.

    Differs: normalisations that do not reach the output are left out.

    Raises:
        ProxyError: the features do not differ, or overflow.
    """
    if not 0 < c.zen.difference < math.inf:
        raise ProxyError(
            f"Under N(0, 1) weights the features differ by {c.zen.difference}: they leave the "
            f"range of the numbers, or do not feel a small change of the images."
        )
    return math.log(c.zen.difference) + float(c.zen.variances.sqrt().log().sum())
