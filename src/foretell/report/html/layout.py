"""Positions for a small labelled DAG, from top to bottom, by layers.

The steps are those of Sugiyama, Tagawa and Toda (1981): layers by the longest path, few crossings
by barycentres, then x positions; the last step is solved exactly, layer by layer, as an isotonic
regression. Graphs of a search space have tens of nodes, so clarity counts and speed does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from foretell.graph import Graph, Node
from foretell.types import Array

__all__ = ["PlacedEdge", "PlacedNode", "Placement", "place"]

ZERO_OPS = frozenset({"zero", "none"})
SUMS = frozenset({"sum", "add"})
ENDS = frozenset({"input", "output"})
HEIGHT, SMALL, DUMMY = 34.0, 22.0, 10.0
ROW_GAP, COLUMN_GAP, MARGIN = 30.0, 14.0, 8.0
LETTER = 7.6


@dataclass(frozen=True)
class PlacedNode:
    """One operation and where it is drawn.

    Args:
        label: short text.
        detail: everything known about it, one line.
        kind: "end", "sum", "zero", "skip" or "op".
        live: whether it lies on a path from input to output without a zero operation.
        x: of the middle, pixels.
        y: of the middle.
        width: pixels.
        height: pixels.
    """

    label: str
    detail: str
    kind: str
    live: bool
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class PlacedEdge:
    """A line through points, from the lower side of one node to the upper side of another.

    Args:
        points: (x, y), two or more, from top to bottom.
        live: whether both of its ends are live.
    """

    points: tuple[tuple[float, float], ...]
    live: bool


@dataclass(frozen=True)
class Placement:
    """A drawing without ink.

    Args:
        nodes: in the order of the graph.
        edges: in the order of the graph.
        width: pixels.
        height: pixels.
        dead: how many operations, ends and sums aside, have no effect.
    """

    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    width: float
    height: float
    dead: int


def place(graph: Graph) -> Placement:
    """Where to draw each node and edge of a graph.

    Args:
        graph: nodes in topological order.

    Returns:
        Positions in pixels, the input on top.
    """
    live = graph.live
    layer = _layers(graph)
    count = len(graph.nodes)
    # every edge over several layers becomes a chain of dummies, so that it bends around nodes
    widest = max(_width(node) for node in graph.nodes)
    widths = [widest if _kind(n) in ("op", "skip", "zero") else _width(n) for n in graph.nodes]
    heights = [_height(node) for node in graph.nodes]
    chains: list[list[int]] = []
    links: list[tuple[int, int]] = []
    for a, b in graph.edges:
        chain = [a]
        for step in range(layer[a] + 1, layer[b]):
            layer.append(step)
            widths.append(DUMMY)
            heights.append(0.0)
            chain.append(len(layer) - 1)
        chain.append(b)
        chains.append(chain)
        links += list(pairwise(chain))
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    for item, row in enumerate(layer):
        rows[row].append(item)
    _uncross(rows, links)
    x = _columns(rows, links, widths, count)
    left = min(v - w / 2 for v, w in zip(x, widths, strict=True))
    x = [v - left + MARGIN for v in x]
    y, top = [0.0] * len(layer), MARGIN
    row_height = [max([heights[i] for i in row] or [0.0]) for row in rows]
    for members, high in zip(rows, row_height, strict=True):
        for item in members:
            y[item] = top + high / 2
        top += high + ROW_GAP
    nodes = tuple(
        PlacedNode(_label(n), _detail(n), _kind(n), live[i], x[i], y[i], widths[i], heights[i])
        for i, n in enumerate(graph.nodes)
    )
    edges = []
    for (a, b), chain in zip(graph.edges, chains, strict=True):
        points = [(x[a], y[a] + heights[a] / 2)]
        for item in chain[1:-1]:
            points.append((x[item], y[item]))
        points.append((x[b], y[b] - heights[b] / 2))
        edges.append(PlacedEdge(tuple(points), live[a] and live[b]))
    return Placement(
        nodes=nodes,
        edges=tuple(edges),
        width=max(v + w / 2 for v, w in zip(x, widths, strict=True)) + MARGIN,
        height=top - ROW_GAP + MARGIN,
        dead=sum(not live[i] and nodes[i].kind not in ("end", "sum") for i in range(count)),
    )


def _kind(node: Node) -> str:
    if node.op in ENDS:
        return "end"
    if node.op in SUMS:
        return "sum"
    if node.op in ZERO_OPS:
        return "zero"
    return "skip" if node.op in ("skip", "identity", "skip_connect") else "op"


def _label(node: Node) -> str:
    kind = _kind(node)
    if kind in ("sum", "zero"):
        return {"sum": "+", "zero": "none"}[kind]
    text, out = node.op.removeprefix("nor_").replace("_", " "), []
    for i, letter in enumerate(text):
        around = text[i - 1 : i].isdigit() and text[i + 1 : i + 2].isdigit()
        if letter == "x" and around:
            out.append("×")
        elif letter.isdigit() and i and text[i - 1].isalpha() and text[i - 1] != "x":
            out.append(" " + letter)
        else:
            out.append(letter)
    label = "".join(out)
    return label if len(label) <= 22 else label[:21] + "…"


def _detail(node: Node) -> str:
    known = [f"{k} {v}" for k, v in node.attrs.items() if v is not None]
    return ", ".join([node.op, *known])


def _width(node: Node) -> float:
    if _kind(node) == "sum":
        return SMALL
    return max(64.0, LETTER * len(_label(node)) + 24)


def _height(node: Node) -> float:
    return SMALL if _kind(node) == "sum" else HEIGHT


def _layers(graph: Graph) -> list[int]:
    """The longest path from above; what has room below is moved to the middle of its room."""
    count = len(graph.nodes)
    layer = [0] * count
    for a, b in sorted(graph.edges, key=lambda e: e[1]):
        layer[b] = max(layer[b], layer[a] + 1)
    last = max(layer)
    if graph.edges:
        layer[-1] = last = max(last, layer[-1])
    inputs: list[list[int]] = [[] for _ in range(count)]
    outputs: list[list[int]] = [[] for _ in range(count)]
    for a, b in graph.edges:
        outputs[a].append(b)
        inputs[b].append(a)
    for node in range(1, count - 1):
        if inputs[node] and outputs[node]:
            high = max(layer[i] for i in inputs[node]) + 1
            low = min(layer[o] for o in outputs[node]) - 1
            layer[node] = (high + low) // 2
    return layer


def _uncross(rows: list[list[int]], links: Sequence[tuple[int, int]]) -> None:
    """Order each row so that few links cross: barycentres, up and down, the best kept."""
    up: dict[int, list[int]] = {}
    down: dict[int, list[int]] = {}
    for a, b in links:
        down.setdefault(a, []).append(b)
        up.setdefault(b, []).append(a)
    best, fewest = [list(r) for r in rows], _crossings(rows, links)
    for sweep in range(12):
        near = up if sweep % 2 == 0 else down
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for r in order:
            place = {item: k for row in rows for k, item in enumerate(row)}

            def middle(
                item: int, near: dict[int, list[int]] = near, at: dict[int, int] = place
            ) -> float:
                around = near.get(item)
                return sum(at[i] for i in around) / len(around) if around else float(at[item])

            rows[r].sort(key=middle)
        found = _crossings(rows, links)
        if found < fewest:
            best, fewest = [list(r) for r in rows], found
    rows[:] = best


def _crossings(rows: Sequence[Sequence[int]], links: Sequence[tuple[int, int]]) -> int:
    place = {item: (r, k) for r, row in enumerate(rows) for k, item in enumerate(row)}
    total = 0
    spans = [(place[a][0], place[a][1], place[b][1]) for a, b in links]
    for i, (row, top, bottom) in enumerate(spans):
        for other, top2, bottom2 in spans[:i]:
            total += row == other and (top - top2) * (bottom - bottom2) < 0
    return total


def _columns(
    rows: Sequence[Sequence[int]],
    links: Sequence[tuple[int, int]],
    widths: Sequence[float],
    real: int,
) -> list[float]:
    """Where each item is: near its neighbours, in the row's order, without overlap.

    Items from ``real`` on are dummies; a link between two of them pulls eight times as strongly as
    one between two nodes, so that long edges run straight (Gansner et al., 1993).
    """
    near: list[list[int]] = [[] for _ in widths]
    pull: list[list[float]] = [[] for _ in widths]
    for a, b in links:
        weight = (1.0, 2.0, 8.0)[(a >= real) + (b >= real)]
        near[a].append(b)
        near[b].append(a)
        pull[a].append(weight)
        pull[b].append(weight)
    x = np.zeros(len(widths))
    for row in rows:
        edge = 0.0
        for item in row:
            x[item] = edge + widths[item] / 2
            edge += widths[item] + COLUMN_GAP
        if row:
            x[list(row)] -= (edge - COLUMN_GAP) / 2
    for _ in range(40):
        for row in rows:
            if not row:
                continue
            wish = [
                float(np.average(x[near[i]], weights=pull[i])) if near[i] else x[i] for i in row
            ]
            force = [sum(pull[i]) or 1.0 for i in row]
            gaps = [(widths[a] + widths[b]) / 2 + COLUMN_GAP for a, b in pairwise(row)]
            offset = np.concatenate([[0.0], np.cumsum(gaps)])
            x[list(row)] = _isotonic(np.array(wish) - offset, force) + offset
    return [float(v) for v in x]


def _isotonic(values: Array, weights: Sequence[float]) -> Array:
    """The non-decreasing sequence nearest to ``values`` in weighted squared distance."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        mean, force, size = float(value), weight, 1
        while blocks and blocks[-1][0] > mean:
            before, pulled, count = blocks.pop()
            mean = (before * pulled + mean * force) / (pulled + force)
            force, size = pulled + force, count + size
        blocks.append((mean, force, size))
    return np.concatenate([np.full(size, mean) for mean, _, size in blocks])
