"""A small space and truths to search it by."""

from collections.abc import Sequence

import numpy as np
import pytest

from foretell.arch import Arch
from foretell.testing.searchers import ContractSpace


@pytest.fixture
def space() -> ContractSpace:
    """1,024 architectures of five genes."""
    return ContractSpace()


@pytest.fixture
def worth():
    """Architectures -> (n,) values; the higher the genes, the better."""

    def values(archs: Sequence[Arch]) -> np.ndarray:
        return np.array([sum((i + 2) * g for i, g in enumerate(a.genes)) for a in archs]) / 100

    return values
