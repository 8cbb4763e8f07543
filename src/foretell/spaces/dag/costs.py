"""Channels, parameters and multiply-adds of the vertices of a NAS-Bench-101 cell."""

from collections.abc import Sequence

__all__ = ["vertex_channels", "vertex_costs"]

_KERNELS = {"conv1x1-bn-relu": 1, "conv3x3-bn-relu": 3}


def vertex_channels(linked: Sequence[Sequence[int]], out: int) -> list[int]:
    """Channels of each vertex but the input, (v,).

    The predecessors of the output split its channels, the first ones with one more where these do
    not divide; any other vertex has as many as the largest of its successors.

    Args:
        linked: (v, v) of 0 and 1.
        out: channels of the output.
    """
    last = len(linked) - 1
    leads = [u for u in range(1, last) if linked[u][last]]
    channels = [0] * last + [out]
    for i, u in enumerate(leads):
        channels[u] = out // len(leads) + (i < out % len(leads))
    for u in range(last - 1, 0, -1):
        if not linked[u][last]:
            channels[u] = max(channels[w] for w in range(u + 1, last) if linked[u][w])
    return channels


def vertex_costs(
    linked: Sequence[Sequence[int]], names: Sequence[str], channels: int, out: int, pixels: int
) -> list[tuple[int, int]]:
    """Parameters and multiply-adds of each vertex, (v,).

    A convolution has a BatchNorm. A successor of the input, the output included, has a 1x1
    projection of it with a BatchNorm as well.

    Args:
        linked: (v, v) of 0 and 1.
        names: of the operations.
        channels: of the input.
        out: channels of the output.
        pixels: of a whole image.

    Reference: Ying et al., NAS-Bench-101, ICML 2019, and the parameters that the table holds.
    """
    costs = [(0, 0)]
    widths = vertex_channels(linked, out)
    for v in range(1, len(linked)):
        kernel, width = _KERNELS.get(names[v], 0), widths[v]
        own, projection = kernel**2 * width**2, linked[0][v] * channels * width
        normalised = 2 * width * ((kernel > 0) + linked[0][v])
        costs.append((own + projection + normalised, (own + projection) * pixels))
    return costs
