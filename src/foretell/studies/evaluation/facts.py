"""What an evaluation says of a target and of a proxy."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["BASELINE", "OWN", "PUBLISHED", "ProxyInfo", "TargetInfo"]

PUBLISHED = "table"
"""Values of a proxy that come from the table."""
BASELINE = "baseline"
"""Values of a proxy that are a closed form of the cost."""
OWN = "own"
"""Values of a proxy that this library computed."""


@dataclass(frozen=True)
class TargetInfo:
    """One truth that proxies are compared with.

    Args:
        key: of the metric, such as "cifar10/test_accuracy".
        dataset: what it was measured on.
        unit: of its values.
        turned: whether lower is better, so that its sign was changed for the correlations.
        epochs: of training at which it was read.
        runs: (least, most) runs that its mean is over, where anything was measured.
        known: architectures for which it was measured.
        optimum: best value.
        best: text of the architecture that has it.
    """

    key: str
    dataset: str
    unit: str
    turned: bool
    epochs: int
    runs: tuple[int, int]
    known: int
    optimum: float
    best: str


@dataclass(frozen=True)
class ProxyInfo:
    """One proxy and what its values are.

    Args:
        name: as it is printed; all names are different.
        source: "table", "baseline" (by closed form) or "own" (computed by this library).
        datasets: which it was computed for; an empty name stands for all.
        missing: architectures without a value, by dataset.
        seconds: median time for one network, NaN where nobody measured it.
    """

    name: str
    source: str
    datasets: tuple[str, ...]
    missing: Mapping[str, int]
    seconds: float
