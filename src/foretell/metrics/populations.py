"""The sets of architectures that a correlation can be computed on.

A correlation depends on its population: it differs between all networks and the good ones, so every
number is printed with its population. A population is a boolean mask over the given architectures.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foretell.errors import UsageError
from foretell.graph import CONCAT, ZERO, Graph

__all__ = ["deduplicated", "every", "populations", "top_k", "unreachable"]

_PLUMBING = ZERO | CONCAT | {"sum", "input", "output"}


def every(n: int) -> NDArray[np.bool_]:
    """All n architectures."""
    return np.ones(n, dtype=bool)


def deduplicated(keys: Sequence[Hashable]) -> NDArray[np.bool_]:
    """The first architecture of each key, such as the hash of its canonical graph.

    >>> deduplicated(["a", "b", "a"])
    array([ True,  True, False])
    """
    first: dict[Hashable, int] = {}
    first_index = [first.setdefault(key, i) for i, key in enumerate(keys)]
    return np.asarray(np.array(first_index, dtype=np.int64) == np.arange(len(first_index)))


def top_k(truth: ArrayLike, k: int) -> NDArray[np.bool_]:
    """The k architectures of highest truth, and those equal to the last of them.

    Args:
        truth: (n,) true values; NaN is never among the best.
        k: how many, >= 1.

    Raises:
        UsageError: k < 1, or the shape is not (n,).

    >>> top_k([0.1, 0.9, 0.5], 2)
    array([False,  True,  True])
    """
    values = np.asarray(truth, dtype=np.float64)
    if values.ndim != 1 or k < 1:
        raise UsageError(f"Expected values of shape (n,) and k >= 1, got {values.shape} and {k}.")
    ordered = np.sort(values[~np.isnan(values)])
    if not len(ordered):
        return np.zeros(len(values), dtype=bool)
    return np.asarray(values >= ordered[-min(k, len(ordered))])


def unreachable(graph: Graph) -> bool:
    """Whether some operation other than "zero" lies on no live path from input to output.

    Published tables often leave such networks out, as the operation has parameters and no effect.
    Sums inside a cell are not operations and do not count. Of the 15,625 cells of NAS-Bench-201
    this leaves the 9,445 for which proxy scores are published.
    """
    return any(
        node.op not in _PLUMBING and not live
        for node, live in zip(graph.nodes, graph.live, strict=True)
    )


def populations(
    n: int,
    *,
    truth: ArrayLike | None = None,
    alive: ArrayLike | None = None,
    reachable: ArrayLike | None = None,
    keys: Sequence[Hashable] | None = None,
    top: Sequence[int] = (100,),
) -> Mapping[str, NDArray[np.bool_]]:
    """The populations that the arguments allow, by the names that reports print.

    Args:
        n: number of architectures.
        truth: (n,) true values; adds "top k" for each k of ``top`` below n.
        alive: (n,) whether input reaches output; adds "alive".
        reachable: (n,) whether no operation is unreachable; adds "no unreachable op".
        keys: n keys, equal for equal networks; adds "deduplicated".
        top: sizes of the top sets.

    Returns:
        Name -> (n,) mask; "all" comes first.

    Raises:
        UsageError: an argument has another length than n.
    """
    for name, given in (("truth", truth), ("alive", alive), ("reachable", reachable)):
        if given is not None and np.shape(given) != (n,):
            raise UsageError(f"Expected {name} of shape ({n},), but got {np.shape(given)}.")
    if keys is not None and len(keys) != n:
        raise UsageError(f"Expected {n} keys, but got {len(keys)}.")
    masks: dict[str, NDArray[np.bool_]] = {"all": every(n)}
    if alive is not None:
        masks["alive"] = np.asarray(alive, dtype=bool)
    if reachable is not None:
        masks["no unreachable op"] = np.asarray(reachable, dtype=bool)
    if keys is not None:
        masks["deduplicated"] = deduplicated(keys)
    if truth is not None:
        masks |= {f"top {k}": top_k(truth, k) for k in top if k < n}
    return masks
