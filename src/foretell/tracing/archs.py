"""Traced graphs of whole networks of architectures."""

from collections.abc import Callable, Sequence

import torch

from foretell.arch import Arch
from foretell.errors import NetworkError
from foretell.graph import Graph
from foretell.networks._build import build
from foretell.spaces import Skeleton, get_space
from foretell.tracing.module import trace

__all__ = ["graphs"]


def graphs(
    archs: Sequence[Arch],
    skeleton: Skeleton,
    *,
    on_done: Callable[[int], None] | None = None,
) -> list[Graph]:
    """Traced graphs of the networks of architectures; each network is freed after tracing.

    Args:
        archs: the architectures; a repeated one is traced once.
        skeleton: the fixed part of their networks.
        on_done: called with the number of finished ``archs``.

    Raises:
        ForetellError: a network cannot be built.
        NetworkError: a network cannot be traced.
    """
    cache: dict[Arch, Graph] = {}
    traced = []
    for done, arch in enumerate(archs, 1):
        if arch not in cache:
            cache[arch] = _traced(arch, skeleton)
        traced.append(cache[arch])
        if on_done is not None:
            on_done(done)
    return traced


def _traced(arch: Arch, skeleton: Skeleton) -> Graph:
    try:
        with torch.device("meta"):
            module = build(arch, skeleton, seed=0)
        return trace(module, skeleton.input_shape)
    except Exception:  # the builder may look at values, which the meta device has not
        module = build(arch, skeleton, seed=0)
    try:
        return trace(module, skeleton.input_shape)
    except NetworkError as error:
        raise NetworkError(
            f"The network of {get_space(arch.space).format(arch)} has no graph: {error}"
        ) from error
