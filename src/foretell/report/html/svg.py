"""A placed graph as an SVG element; colours come from the page's style sheet."""

from html import escape

from foretell.graph import Graph
from foretell.report.html.layout import PlacedEdge, PlacedNode, Placement, place

__all__ = ["graph_svg"]


def graph_svg(graph: Graph, title: str) -> str:
    """Draw a graph.

    Args:
        graph: what to draw.
        title: for readers who cannot see it.

    Returns:
        One ``svg`` element, every text escaped.
    """
    placed = place(graph)
    return _svg(placed, title)


def _svg(placed: Placement, title: str) -> str:
    width, height = placed.width, placed.height
    dead = [e for e in placed.edges if not e.live]
    live = [e for e in placed.edges if e.live]
    body = [_edge(e) for e in (*dead, *live)] + [_node(n) for n in placed.nodes]
    return (
        f'<svg class="graph" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="width:{width:.0f}px;min-width:{min(width, max(0.78 * width, 300)):.0f}px">'
        f"<title>{escape(title)}</title><defs>{_arrow('live')}{_arrow('dead')}</defs>"
        f"{''.join(body)}</svg>"
    )


def _arrow(name: str) -> str:
    return (
        f'<marker id="arrow-{name}" class="arrow {name}" viewBox="0 0 8 8" refX="7" refY="4" '
        f'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0.5 8 4 0 7.5z"/></marker>'
    )


def _edge(edge: PlacedEdge) -> str:
    """A smooth line, upright at both ends (Hermite's form; the slope is dx/dy)."""
    points = edge.points
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    slopes = [
        0.0,
        *((c[0] - a[0]) / (c[1] - a[1]) for a, c in zip(points[:-2], points[2:], strict=True)),
        0.0,
    ]
    for (x, y), (to_x, to_y), leave, enter in zip(
        points[:-1], points[1:], slopes[:-1], slopes[1:], strict=True
    ):
        third = (to_y - y) * (0.5 if not leave or not enter else 1 / 3)
        parts.append(
            f"C{x + leave * third:.1f} {y + third:.1f} {to_x - enter * third:.1f} "
            f"{to_y - third:.1f} {to_x:.1f} {to_y:.1f}"
        )
    name = "live" if edge.live else "dead"
    return f'<path class="edge {name}" d="{" ".join(parts)}" marker-end="url(#arrow-{name})"/>'


def _node(node: PlacedNode) -> str:
    left, top = node.x - node.width / 2, node.y - node.height / 2
    round_ = node.height / 2 if node.kind in ("sum", "end") else 8
    words = node.detail if node.live else f"{node.detail}: has no effect on the output"
    return (
        f'<g class="node {node.kind} {"live" if node.live else "dead"}">'
        f"<title>{escape(words)}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" '
        f'rx="{round_:.0f}"/>'
        f'<text x="{node.x:.1f}" y="{node.y:.1f}" dy="0.35em">{escape(node.label)}</text></g>'
    )
