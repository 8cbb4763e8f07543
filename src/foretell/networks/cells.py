"""The building blocks of NAS-Bench-201 and NATS-Bench networks.

This file needs nothing but torch: it is copied beside an exported ``train.py``.
"""

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["Cell", "CellNetwork", "ReLUConvBN", "ResidualReduction"]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of each gene's edge, in the order of the official string."""
NONE, SKIP, CONV1, CONV3, POOL = range(5)


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, BatchNorm."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int = 1) -> None:
        """Padding keeps the image's size at stride 1."""
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h / stride, w / stride)."""
        y: Tensor = self.norm(self.conv(self.relu(x)))
        return y


class Projection(nn.Module):
    """1x1 convolution and BatchNorm: a skip connection that changes the channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        """No ReLU and no bias."""
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h, w)."""
        y: Tensor = self.norm(self.conv(x))
        return y


class Zero(nn.Module):
    """The operation ``none``, and one that was pruned; a cell never calls it."""


def make_op(gene: int, c_in: int, c_out: int) -> nn.Module:
    """The operation of one edge."""
    if gene == NONE:
        return Zero()
    if gene == SKIP:
        return nn.Identity() if c_in == c_out else Projection(c_in, c_out)
    if gene == POOL:
        pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        return pool if c_in == c_out else nn.Sequential(ReLUConvBN(c_in, c_out, 1), pool)
    return ReLUConvBN(c_in, c_out, 1 if gene == CONV1 else 3)


def live_edges(genes: Sequence[int]) -> tuple[bool, ...]:
    """Whether each edge lies on a path from the cell's input to its output without ``none``."""
    a, b, c, d, e, f = (g != NONE for g in genes)
    return (
        a and (e or (c and f)),
        b and f,
        a and c and f,
        d,
        a and e,
        f and (b or (a and c)),
    )


class Cell(nn.Module):
    """A cell of four nodes and six edges; a node is the sum of its incoming operations.

    Only live edges run. The others are unused or see only zeros: the output is the same as if they
    ran, except for the bias that a BatchNorm after zeros would learn.

    Args:
        genes: operations of the edges, see ``EDGES``.
        c_in: channels of the input.
        c_out: channels of the other nodes.
    """

    def __init__(self, genes: Sequence[int], c_in: int, c_out: int) -> None:
        """Create the operations of all edges, dead ones included."""
        super().__init__()
        self.c_out = c_out
        self.edges = nn.ModuleList(
            make_op(gene, c_out if source else c_in, c_out)
            for gene, (source, _) in zip(genes, EDGES, strict=True)
        )
        live = live_edges(genes)
        self.plan = tuple(
            tuple((e, s) for e, (s, t) in enumerate(EDGES) if t == target and live[e])
            for target in (1, 2, 3)
        )

    def prune(self) -> None:
        """Leave out the operations that do not reach the output, with their weights."""
        live = {edge for inputs in self.plan for edge, _ in inputs}
        for edge in range(len(self.edges)):
            if edge not in live:
                self.edges[edge] = Zero()

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h, w)."""
        nodes: list[Tensor] = [x]
        for inputs in self.plan:
            total: Tensor | None = None
            for edge, source in inputs:
                value: Tensor = self.edges[edge](nodes[source])
                total = value if total is None else total + value
            # a node that nothing live leads to is never read
            nodes.append(x if total is None else total)
        if not self.plan[-1]:
            nodes[3] = x.new_zeros(x.shape[0], self.c_out, x.shape[2], x.shape[3])
        return nodes[3]


class ResidualReduction(nn.Module):
    """A residual block of stride 2; its shortcut is average pooling and a 1x1 convolution.

    Odd heights and widths are rounded up on both paths.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        """Two 3x3 convolutions beside the shortcut."""
        super().__init__()
        self.first = ReLUConvBN(c_in, c_out, 3, 2)
        self.second = ReLUConvBN(c_out, c_out, 3)
        self.pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h / 2, w / 2)."""
        y: Tensor = self.second(self.first(x)) + self.shortcut(self.pool(x))
        return y


class CellNetwork(nn.Module):
    """Stem, layers, BatchNorm and ReLU, global average, linear head.

    Args:
        layers: cells and reductions.
        in_channels: channels of the image.
        c_first: channels of the stem.
        c_last: channels of the last layer.
        classes: number of outputs.
    """

    def __init__(
        self, layers: Sequence[nn.Module], in_channels: int, c_first: int, c_last: int, classes: int
    ) -> None:
        """The stem is a 3x3 convolution with BatchNorm and without ReLU."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, c_first, 3, padding=1, bias=False), nn.BatchNorm2d(c_first)
        )
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.BatchNorm2d(c_last), nn.ReLU())
        self.head = nn.Linear(c_last, classes)

    def prune(self) -> None:
        """Leave out the operations of cells that do not reach the output; it stays the same."""
        for layer in self.layers:
            if isinstance(layer, Cell):
                layer.prune()

    def features(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, c_last, h', w'), before the global average."""
        y: Tensor = self.last(self.layers(self.stem(x)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, classes)."""
        y: Tensor = self.head(self.features(x).mean((2, 3)))
        return y
