"""Randomness as an argument: named, independent streams from one seed.

A study needs many random streams (pool, searcher, weights, batches) that do not disturb one
another: drawing one more network must not change the batches. Each stream is keyed by a text.
"""

import hashlib

import numpy as np

__all__ = ["stream", "stream_seed"]


def stream_seed(seed: int, *key: object) -> int:
    """A 63-bit seed for the stream named by ``key``, the same on every machine.

    Args:
        seed: the run's seed.
        key: values whose ``str`` names the stream.

    Returns:
        An integer in [0, 2^63).

    >>> stream_seed(0, "pool") == stream_seed(0, "pool") != stream_seed(0, "weights")
    True
    """
    text = "\x1f".join([str(int(seed)), *(str(k) for k in key)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *key: object) -> np.random.Generator:
    """A numpy generator for the stream named by ``key``."""
    return np.random.default_rng(stream_seed(seed, *key))
