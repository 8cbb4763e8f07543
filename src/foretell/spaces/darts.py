"""The space of DARTS and NAS-Bench-301: a normal and a reduction cell."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph, Node
from foretell.spaces._base import Space
from foretell.spaces._genotype import CELLS, OPS, read, write
from foretell.types import IntArray

__all__ = ["Darts"]

_NONE = OPS.index("none")
_NODES = range(2, 6)
_GENES = 4
"""Of each node: source and operation of its first edge, and of its second."""
_SOURCES = ("c_{k-2}", "c_{k-1}", *(f"node {k}" for k in _NODES))

_CHANNELS, _SIDE = 36, 32
"""Of the normal cell, as in the published network for CIFAR-10; the reduction doubles and halves
them."""


def _node(op: str, params: int = 0, flops: int = 0, **attrs: object) -> Node:
    return Node(op, MappingProxyType({**attrs, "params": params, "flops": flops}))


def _operation(op: str, c: int, side: int, stride: int) -> Node:
    """An operation on c channels, each convolution with a BatchNorm.

    Args:
        op: its name.
        c: channels of input and output.
        side: height and width of the output in pixels.
        stride: 1 or 2.
    """
    if op == "none":
        return _node("zero")
    if op == "skip_connect" and stride == 1:
        return _node("skip")
    if op == "skip_connect":  # two 1x1 convolutions, each to half of the channels
        costs = c * c + 2 * c, c * c * side * side
        return _node("strided_conv_1x1", *costs, kernel=1, stride=2, weights=True)
    kernel = int(op[-1])
    if "pool" in op:
        return _node(op, kernel=kernel, stride=stride, weights=False)
    weights, times = kernel**2 * c + c * c, 2 if op.startswith("sep") else 1
    costs = times * (weights + 2 * c), times * weights * side * side
    # twice in a row, or with gaps of a pixel: as far as one kernel of this size sees
    return _node(op, *costs, kernel=2 * kernel - 1, stride=stride, weights=True)


def _inputs(c: int) -> tuple[Node, Node]:
    """The 1x1 convolutions to c channels on a cell's two inputs."""
    weights = 4 * _CHANNELS * c
    costs = weights + 2 * c, weights * _SIDE**2
    earlier, previous = (
        _node(f"{which}_conv_1x1", *costs, kernel=1, stride=1, weights=True)
        for which in ("earlier", "previous")
    )
    return earlier, previous


_OPERATIONS = tuple(
    {
        stride: tuple(_operation(op, _CHANNELS * times, _SIDE // times, stride) for op in OPS)
        for stride in {1, times}
    }
    for times in (1, 2)
)
"""Cell -> stride -> operations."""
_INPUTS = _inputs(_CHANNELS), _inputs(2 * _CHANNELS)
_INPUT, _SUM, _CONCATENATION, _END = map(_node, ("input", "sum", "concat", "output"))


@dataclass(frozen=True)
class Darts(Space):
    """A normal and a reduction cell; each of four nodes adds two operations on earlier values.

    Genes are, for each node of the normal cell and then of the reduction cell, source and operation
    of two edges. Sources 0 and 1 are the outputs of the cell before the last and of the last one,
    2 to 5 the nodes; a node's two sources differ, and the smaller one comes first. Operations are
    indices into ``ops``.

    Genotypes of some published tables contain ``none``, or take one source twice. Those are parsed,
    and have graphs; but ``size``, ``sample``, ``enumerate`` and edits stay within the published
    space.

    The graph is a normal cell followed by a reduction cell, as in a stage of the network. The
    graph's input is both inputs of the normal cell, as after the stem; cells read their inputs
    through separate 1x1 convolutions, "previous_conv_1x1" and "earlier_conv_1x1". A skip of stride
    2 has weights: "strided_conv_1x1". Parameters and multiply-adds of the nodes are for 36 channels
    and 32 x 32 pixels; "kernel" is the receptive field, 5 for "sep_conv_3x3" and "dil_conv_3x3".

    Reference: Liu et al., DARTS, ICLR 2019; Zela et al., NAS-Bench-301, ICLR 2022.
    """

    name: str = "darts"

    ops: ClassVar[tuple[str, ...]] = OPS
    """Names of the operations; the last, ``none``, is not in the published space."""
    published_features: ClassVar[str] = "foretell.encodings.graf.published:darts"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """As many sources as there are before a node, and eight operations, ``none`` included."""
        return tuple(n for _ in CELLS for k in _NODES for n in (k, len(OPS)) * 2)

    @property
    def size(self) -> int:
        """Pairs of sources and of operations at each node, to the square: about 10^18."""
        return int(np.prod([comb(k, 2) * _NONE**2 for k in _NODES], dtype=object)) ** 2

    def enumerate(self) -> Iterator[Arch]:
        """Every architecture of the published space; the last gene runs fastest."""
        nodes = [
            [(s, a, t, b) for s, t in combinations(range(k), 2) for a, b in _pairs()]
            for k in _NODES
        ]
        for normal in product(*nodes):
            for reduce in product(*nodes):
                yield Arch(self.name, tuple(g for node in (*normal, *reduce) for g in node))

    def sample(self, rng: Generator) -> Arch:
        """One architecture of the published space, uniformly."""
        genes: list[int] = []
        for k in (*_NODES, *_NODES):
            first, second = sorted(rng.choice(k, size=2, replace=False).tolist())
            a, b = rng.integers(_NONE, size=2).tolist()
            genes += (first, a, second, b)
        return Arch(self.name, tuple(genes))

    def neighbors(self, arch: Arch) -> list[Arch]:
        """One edge with another operation, or from another source."""
        self.check(arch)
        distinct: dict[tuple[int, ...], None] = {}
        for start in range(0, len(arch.genes), _GENES):
            s, a, t, b = arch.genes[start : start + _GENES]
            nodes = [(s, c, t, b) for c in range(_NONE)] + [(s, a, t, c) for c in range(_NONE)]
            for u in range(2 + start // _GENES % len(_NODES)):
                nodes += [(u, a, t, b), (s, a, u, b)] if u not in (s, t) else []
            for node in nodes:
                genes = (*arch.genes[:start], *_sorted(node), *arch.genes[start + _GENES :])
                distinct[genes] = None
        distinct.pop(arch.genes, None)
        return [Arch(self.name, genes) for genes in distinct]

    def crossover(self, first: Arch, second: Arch, rng: Generator) -> Arch:
        """Each node with both of its edges from one parent or the other."""
        mask = np.repeat(rng.random(len(first.genes) // _GENES) < 0.5, _GENES).tolist()
        pairs = zip(first.genes, second.genes, mask, strict=True)
        return Arch(self.name, tuple(a if m else b for a, b, m in pairs))

    def gene_name(self, index: int) -> str:
        """The cell, the node, and which of its two edges: source or operation."""
        cell, rest = divmod(index, len(_NODES) * _GENES)
        node, gene = divmod(rest, _GENES)
        what = ("first source", "first operation", "second source", "second operation")[gene]
        return f"{CELLS[cell]} node {_NODES[node]}, {what}"

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if every edge comes from an earlier value, in order.

        Raises:
            ArchError: the genes do not fit.
        """
        super().check(arch)
        genes = arch.genes
        if not self.genes_fit(arch):
            raise ArchError(
                f"Expected {len(self.cardinalities)} genes for the space {self.name!r}, of each "
                f"node source, operation, source, operation, with sources before the node and "
                f"operations below {len(OPS)}, but got {list(genes)}."
            )
        for start in range(0, len(genes), _GENES):
            node = genes[start : start + _GENES]
            if _sorted(node) != node:
                raise ArchError(
                    f"Expected the edges of each node by rising source, but got {list(node)} from "
                    f"gene {start} of {list(genes)}: write {list(_sorted(node))}."
                )
        return arch

    def format(self, arch: Arch) -> str:
        """The official text."""
        return write(self.cells([arch])[0].tolist())

    def parse(self, text: str) -> Arch:
        """The architecture of a genotype, of a tuple, of dotted genes, or of an ``Arch`` as JSON.

        A genotype is the official text, with ``range(2, 6)`` or ``[2, 3, 4, 5]``. A tuple is that
        of NAS-Bench-Suite-Zero: (source, operation) of eight edges of each cell, operations as
        indices into ``ops``. A node's two edges may come in any order.

        Raises:
            ArchError: the text is none of them, an operation is unknown, or a source is not before
                its node.
        """
        word = text.strip().removeprefix(f"{self.name}:")
        cells = read(word)
        if cells is None:
            if "(" not in word:
                return super().parse(text)
            raise ArchError(
                f"{word[:200]!r} is no architecture of {self.name!r}: expected two cells of eight "
                f"edges with the nodes 2 to 5 as their outputs, such as {self.example()!r}."
            )
        flat = [g for edges in cells for edge in edges for g in edge]
        nodes = [_sorted(tuple(flat[i : i + _GENES])) for i in range(0, len(flat), _GENES)]
        return self.check(Arch(self.name, tuple(g for node in nodes for g in node)))

    def edit(self, before: Arch, after: Arch) -> str:
        """Which operations or sources changed, node by node."""
        words = []
        for start in range(0, len(before.genes), _GENES):
            cell, k = divmod(start // _GENES, len(_NODES))
            old, new = (Counter(_edges(a.genes[start : start + _GENES])) for a in (before, after))
            where = f"in node {k + 2} of the {CELLS[cell]} cell"
            pairs = zip((old - new).elements(), (new - old).elements(), strict=True)
            for (source, was), (now_source, now) in pairs:
                if source == now_source:
                    text = f"{OPS[now]} instead of {OPS[was]} from {_SOURCES[source]}"
                elif was == now:
                    text = f"{OPS[now]} from {_SOURCES[now_source]} instead of {_SOURCES[source]}"
                else:
                    text = (
                        f"{OPS[now]} from {_SOURCES[now_source]} instead of {OPS[was]} from "
                        f"{_SOURCES[source]}"
                    )
                words.append(f"{text} {where}")
        return ", ".join(words)

    def graph(self, arch: Arch) -> Graph:
        """A normal cell followed by a reduction cell."""
        cells = self.cells([self.check(arch)])[0].tolist()
        nodes, edges = [_INPUT], []
        outputs = [0, 0]
        for cell, links in enumerate(cells):
            values = [len(nodes), len(nodes) + 1]
            edges += list(zip(outputs, values, strict=True))
            nodes += _INPUTS[cell]
            for k in _NODES:
                joined = len(nodes) + 2
                for source, op in links[2 * (k - 2) : 2 * (k - 1)]:
                    edges += [(values[source], len(nodes)), (len(nodes), joined)]
                    nodes.append(_OPERATIONS[cell][2 if cell and source < 2 else 1][op])
                nodes.append(_SUM)
                values.append(joined)
            edges += [(v, len(nodes)) for v in values[2:]]
            outputs = [outputs[1], len(nodes)]
            nodes.append(_CONCATENATION)
        return Graph((*nodes, _END), (*edges, (outputs[1], len(nodes))))

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Whether the input reaches the output; only ``none`` can prevent that, (n,)."""
        cells = self.cells(archs)
        reached = np.zeros((len(cells), 6), dtype=bool)
        inputs = np.ones((len(cells), 2), dtype=bool)
        rows = np.arange(len(cells))
        for cell in range(len(CELLS)):
            reached[:, :2] = inputs
            for k in _NODES:
                links = cells[:, cell, 2 * (k - 2) : 2 * (k - 1)]
                passes = reached[rows[:, None], links[:, :, 0]] & (links[:, :, 1] != _NONE)
                reached[:, k] = passes.any(axis=1)
            inputs = np.stack([inputs[:, 1], reached[:, 2:].any(axis=1)], axis=1)
        return np.asarray(inputs[:, 1])

    def cells(self, archs: Sequence[Arch]) -> IntArray:
        """(source, operation) of every edge, (n, 2 cells, 8 edges, 2)."""
        return self.genes(archs).reshape(len(archs), len(CELLS), 8, 2)


def _pairs() -> Iterator[tuple[int, ...]]:
    return product(range(_NONE), repeat=2)


def _edges(node: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(node[0], node[1]), (node[2], node[3])]


def _sorted(node: tuple[int, ...]) -> tuple[int, ...]:
    """The two edges of a node, the smaller source first."""
    return tuple(g for edge in sorted(_edges(node)) for g in edge)
