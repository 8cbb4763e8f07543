"""The cells of NAS-Bench-101: any graph of up to seven vertices and nine edges."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.graph import Graph, Node
from foretell.spaces._base import Space
from foretell.spaces._dag_cells import (
    EDGES,
    MIDDLE,
    MOST_EDGES,
    VERTICES,
    all_keys,
    decode,
    is_whole,
    keys,
)
from foretell.types import IntArray

__all__ = ["NB101"]

_OPS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
_TEXT = re.compile(r"([01]{4,400}):(input,[a-z0-9,-]*output)", re.ASCII)
_TUPLE = re.compile(r"\(\d(?:, ?\d){5,400}\)", re.ASCII)
_TUPLE_OPS = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
_OUTPUT = VERTICES - 1
_ROWS, _COLUMNS = np.array(EDGES).T


def _node(op: str, **attrs: object) -> Node:
    return Node(op, MappingProxyType(attrs))


_NODES = (
    _node(_OPS[0], kernel=1, stride=1, weights=True),
    _node(_OPS[1], kernel=3, stride=1, weights=True),
    _node(_OPS[2], kernel=3, stride=1, weights=False),
)
_PROJECTED_POOL = _node(_OPS[2], kernel=3, stride=1, weights=True)
_INPUT, _CONCAT, _END = _node("input"), _node("concat"), _node("output")


@dataclass(frozen=True)
class NB101(Space):
    """Cells with operations on up to five vertices between input and output.

    Genes are the upper triangle of the adjacency matrix, row by row (21 bits), and the operation
    of each vertex between: 0 no vertex, 1 conv1x1, 2 conv3x3, 3 maxpool. The output is always
    vertex 6. Cells are *whole* (every vertex is on a path from input to output) and in *canonical
    order*, so that isomorphic cells are one architecture: there are 423,624, as published. ``cell``
    and ``parse`` take any order, and leave out what is on no path, as the benchmark does.

    The graph leaves out what follows from the rest: the 1x1 projection of the input on each edge
    that leaves it, and how the channels are shared among the vertices that lead to the output. But
    a pooling that takes in the input counts as one with weights, which are those of its projection.

    An edit adds or removes an edge, changes an operation, or puts in or takes out a vertex with
    one edge in and one out, with or without an edge past it.

    Reference: Ying et al., NAS-Bench-101, ICML 2019. Differs: no training data; those are a table.

    >>> space = NB101()
    >>> space.format(space.parse("(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 4, 1)"))
    '011001000:input,conv3x3-bn-relu,output'
    """

    name: str = "nb101"

    ops: ClassVar[tuple[str, ...]] = _OPS
    """Names of the operations 1, 2 and 3."""
    published_features: ClassVar[str] = "foretell.features.graf_published:nb101"

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Two for each edge, four for each vertex."""
        return (2,) * len(EDGES) + (len(_OPS) + 1,) * MIDDLE

    @property
    def size(self) -> int:
        """423,624: as many as ``enumerate`` gives, and as published."""
        return 423_624

    def enumerate(self) -> Iterator[Arch]:
        """Every cell once; the first one takes about two seconds."""
        for part in np.array_split(all_keys(), 100):
            yield from self._archs(part)

    def cells(self, adjacency: NDArray[np.bool_], ops: IntArray) -> list[Arch]:
        """The architectures of many cells that are whole already, in any order of the vertices.

        Args:
            adjacency: (n, 7, 7), the output last.
            ops: (n, 5) as in genes.

        Raises:
            ArchError: the edges of a cell make a circle, or it is not whole.
        """
        found = keys(adjacency, ops)
        if wrong := np.flatnonzero((found < 0) | ~is_whole(adjacency, ops)).tolist():
            raise ArchError(
                f"{len(wrong)} of {len(ops)} cells, first number {wrong[0]}, are not whole cells "
                f"of {self.name!r}: give graphs without circles, with every vertex on a path from "
                f"input to output, and at most {MOST_EDGES} edges."
            )
        return self._archs(found)

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
        if (ops[0], ops[-1]) != ("input", "output") or (set(ops[1:-1]) - set(_OPS)):
            raise ArchError(
                f"Expected operations input, .., output with {', '.join(_OPS)} between, but got "
                f"{', '.join(map(str, ops))[:120]}."
            )
        kept = _on_paths(linked.astype(bool))
        if len(kept) < 2 or len(kept) > VERTICES or linked[np.ix_(kept, kept)].sum() > MOST_EDGES:
            raise ArchError(
                f"Expected a cell with a path from input to output, at most {VERTICES} vertices "
                f"and {MOST_EDGES} edges on such paths, but got {len(kept)} vertices and "
                f"{int(linked[np.ix_(kept, kept)].sum())} edges."
            )
        places = [*range(len(kept) - 1), _OUTPUT]
        whole = np.zeros((1, VERTICES, VERTICES), dtype=bool)
        whole[0][np.ix_(places, places)] = linked[np.ix_(kept, kept)]
        codes = np.zeros((1, MIDDLE), dtype=np.int64)
        codes[0, : len(kept) - 2] = [_OPS.index(ops[i]) + 1 for i in kept[1:-1]]
        return self._archs(keys(whole, codes))[0]

    def matrix(self, arch: Arch) -> tuple[IntArray, list[str]]:
        """Adjacency matrix (v, v) and names of the v operations, absent vertices left out."""
        linked, codes = self.matrices([arch])
        places = [0, *(np.flatnonzero(codes[0]) + 1).tolist(), _OUTPUT]
        names = ["input", *(_OPS[c - 1] for c in codes[0].tolist() if c), "output"]
        return linked[0][np.ix_(places, places)].astype(np.int64), names

    def sample(self, rng: Generator) -> Arch:
        """A random cell, drawn as the benchmark's authors and NASLib do: *not* uniformly.

        Seven vertices, each edge with probability 1/2, uniform operations; drawn again until what
        is on paths from input to output has at most nine edges. Cells that can be drawn in many
        orders come more often than symmetric or small ones.
        """
        while True:
            linked = np.zeros((VERTICES, VERTICES), dtype=bool)
            linked[_ROWS, _COLUMNS] = rng.integers(2, size=len(EDGES))
            ops = rng.integers(1, len(_OPS) + 1, size=MIDDLE)
            if (found := self._pruned(linked, ops)) is not None:
                return found

    def crossover(self, first: Arch, second: Arch, rng: Generator) -> Arch:
        """Each edge and operation from one parent or the other, drawn again until it is a cell."""
        linked, ops = self.matrices([first, second])
        there = np.where(ops > 0, ops, ops[::-1])  # a vertex that only one parent has
        while True:
            edges = np.where(rng.random((VERTICES, VERTICES)) < 0.5, linked[0], linked[1])
            codes = np.where(rng.random(MIDDLE) < 0.5, there[0], there[1])
            if (found := self._pruned(edges, codes)) is not None:
                return found

    def neighbors(self, arch: Arch) -> list[Arch]:
        """Every whole cell one edit away."""
        self.check(arch)
        linked, ops = (m[0] for m in self.matrices([arch]))
        cells: list[tuple[NDArray[np.bool_], IntArray]] = []

        def edited(*edges: tuple[int, int], vertex: int = 0, op: int = 0) -> None:
            cells.append((linked.copy(), ops.copy()))
            for source, target in edges:
                cells[-1][0][source, target] ^= True
            if vertex:
                cells[-1][1][vertex - 1] = op

        present = [v for v in range(1, _OUTPUT) if ops[v - 1]]
        pairs = [
            (u, v)
            for u in (0, *present)
            for v in (*present, _OUTPUT)
            if u != v and not linked[v, u]
        ]
        for pair in pairs:
            edited(pair)
        for v in present:
            for op in range(1, len(_OPS) + 1):
                if op != ops[v - 1]:
                    edited(vertex=v, op=op)
        for v in present:
            if linked[:, v].sum() == linked[v].sum() == 1:
                u, w = int(linked[:, v].argmax()), int(linked[v].argmax())
                edited((u, v), (v, w), vertex=v)
                if not linked[u, w]:
                    edited((u, v), (v, w), (u, w), vertex=v)
        if len(present) < MIDDLE:
            v = len(present) + 1
            for u, w in pairs:
                for op in range(1, len(_OPS) + 1):
                    edited((u, v), (v, w), vertex=v, op=op)
                    if linked[u, w]:
                        edited((u, v), (v, w), (u, w), vertex=v, op=op)
        edges, codes = np.array([c[0] for c in cells]), np.array([c[1] for c in cells])
        found = keys(edges, codes)
        found = found[(found >= 0) & is_whole(edges, codes)]
        return self._archs(np.array(list(dict.fromkeys(found.tolist())), dtype=np.int64))

    def edit(self, before: Arch, after: Arch) -> str:
        """Which operations, edges and vertices differ; vertices by their places in ``before``."""
        (old, new), (old_ops, new_ops) = self.matrices([before, after])
        best = min(
            ([0, *p, _OUTPUT] for p in permutations(range(1, _OUTPUT))),
            key=lambda p: int(
                (new_ops[np.array(p[1:-1]) - 1] != old_ops).sum() + (new[np.ix_(p, p)] != old).sum()
            ),
        )
        new, new_ops = new[np.ix_(best, best)], new_ops[np.array(best[1:-1]) - 1]
        words = []
        for v, (was, now) in enumerate(zip(old_ops.tolist(), new_ops.tolist(), strict=True), 1):
            if was and now and was != now:
                words.append(f"{_OPS[now - 1]} on vertex {v} instead of {_OPS[was - 1]}")
            elif was != now:
                words.append(
                    f"vertex {v} of {_OPS[(now or was) - 1]} {'added' if now else 'removed'}"
                )
        ends = {0: "input", _OUTPUT: "output"}
        for u, v in np.argwhere(old != new).tolist():
            edge = f"{ends.get(u, u)}->{ends.get(v, v)}"
            words.append(f"edge {edge} {'added' if new[u, v] else 'removed'}")
        return ", ".join(words)

    def check(self, arch: Arch) -> Arch:
        """The same architecture, if its genes are a whole cell in canonical order.

        Raises:
            ArchError: they are not.
        """
        super().check(arch)
        counts = self.cardinalities
        if len(arch.genes) != len(counts) or any(
            not 0 <= g < c for g, c in zip(arch.genes, counts, strict=True)
        ):
            raise ArchError(
                f"Expected {len(EDGES)} genes of 0 and 1 and {MIDDLE} of 0 to {len(_OPS)} for the "
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
        linked, names = self.matrix(arch)
        return f"{''.join(map(str, linked.ravel().tolist()))}:{','.join(names)}"

    def parse(self, text: str) -> Arch:
        """The architecture of what ``format`` writes, of a tuple, of dotted genes, or of JSON.

        Tuples are those of NAS-Bench-Suite-Zero: the adjacency matrix row by row, then 0 input,
        1 output, 2 maxpool3x3, 3 conv1x1, 4 conv3x3 for each vertex.

        Raises:
            ArchError: the text is none of them, or no cell.
        """
        word = text.strip().removeprefix(f"{self.name}:")
        if found := _TEXT.fullmatch(word):
            numbers, names = [int(c) for c in found[1]], found[2].split(",")
        elif _TUPLE.fullmatch(word):
            numbers = list(ast.literal_eval(word))
            v = next((n for n in range(2, 20) if n * (n + 1) == len(numbers)), 0)
            names = [dict(enumerate(_TUPLE_OPS)).get(n, str(n)) for n in numbers[v * v :]]
            numbers = numbers[: v * v]
        else:
            return super().parse(text)
        v = len(names)
        if not v or v * v != len(numbers):
            raise ArchError(
                f"{word[:80]!r} is no cell of {self.name!r}: the adjacency and the operations do "
                f"not fit; expected text such as {self.example()!r}."
            )
        return self.cell(np.reshape(numbers, (v, v)).tolist(), names)

    def graph(self, arch: Arch) -> Graph:
        """The cell: vertices, and a concatenation of those that lead to the output.

        An edge from input to output adds the input to the concatenation.
        """
        linked, names = self.matrix(self.check(arch))
        last = len(names) - 1
        nodes = [_INPUT, *(_NODES[_OPS.index(n)] for n in names[1:-1])]
        for v in range(1, last):
            if linked[0, v] and names[v] == _OPS[2]:
                nodes[v] = _PROJECTED_POOL
        leads = np.flatnonzero(linked[1:, last]) + 1
        edges = [(u, v) for u, v in np.argwhere(linked).tolist() if v < last]
        if len(leads) > 1:
            edges += [(u, last) for u in leads.tolist()]
            nodes.append(_CONCAT)
            leads = np.array([last])
        edges += [(u, len(nodes)) for u in leads.tolist()]
        if linked[0, last]:
            edges.append((0, len(nodes)))
        return Graph((*nodes, _END), tuple(edges))

    def adjacency(self, archs: Sequence[Arch]) -> tuple[IntArray, NDArray[np.str_]]:
        """Matrices (n, 7, 7) and operations (n, 7), without the graph's concatenation."""
        linked, codes = self.matrices(archs)
        ops = np.full((len(archs), VERTICES), "input", dtype="<U24")
        ops[:, 1:-1] = np.array(["", *_OPS])[codes]
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
        """The cell of what is on paths from input to output; None if that is no cell."""
        kept = np.zeros(VERTICES, dtype=bool)
        kept[_on_paths(linked)] = True
        inside = linked & kept & kept[:, None]
        if not kept.any() or inside.sum() > MOST_EDGES:
            return None
        return self._archs(keys(inside[None], np.where(kept[1:-1], ops, 0)[None]))[0]


def _on_paths(linked: NDArray[np.bool_]) -> list[int]:
    """Vertices on paths from first to last, rising; none if there is no path."""
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
