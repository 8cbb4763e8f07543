"""Encodings of genes: one-hot and categorical."""

from collections.abc import Sequence

import numpy as np

from foretell.arch import Arch
from foretell.encodings._base import EncodingTable
from foretell.errors import ArchError
from foretell.spaces import Space

__all__ = ["categorical", "onehot"]


def categorical(space: Space, archs: Sequence[Arch]) -> EncodingTable:
    """Categorical encoding: the genes as integers, (n, genes) int64.

    Raises:
        ArchError: the space's architectures differ in length.
    """
    _check(space)
    return EncodingTable(
        tuple(f"gene_{i}" for i in range(len(space.cardinalities))), space.genes(archs)
    )


def onehot(space: Space, archs: Sequence[Arch]) -> EncodingTable:
    """One-hot encoding: a column for each choice of each gene, (n, choices) of 0 and 1.

    Raises:
        ArchError: the space's architectures differ in length.
    """
    _check(space)
    genes, counts = space.genes(archs), space.cardinalities
    columns = [genes[:, i] == choice for i, count in enumerate(counts) for choice in range(count)]
    names = [f"gene_{i}_is_{c}" for i, count in enumerate(counts) for c in range(count)]
    return EncodingTable(tuple(names), np.stack(columns, axis=1).astype(np.float64))


def _check(space: Space) -> None:
    if not space.cardinalities:
        raise ArchError(
            f"The architectures of {space.name!r} differ in length: use 'graf' or 'path' instead."
        )
