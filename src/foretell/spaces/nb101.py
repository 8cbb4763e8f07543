"""The cells of NAS-Bench-101: any graph of up to seven vertices and nine edges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph, Node
from foretell.spaces._base import Space
from foretell.spaces.dag.cells import (
    EDGES,
    MIDDLE,
    MOST_EDGES,
    VERTICES,
    all_keys,
    decode,
    is_whole,
    keys,
)
from foretell.spaces.dag.costs import vertex_costs
from foretell.spaces.dag.edits import differences, edits, place_name
from foretell.spaces.dag.text import OPS, read, write
from foretell.types import IntArray

__all__ = ["NB101"]

_OUTPUT = VERTICES - 1
_ROWS, _COLUMNS = np.array(EDGES).T


_CHANNELS, _PIXELS = 128, 32 * 32
"""Of the first stack, whose costs the graph's nodes have."""


@lru_cache(maxsize=4096)
def _node(op: str, params: int = 0, flops: int = 0) -> Node:
    attrs: dict[str, object] = {}
    if op in OPS:
        kernel = 1 if "1x1" in op else 3
        attrs = {"kernel": kernel, "stride": 1, "weights": params > 0}
    attrs |= {"params": params, "flops": flops}
    return Node(op, MappingProxyType(attrs))


@dataclass(frozen=True)
class NB101(Space):
    """Cells with operations on up to five vertices between input and output.

    Genes are the upper triangle of the adjacency matrix, row by row (21 bits), and the operation
    of each vertex between: 0 no vertex, 1 conv1x1, 2 conv3x3, 3 maxpool. The output is always
    vertex 6. Cells are *whole* (every vertex is on a path from input to output) and in *canonical
    order*, so that isomorphic cells are one architecture: there are 423,624, as published. ``cell``
    and ``parse`` take any order, and leave out what is on no path, as the benchmark does.

    The graph leaves out the 1x1 projections on the edges from the input: they belong to the target
    vertex, so that a pooling that reads the input counts as one with weights. Parameters and
    multiply-adds of the nodes are those of the first stack (128 channels, 32 pixels).

    An edit adds or removes an edge, changes an operation, or inserts or removes a vertex with one
    edge in and one out, with or without an edge that bypasses it.

    Reference: Ying et al., NAS-Bench-101, ICML 2019. Differs: no training data; those are a table.

    >>> space = NB101()
    >>> space.format(space.parse("(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1)"))
    '011001000:input,conv3x3-bn-relu,output'
    """

    name: str = "nb101"

    ops: ClassVar[tuple[str, ...]] = OPS
    """Names of the operations 1, 2 and 3."""
    published_features: ClassVar[str] = "foretell.encodings.graf.published:nb101"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Two for each edge, four for each vertex."""
        return (2,) * len(EDGES) + (len(OPS) + 1,) * MIDDLE

    @property
    def size(self) -> int:
        """423,624: as many as ``enumerate`` gives, and as published."""
        return 423_624

    def enumerate(self) -> Iterator[Arch]:
        """Every cell once; the first call takes about two seconds."""
        for part in np.array_split(all_keys(), 100):
            yield from self._archs(part)

    def genes_of(self, adjacency: NDArray[np.bool_], ops: IntArray) -> IntArray:
        """Genes of many cells that are whole already, in any order of the vertices, (n, 26).

        Args:
            adjacency: (n, 7, 7), the output last.
            ops: (n, 5) as in genes.

        Raises:
            ArchError: a cell has a cycle, or is not whole.
        """
        cell_keys = keys(adjacency, ops)
        if wrong := np.flatnonzero((cell_keys < 0) | ~is_whole(adjacency, ops)).tolist():
            raise ArchError(
                f"{len(wrong)} of {len(ops)} cells, first number {wrong[0]}, are not whole cells "
                f"of {self.name!r}: give graphs without circles, with every vertex on a path from "
                f"input to output, and at most {MOST_EDGES} edges."
            )
        return np.concatenate(decode(cell_keys), axis=1)

    def cell(self, adjacency: Sequence[Sequence[int]], ops: Sequence[str]) -> Arch:
        """The architecture of an adjacency matrix and its operations.

        Args:
            adjacency: (v, v) of 0 and 1 above the diagonal.
            ops: v names: "input", then some of ``ops``, then "output".

        Raises:
            ArchError: they are no cell, no path leads from input to output, or what is on such
                paths has more than 7 vertices or 9 edges.
        """
        linked = np.asarray(adjacency)
        v = len(ops)
        if linked.shape != (v, v) or v < 2 or np.tril(linked).any() or set(linked.flat) - {0, 1}:
            raise ArchError(
                f"Expected an adjacency matrix of {v} rows with 0 and 1 above the diagonal, as "
                f"there are {v} operations, but got shape {linked.shape}."
            )
        if (ops[0], ops[-1]) != ("input", "output") or (set(ops[1:-1]) - set(OPS)):
            raise ArchError(
                f"Expected operations input, .., output with {', '.join(OPS)} between, but got "
                f"{', '.join(map(str, ops))[:120]}."
            )
        on_paths = _on_paths(linked.astype(bool))
        if (
            len(on_paths) < 2
            or len(on_paths) > VERTICES
            or linked[np.ix_(on_paths, on_paths)].sum() > MOST_EDGES
        ):
            raise ArchError(
                f"Expected a cell with a path from input to output, at most {VERTICES} vertices "
                f"and {MOST_EDGES} edges on such paths, but got {len(on_paths)} vertices and "
                f"{int(linked[np.ix_(on_paths, on_paths)].sum())} edges."
            )
        vertices = [*range(len(on_paths) - 1), _OUTPUT]
        whole = np.zeros((1, VERTICES, VERTICES), dtype=bool)
        whole[0][np.ix_(vertices, vertices)] = linked[np.ix_(on_paths, on_paths)]
        codes = np.zeros((1, MIDDLE), dtype=np.int64)
        codes[0, : len(on_paths) - 2] = [OPS.index(ops[i]) + 1 for i in on_paths[1:-1]]
        return self._archs(keys(whole, codes))[0]

    def matrix(self, arch: Arch) -> tuple[IntArray, list[str]]:
        """Adjacency matrix (v, v) and names of the v operations, absent vertices left out."""
        linked, codes = self.matrices([arch])
        places = [0, *(np.flatnonzero(codes[0]) + 1).tolist(), _OUTPUT]
        names = ["input", *(OPS[c - 1] for c in codes[0].tolist() if c), "output"]
        return linked[0][np.ix_(places, places)].astype(np.int64), names

    def sample(self, rng: Generator) -> Arch:
        """One cell, uniformly; the first call takes about two seconds."""
        return self._archs(rng.choice(all_keys(), size=1))[0]

    def sample_as_published(self, rng: Generator) -> Arch:
        """A random cell, drawn as the benchmark's authors and NASLib do: *not* uniformly.

        Seven vertices, each edge with probability 1/2, uniform operations; drawn again until what
        is on paths from input to output has at most nine edges. Small cells are oversampled: one
        draw in ten is the cell without inner vertices, and one in five hundred has seven vertices,
        as 85 % of all cells have.
        """
        while True:
            linked = np.zeros((VERTICES, VERTICES), dtype=bool)
            linked[_ROWS, _COLUMNS] = rng.integers(2, size=len(EDGES))
            ops = rng.integers(1, len(OPS) + 1, size=MIDDLE)
            if (arch := self._pruned(linked, ops)) is not None:
                return arch

    def example(self) -> str:
        """The text of a small cell."""
        return f"011001000:input,{OPS[1]},output"

    def crossover(self, first: Arch, second: Arch, rng: Generator) -> Arch:
        """Each edge and operation from one parent or the other, drawn again until it is a cell."""
        linked, ops = self.matrices([first, second])
        there = np.where(ops > 0, ops, ops[::-1])  # a vertex that only one parent has
        while True:
            edges = np.where(rng.random((VERTICES, VERTICES)) < 0.5, linked[0], linked[1])
            codes = np.where(rng.random(MIDDLE) < 0.5, there[0], there[1])
            if (child := self._pruned(edges, codes)) is not None:
                return child

    def neighbors(self, arch: Arch) -> list[Arch]:
        """Every whole cell one edit away."""
        self.check(arch)
        linked, ops = self.matrices([arch])
        edges, codes = edits(linked[0], ops[0], len(OPS))
        neighbor_keys = keys(edges, codes)
        neighbor_keys = neighbor_keys[(neighbor_keys >= 0) & is_whole(edges, codes)]
        return self._archs(np.array(list(dict.fromkeys(neighbor_keys.tolist())), dtype=np.int64))

    def edit(self, before: Arch, after: Arch) -> str:
        """Which operations, edges and vertices differ; vertices by their places in ``before``."""
        linked, ops = self.matrices([before, after])
        return ", ".join(differences(linked, ops, OPS))

    def gene_name(self, index: int) -> str:
        """The edge that is there or not, or the vertex whose operation it is."""
        if index >= len(EDGES):
            return f"vertex {index - len(EDGES) + 1}"
        source, target = (place_name(v) for v in EDGES[index])
        return f"edge {source}->{target}"

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if its genes are a whole cell in canonical order.

        Raises:
            ArchError: they are not.
        """
        super().check(arch)
        if not self.genes_fit(arch):
            raise ArchError(
                f"Expected {len(EDGES)} genes of 0 and 1 and {MIDDLE} of 0 to {len(OPS)} for the "
                f"space {self.name!r}, but got {list(arch.genes)}."
            )
        linked, ops = self.matrices([arch])
        if not is_whole(linked, ops)[0]:
            raise ArchError(
                f"Expected a cell of {self.name!r} with every vertex on a path from input to "
                f"output and at most {MOST_EDGES} edges, but got {list(arch.genes)}."
            )
        if (canonical := self._archs(keys(linked, ops))[0]) != arch:
            raise ArchError(
                f"The vertices of {list(arch.genes)} are not in canonical order: the same cell "
                f"is {list(canonical.genes)}."
            )
        return arch

    def format(self, arch: Arch) -> str:
        """Adjacency row by row and operations, both as in the official records."""
        return write(*self.matrix(arch))

    def parse(self, text: str) -> Arch:
        """The architecture of what ``format`` writes, of a tuple, of dotted genes, or of JSON.

        Tuples are those of NAS-Bench-Suite-Zero: the adjacency matrix row by row, then 0 input,
        1 output, 2 maxpool3x3, 3 conv1x1, 4 conv3x3 for each vertex.

        Raises:
            ArchError: the text is none of them, or no cell.
        """
        cell = read(text.strip().removeprefix(f"{self.name}:"))
        return super().parse(text) if cell is None else self.cell(*cell)

    def graph(self, arch: Arch) -> Graph:
        """The cell: vertices, and a concatenation of those that lead to the output.

        An edge from input to output adds the input to the concatenation.
        """
        linked, names = self.matrix(self.check(arch))
        last = len(names) - 1
        costs = vertex_costs(linked.tolist(), names, _CHANNELS, _CHANNELS, _PIXELS)
        nodes = [_node(op, *cost) for op, cost in zip(names, costs, strict=True)]
        leads = np.flatnonzero(linked[1:, last]) + 1
        edges = [(u, v) for u, v in np.argwhere(linked).tolist() if v < last]
        if len(leads) > 1:
            edges += [(u, last) for u in leads.tolist()]
            nodes.insert(last, _node("concat"))
            leads = np.array([last])
        edges += [(u, len(nodes) - 1) for u in leads.tolist()]
        if linked[0, last]:
            edges.append((0, len(nodes) - 1))
        return Graph(tuple(nodes), tuple(edges))

    def adjacency(self, archs: Sequence[Arch]) -> tuple[IntArray, NDArray[np.str_]]:
        """Matrices (n, 7, 7) and operations (n, 7), without the graph's concatenation."""
        linked, codes = self.matrices(archs)
        ops = np.full((len(archs), VERTICES), "input", dtype="<U24")
        ops[:, 1:-1] = np.array(["", *OPS])[codes]
        ops[:, -1] = "output"
        return linked.astype(np.int64), ops

    def alive(self, archs: Sequence[Arch]) -> NDArray[np.bool_]:
        """Always: cells are whole."""
        return np.ones(len(archs), dtype=bool)

    def _archs(self, codes: IntArray) -> list[Arch]:
        genes = np.concatenate(decode(codes), axis=1).tolist()
        return [Arch(self.name, tuple(g)) for g in genes]

    def matrices(self, archs: Sequence[Arch]) -> tuple[NDArray[np.bool_], IntArray]:
        """Adjacency (n, 7, 7) and operations (n, 5)."""
        genes = self.genes(archs)
        linked = np.zeros((len(genes), VERTICES, VERTICES), dtype=bool)
        linked[:, _ROWS, _COLUMNS] = genes[:, : len(EDGES)]
        return linked, genes[:, len(EDGES) :]

    def _pruned(self, linked: NDArray[np.bool_], ops: IntArray) -> Arch | None:
        """The cell of the vertices on paths from input to output; None if that is no cell."""
        on_paths = np.zeros(VERTICES, dtype=bool)
        on_paths[_on_paths(linked)] = True
        inside = linked & on_paths & on_paths[:, None]
        if not on_paths.any() or inside.sum() > MOST_EDGES:
            return None
        return self._archs(keys(inside[None], np.where(on_paths[1:-1], ops, 0)[None]))[0]


def _on_paths(linked: NDArray[np.bool_]) -> list[int]:
    """Vertices on paths from first to last, increasing; none if there is no path."""
    rows = linked.tolist()
    last = len(rows) - 1
    reached, leads = {0}, {last}
    for v in range(1, last + 1):
        if any(rows[u][v] for u in reached):
            reached.add(v)
    for v in range(last - 1, -1, -1):
        if any(rows[v][w] for w in leads):
            leads.add(v)
    return sorted(reached & leads) if last in reached else []
