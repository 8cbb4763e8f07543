"""Our own GRAF against paths listed one by one, on graphs of any origin."""

from types import MappingProxyType

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.features import graf
from foretell.features._classes import CLASSES, kernel_size, op_class
from foretell.graph import Graph, Node
from foretell.spaces import get_space

OPS = ("conv3x3", "conv1x1", "sep_conv_5x5", "max_pool_3x3", "skip", "zero", "gelu", "linear")


def node(op, **attrs):
    return Node(op, MappingProxyType(attrs))


def listed(graph):
    """The same features from a list of all paths of the canonical graph."""
    graph = graph.canonical()
    last = len(graph.nodes) - 1
    multi = nx.MultiDiGraph()
    multi.add_nodes_from(range(last + 1))
    multi.add_edges_from((s, t, i) for i, (s, t) in enumerate(graph.edges))
    paths = [[v for _, v, _ in path] for path in nx.all_simple_edge_paths(multi, 0, last) if path]
    entering = [sum(t == v for _, t in graph.edges) for v in range(last + 1)]
    found = {
        "paths": np.log1p(len(paths)),
        "direct": sum(e == (0, last) for e in graph.edges),
        "fan_out": sum(s == 0 for s, _ in graph.edges),
        "fan_in": entering[last],
        "joins": sum(n > 1 for n in entering[:last]),
        "edges": len(graph.edges),
    }
    kinds = [op_class(v) for v in graph.nodes]
    quantities = {
        "ops": [k is not None for k in kinds],
        "weighted": [k not in (None, "pool", "other") for k in kinds],
        "reach": [kernel_size(v) - 1 if k else 0 for v, k in zip(graph.nodes, kinds, strict=True)],
        **{c: [k == c for k in kinds] for c in CLASSES},
    }
    for name, weight in quantities.items():
        sums = [sum(weight[v] for v in path) for path in paths] or [0]
        found |= {
            f"{name}_total": sum(weight) if paths else 0,
            f"{name}_max": max(sums),
            f"{name}_min": min(sums),
            f"{name}_mean": np.mean(sums),
            f"{name}_spread": max(sums) - min(sums),
        }
    return found


@st.composite
def graphs(draw):
    n = draw(st.integers(2, 7))
    ops = ["input", *(draw(st.sampled_from(OPS)) for _ in range(n - 2)), "output"]
    pairs = [(s, t) for t in range(n) for s in range(t)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=12))
    return Graph(tuple(node(op) for op in ops), tuple(edges))


@given(st.lists(graphs(), min_size=1, max_size=4))
def test_equals_paths_listed_one_by_one(many):
    table = graf(many)
    for graph, row in zip(many, table.values, strict=True):
        expected = listed(graph)
        assert list(expected) == list(table.names)
        np.testing.assert_allclose(row, list(expected.values()), rtol=1e-9)


def test_cells_of_nas_bench_201():
    space = get_space("nb201")
    archs = [space.sample(np.random.default_rng(s)) for s in range(60)]
    cells = [space.graph(a) for a in archs]
    table = graf(cells)
    assert np.isfinite(table.values).all()
    for cell, row in zip(cells, table.values, strict=True):
        np.testing.assert_allclose(row, list(listed(cell).values()), rtol=1e-9)


def test_equal_functions_have_equal_features():
    """A skip more, a dead branch more: nothing changes."""
    ends = node("input"), node("output")
    plain = Graph((ends[0], node("conv3x3"), ends[1]), ((0, 1), (1, 2)))
    longer = Graph(
        (ends[0], node("skip"), node("conv3x3"), node("conv3x3"), node("zero"), ends[1]),
        ((0, 1), (1, 2), (2, 5), (0, 3), (3, 4), (4, 5)),
    )
    values = graf([plain, longer]).values
    np.testing.assert_array_equal(values[0], values[1])


def test_a_dead_graph_is_zero():
    dead = Graph((node("input"), node("zero"), node("output")), ((0, 1), (1, 2)))
    assert not graf([dead]).values.any()


def test_no_graphs_give_no_rows():
    assert len(graf([])) == 0


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (node("nor_conv_1x1"), "pointwise"),
        (node("conv2d", kernel=(1, 3)), "conv"),
        (node("conv2d", kernel=1), "pointwise"),
        (node("dil_conv_3x3"), "separable"),
        (node("depthwise"), "separable"),
        (node("MaxPool"), "pool"),
        (node("MultiheadAttention"), "attention"),
        (node("Linear"), "linear"),
        (node("gelu"), "other"),
        (node("gelu", kind="conv"), "conv"),
        (node("skip_connect"), None),
        (node("input"), None),
    ],
)
def test_classes(made, kind):
    assert op_class(made) == kind


def test_kernels():
    assert kernel_size(node("sep_conv_5x5")) == 5
    assert kernel_size(node("conv", kernel=(3, 7))) == 7
    assert kernel_size(node("gelu")) == 1
