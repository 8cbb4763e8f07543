"""Drawings of graphs: nothing overlaps, everything flows down, dead parts are dead."""

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.graph import Graph, Node
from foretell.report.html.layout import place
from foretell.report.html.svg import graph_svg
from foretell.spaces.nb201 import NB201

cells = st.tuples(*[st.integers(0, 4)] * 6).map(lambda g: NB201().graph(Arch("nb201", g)))


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 12))
    ops = draw(st.lists(st.sampled_from(["conv3x3", "zero", "skip", "sum", "a long name of an op"]),
                        min_size=count - 2, max_size=count - 2))  # fmt: skip
    pairs = list(itertools.combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=2 * count))
    nodes = (Node("input"), *map(Node, ops), Node("output"))
    return Graph(nodes, tuple(edges))


@given(st.one_of(cells, graphs()))
@settings(max_examples=60, deadline=None)
def test_nothing_overlaps_and_everything_flows_down(graph):
    placed = place(graph)
    for a, b in itertools.combinations(placed.nodes, 2):
        apart_x = abs(a.x - b.x) >= (a.width + b.width) / 2
        apart_y = abs(a.y - b.y) >= (a.height + b.height) / 2
        assert apart_x or apart_y
    for node in placed.nodes:
        assert node.width / 2 <= node.x <= placed.width - node.width / 2
        assert node.height / 2 <= node.y <= placed.height - node.height / 2
    for edge in placed.edges:
        assert all(a[1] < b[1] for a, b in itertools.pairwise(edge.points))
    assert [n.live for n in placed.nodes] == list(graph.live)
    assert len(placed.edges) == len(graph.edges)


@pytest.mark.parametrize("genes", [(3, 3, 3, 3, 3, 3), (3, 0, 1, 1, 0, 3), (0, 2, 4, 0, 1, 3)])
def test_a_cell_fits_a_phone(genes):
    placed = place(NB201().graph(Arch("nb201", genes)))
    assert placed.width <= 334  # 390 less the page's and the card's padding


def test_dead_operations_are_counted():
    # node 1 has no input that is alive: what follows from it has no effect
    placed = place(NB201().graph(Arch("nb201", (0, 3, 3, 0, 4, 3))))
    assert placed.dead == 4
    assert {n.label for n in placed.nodes if not n.live} == {
        "none",
        "conv 3×3",
        "avg pool 3×3",
        "+",
    }


def test_long_edges_bend_around_nodes():
    graph = Graph((Node("input"), Node("conv3x3"), Node("output")), ((0, 1), (1, 2), (0, 2)))
    placed = place(graph)
    x, y = placed.edges[2].points[1]
    node = placed.nodes[1]
    assert y == node.y
    assert abs(x - node.x) > node.width / 2


@pytest.mark.parametrize(
    ("op", "label"),
    [
        ("nor_conv_3x3", "conv 3×3"),
        ("conv3x3", "conv 3×3"),
        ("avg_pool_3x3", "avg pool 3×3"),
        ("zero", "none"),
        ("sum", "+"),
        ("width=8", "width=8"),
        ("an operation with a very long name", "an operation with a v…"),
    ],
)
def test_labels(op, label):
    placed = place(Graph((Node("input"), Node(op), Node("output")), ((0, 1), (1, 2))))
    assert placed.nodes[1].label == label


def test_svg_is_well_formed_and_escaped():
    nodes = (Node("input"), Node("<b>&\"'", {"kernel": 3, "note": "<i>"}), Node("output"))
    text = graph_svg(Graph(nodes, ((0, 1), (1, 2))), "<script>alert(1)</script>")
    root = ElementTree.fromstring(text)
    assert root.attrib["aria-label"] == "<script>alert(1)</script>"
    assert "<b>" not in text
    assert "<script" not in text
    assert any("note <i>" in (t.text or "") for t in root.iter("title"))


def test_the_same_graph_gives_the_same_drawing():
    graph = NB201().graph(Arch("nb201", (3, 1, 2, 4, 0, 3)))
    assert graph_svg(graph, "x") == graph_svg(graph, "x")
