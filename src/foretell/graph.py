"""A labelled DAG: operations on nodes, values on edges.

Every node applies its operation to the sum of its inputs; ``concat`` and operations whose attribute
``apart`` is True concatenate them instead. Two operations of the same name have separate weights.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from foretell.errors import UsageError

__all__ = ["Graph", "Node"]

ZERO = frozenset({"zero", "none"})
IDENTITY = frozenset({"identity", "skip", "skip_connect", "sum"})
CONCAT = frozenset({"concat"})

Edges = tuple[tuple[int, int, int], ...]
"""(source, target, multiplicity), sorted."""
Parts = tuple[tuple[str, ...], Edges, tuple[Mapping[str, Any], ...]]
"""Operations, edges and attributes of nodes."""


@dataclass(frozen=True)
class Node:
    """One operation.

    Args:
        op: "input", "output", "zero", "skip", "sum", "conv3x3" and so on; same op, same function
            up to its weights.
        attrs: channels, kernel, stride, params, flops and any other facts. ``weights``: False for
            an operation without weights, so that two of them with the same inputs are one.
            ``apart``: True if the inputs are not summed.
    """

    op: str
    attrs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __hash__(self) -> int:
        """Hash of the operation; mappings have none."""
        return hash(self.op)

    def __reduce__(self) -> tuple[type["Node"], tuple[str, dict[str, Any]]]:
        """Support pickling."""
        return type(self), (self.op, dict(self.attrs))


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; the first is the input, the last the output.

    Args:
        nodes: the operations.
        edges: (source, target) with source < target; a repeated pair adds the value twice.

    Raises:
        UsageError: there are fewer than two nodes, or an edge does not lead forward.

    >>> conv, skip = Node("conv3x3"), Node("skip")
    >>> ends = Node("input"), Node("output")
    >>> long = Graph((ends[0], conv, skip, ends[1]), ((0, 1), (1, 2), (2, 3)))
    >>> long.hash() == Graph((ends[0], conv, ends[1]), ((0, 1), (1, 2))).hash()
    True
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Check the edges."""
        if len(self.nodes) < 2:
            raise UsageError(f"A graph has an input and an output, but got {len(self.nodes)} node.")
        for source, target in self.edges:
            if not 0 <= source < target < len(self.nodes):
                raise UsageError(
                    f"Expected edges (from, to) with 0 <= from < to < {len(self.nodes)}, but got "
                    f"{(source, target)}: list the nodes in topological order."
                )

    def __reduce__(self) -> tuple[type["Graph"], tuple[tuple[Node, ...], tuple[Any, ...]]]:
        """Support pickling, without cached values."""
        return type(self), (self.nodes, self.edges)

    @cached_property
    def live(self) -> tuple[bool, ...]:
        """Whether each node lies on a path from input to output without a zero operation."""
        last = len(self.nodes) - 1
        passes = [n.op not in ZERO for n in self.nodes]
        reached, leads = [False] * (last + 1), [False] * (last + 1)
        reached[0], leads[last] = passes[0], passes[last]
        edges = sorted(self.edges)
        for source, target in edges:
            reached[target] |= reached[source] and passes[target]
        for source, target in reversed(edges):
            leads[source] |= leads[target] and passes[source]
        return tuple(r and o for r, o in zip(reached, leads, strict=True))

    @property
    def alive(self) -> bool:
        """Whether some path without a zero operation leads from input to output."""
        return self.live[-1]

    def canonical(self) -> "Graph":
        """The canonical form: the smallest graph of the same function; equal for isomorphic graphs.

        Zero operations and dead nodes are removed, identities and sums are contracted (a value that
        is added twice keeps two edges), operations without weights and with the same inputs are
        merged, and the nodes are in a canonical order. A dead graph becomes an input and an output
        without an edge.
        """
        ops, edges, attrs = self._canonical
        nodes = tuple(Node(op, a) for op, a in zip(ops, attrs, strict=True))
        return Graph(nodes, tuple((s, t) for s, t, n in edges for _ in range(n)))

    def hash(self) -> str:
        """The same text for two graphs if and only if their canonical forms are isomorphic.

        Only operations and edges count; other attributes do not.
        """
        ops, edges, _ = self._canonical
        return hashlib.blake2b(repr((ops, edges)).encode(), digest_size=16).hexdigest()

    def expression(self, *, as_published: bool = False) -> str:
        """The output as an expression of the input; shared parts appear once per use.

        The text does not distinguish one operation that is used twice from two equal ones with
        separate weights; ``hash`` does. It can be exponentially longer than the graph.

        Args:
            as_published: the form by which NAS-Bench-201 counts its 6,466 cells: a term that is
                zero stays in its sum, so that a sum of two zeros is not simplified to zero, and
                nested sums are not flattened.
        """
        incoming: list[list[int]] = [[] for _ in self.nodes]
        for source, target in self.edges:
            incoming[target].append(source)
        terms: list[list[str]] = [["0"]]  # the terms of the sum that each node is
        for node, sources in zip(self.nodes[1:], incoming[1:], strict=True):
            if as_published:
                values = sorted("+".join(terms[s]) for s in sources)
            else:
                values = sorted(t for s in sources for t in terms[s])
            if node.op in ZERO or not values or values == ["#"]:
                values = ["#"] if as_published else []
            elif node.op not in IDENTITY and node.op != "output":
                values = [f"({'+'.join(values)})@{node.op}"]
            terms.append(values)
        return "+".join(terms[-1]) or "#"

    @cached_property
    def contracted(self) -> Parts:
        """Operations, edges and attributes of the contracted graph, in the order of this graph.

        Like ``canonical`` without the canonical order, whose search can take exponential time on
        large graphs of equal parts; this takes linear time.
        """
        nodes, incoming = self._contracted()
        index_of = {v: i for i, v in enumerate(nodes)}
        last = len(self.nodes) - 1
        ops = tuple(
            "sum" if self.nodes[v].op in IDENTITY and v != last else self.nodes[v].op for v in nodes
        )
        edges = tuple(
            sorted((index_of[u], index_of[v], n) for v in nodes for u, n in incoming[v].items())
        )
        return ops, edges, tuple(self.nodes[v].attrs for v in nodes)

    @cached_property
    def _canonical(self) -> Parts:
        ops, edges, attrs = self.contracted
        order = _order(ops, edges)
        rank = {v: i for i, v in enumerate(order)}
        return (
            tuple(ops[v] for v in order),
            tuple(sorted((rank[u], rank[v], n) for u, v, n in edges)),
            tuple(attrs[v] for v in order),
        )

    def _contracted(self) -> tuple[list[int], dict[int, dict[int, int]]]:
        """Remaining nodes, and the inputs of each with their multiplicity."""
        last = len(self.nodes) - 1
        if not self.alive:
            return [0, last], {0: {}, last: {}}
        incoming: list[list[int]] = [[] for _ in self.nodes]
        for source, target in self.edges:
            if self.live[source] and self.live[target]:
                incoming[target].append(source)
        value: dict[int, dict[int, int]] = {0: {0: 1}}  # as a sum of nodes that stay
        remaining: dict[int, dict[int, int]] = {0: {}}
        node_of: dict[object, int] = {}
        for v in range(1, last + 1):
            if not self.live[v]:
                continue
            node = self.nodes[v]
            total: dict[int, int] = {}
            apart = node.attrs.get("apart") is True
            for u in incoming[v]:
                parts = value[u]
                if (apart or node.op in CONCAT) and (len(parts) > 1 or max(parts.values()) > 1):
                    parts = {u: 1}  # a sum that stands beside others stays a node
                    remaining.setdefault(u, value[u])
                for w, times in parts.items():
                    total[w] = total.get(w, 0) + times
            if node.op in IDENTITY and v != last:
                value[v] = total
                continue
            if node.attrs.get("weights") is False and not apart:
                same = node_of.setdefault((node.op, frozenset(total.items())), v)
                if same != v:
                    value[v] = {same: 1}
                    continue
            remaining[v], value[v] = total, {v: 1}
        return sorted(remaining), remaining


@lru_cache(maxsize=2**16)
def _order(ops: tuple[str, ...], edges: Edges) -> tuple[int, ...]:
    """Nodes in a canonical order, which depends only on the graph's shape and operations."""
    incoming: list[dict[int, int]] = [{} for _ in ops]
    outgoing: list[dict[int, int]] = [{} for _ in ops]
    depth = [0] * len(ops)
    for u, v, n in edges:
        incoming[v][u] = n
        outgoing[u][v] = n
    for v, sources in enumerate(incoming):
        depth[v] = 1 + max((depth[u] for u in sources), default=-1)
    depth[-1] = max(depth[-1], len(ops))  # the output is last, also where nothing leads to it

    def refine(colors: list[int]) -> list[int]:
        while True:
            marks = [
                (
                    colors[v],
                    sorted((colors[u], n) for u, n in incoming[v].items()),
                    sorted((colors[w], n) for w, n in outgoing[v].items()),
                )
                for v in range(len(ops))
            ]
            finer = _ranks(marks)
            if len(set(finer)) == len(set(colors)):
                return finer
            colors = finer

    def search(colors: list[int]) -> tuple[Edges, list[int]]:
        colors = refine(colors)
        sizes = Counter(colors)
        shared = [c for c in sorted(sizes) if sizes[c] > 1]
        if not shared:
            code = sorted((colors[u], colors[v], n) for u, v, n in edges)
            return tuple(code), colors
        members = [v for v, c in enumerate(colors) if c == shared[0]]
        # nodes with the same neighbours can change places: one of them stands for all
        unlike = {
            repr((sorted(incoming[v].items()), sorted(outgoing[v].items()))): v for v in members
        }
        return min(
            search([2 * c - (w == v) for w, c in enumerate(colors)]) for v in unlike.values()
        )

    _, places = search(_ranks([(d, op) for d, op in zip(depth, ops, strict=True)]))
    return tuple(sorted(range(len(ops)), key=places.__getitem__))


def _ranks(marks: Iterable[Any]) -> list[int]:
    """Index of each mark among the distinct ones."""
    marks = list(marks)
    distinct: list[Any] = []
    for mark in sorted(marks):
        if not distinct or mark != distinct[-1]:
            distinct.append(mark)
    return [distinct.index(mark) for mark in marks]
