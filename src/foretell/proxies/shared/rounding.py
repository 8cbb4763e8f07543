"""When a sum that cancels is nothing but rounding."""

import torch

__all__ = ["rounding_share"]


def rounding_share(dtype: torch.dtype) -> float:
    """The share of its terms' size below which a sum that cancels is taken for rounding.

    Sixty-four units of rounding; in half precision three per cent, where that is less. Of sums that
    cancel exactly, a few units are left; of others, about one part in ten.

    Args:
        dtype: in which the terms were computed.

    >>> rounding_share(torch.float32) < 1e-5 < rounding_share(torch.bfloat16)
    True
    """
    return min(64 * torch.finfo(dtype).eps, 0.03)
