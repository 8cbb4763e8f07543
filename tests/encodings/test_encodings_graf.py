"""Our own GRAF against paths listed one by one, on graphs of any origin."""

from types import MappingProxyType

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.encodings import graf
from foretell.encodings.graf.classes import CLASSES, Operation
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
    what = [Operation.of(v.op, v.attrs) for v in graph.nodes]
    image = graph.nodes[0].attrs.get("resolution")
    jumps = [
        image / (v.attrs["resolution"] * w.stride) if image and "resolution" in v.attrs else 1
        for v, w in zip(graph.nodes, what, strict=True)
    ]
    quantities = {
        "ops": [w.kind is not None for w in what],
        "weighted": [w.weighted for w in what],
        "reach": [(w.kernel - 1) * j if w.kind else 0 for w, j in zip(what, jumps, strict=True)],
        **{c: [w.kind == c for w in what] for c in CLASSES},
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
    for name in ("flops", "params"):
        weight = [getattr(w, name) for w in what]
        whole = sum(weight) if paths else 0
        sums = [sum(weight[v] for v in path) for path in paths] or [0]
        found[f"{name}_total"] = np.log1p(whole)
        found[f"{name}_mean"] = np.mean(sums) / (whole or 1)
    halvings = [
        0 if w.kind == "pool" and v.attrs.get("resolution") == 1 else np.log2(w.stride)
        for v, w in zip(graph.nodes, what, strict=True)
    ]
    found["halvings_total"] = sum(halvings) if paths else 0
    found["halvings_mean"] = np.mean([sum(halvings[v] for v in p) for p in paths] or [0])
    for name in CLASSES:
        depths = []
        for v in (v for v in range(last) if what[v].kind == name):
            through = [[u for u in p if what[u].kind is not None] for p in paths if v in p]
            before = max(p.index(v) for p in through)
            after = max(len(p) - p.index(v) - 1 for p in through)
            depths.append((before + 0.5) / (before + after + 1))
        found[f"{name}_depth"] = np.mean(depths or [0])
    return found


@st.composite
def graphs(draw):
    n = draw(st.integers(2, 7))
    ops = ["input", *(draw(st.sampled_from(OPS)) for _ in range(n - 2)), "output"]
    pairs = [(s, t) for t in range(n) for s in range(t)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=12))
    return Graph(tuple(node(op) for op in ops), tuple(edges))


@st.composite
def measured_graphs(draw):
    """With what traced graphs say of their nodes."""
    plain = draw(graphs())
    sizes = st.integers(0, 10**9)
    nodes = [
        node(
            v.op,
            flops=draw(sizes),
            params=draw(sizes),
            weights=draw(st.booleans()),
            stride=draw(st.sampled_from((1, 2, 4))),
            resolution=draw(st.sampled_from((1, 4, 32))),
            kernel=draw(st.integers(1, 7)),
        )
        for v in plain.nodes
    ]
    return Graph(tuple(nodes), plain.edges)


@given(st.lists(measured_graphs(), min_size=1, max_size=3))
def test_costs_and_sizes_that_nodes_tell(many):
    table = graf(many)
    for graph, row in zip(many, table.values, strict=True):
        np.testing.assert_allclose(row, list(listed(graph).values()), rtol=1e-9, atol=1e-9)


@given(st.lists(graphs(), min_size=1, max_size=4))
def test_equals_paths_listed_one_by_one(many):
    table = graf(many)
    for graph, row in zip(many, table.values, strict=True):
        expected = listed(graph)
        assert list(expected) == list(table.names)
        np.testing.assert_allclose(row, list(expected.values()), rtol=1e-9, atol=1e-12)


def test_cells_of_nas_bench_201():
    space = get_space("nb201")
    archs = [space.sample(np.random.default_rng(s)) for s in range(60)]
    cells = [space.graph(a) for a in archs]
    table = graf(cells)
    assert np.isfinite(table.values).all()
    for cell, row in zip(cells, table.values, strict=True):
        np.testing.assert_allclose(row, list(listed(cell).values()), rtol=1e-9, atol=1e-12)


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
    dead = Graph((node("input"), node("zero"), node("output", params=5)), ((0, 1), (1, 2)))
    assert not graf([dead]).values.any()


def test_more_paths_than_a_float_can_hold():
    """Two thousand doublings: 2 ** 2000 paths, each through all operations or fewer."""
    n = 2000
    nodes = (node("input"), *(node("conv3x3") for _ in range(n)), node("output"))
    chain = [(i, i + 1) for i in range(n + 1)]
    table = graf([Graph(nodes, tuple(chain + chain[1:-1]))])
    assert table.column("paths")[0] == pytest.approx((n - 1) * np.log(2))
    assert table.column("ops_mean")[0] == pytest.approx(n)
    assert np.isfinite(table.values).all()


def test_symmetric_networks_take_no_time():
    """Twenty blocks of four equal branches: their canonical order is hard, features are not."""
    nodes, edges, end = [node("input")], [], 0
    for _ in range(20):
        start, branches = end, []
        for _ in range(4):
            edges.append((start, len(nodes)))
            branches.append(len(nodes))
            nodes.append(node("conv3x3"))
        end = len(nodes)
        edges += [(b, end) for b in branches]
        nodes.append(node("relu"))
    graph = Graph((*nodes, node("output")), (*edges, (end, len(nodes))))
    assert graf([graph]).column("paths")[0] == pytest.approx(20 * np.log(4))


def test_contracted_is_canonical_but_for_the_order():
    rng = np.random.default_rng(0)
    space = get_space("nb201")
    for cell in (space.graph(space.sample(rng)) for _ in range(20)):
        ops, edges, attrs = cell.contracted
        assert len(ops) == len(attrs)
        smallest = Graph(
            tuple(node(op) for op in ops), tuple((s, t) for s, t, n in edges for _ in range(n))
        )
        assert smallest.canonical() == cell.canonical() or smallest.hash() == cell.hash()


def test_what_stands_apart_is_neither_summed_nor_merged():
    ends = node("input"), node("output")
    parts = [node("relu", weights=False, apart=True) for _ in range(2)]
    graph = Graph((ends[0], *parts, ends[1]), ((0, 1), (0, 2), (1, 3), (2, 3)))
    assert len(graph.contracted[0]) == 4
    gate = Graph(
        (ends[0], node("a"), node("b"), node("sum"), node("mul", apart=True), ends[1]),
        ((0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 4), (4, 5)),
    )
    assert gate.contracted[0] == ("input", "a", "b", "sum", "mul", "output")


def test_names_are_safe_and_distinct():
    names = graf([]).names
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names)


def test_no_two_columns_are_the_same_on_all_cells():
    space = get_space("nb201")
    table = graf([space.graph(a) for a in space.enumerate()])
    varying = [c for c in table.values.T.round(9) if np.ptp(c)]
    assert len({c.tobytes() for c in varying}) == len(varying)


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
    assert Operation.of(made.op, made.attrs).kind == kind


def test_kernels():
    assert Operation.of("sep_conv_5x5").kernel == 5
    assert Operation.of("conv", {"kernel": (3, 7)}).kernel == 7
    assert Operation.of("gelu").kernel == 1


def test_costs_that_nobody_told_are_guessed_from_class_and_kernel():
    def costs(op, **attrs):
        found = Operation.of(op, attrs)
        return found.flops, found.params

    assert costs("conv3x3") == (9, 9)
    assert costs("conv1x1") == costs("linear") == (1, 1)
    assert costs("sep_conv_5x5") == (1 + 25 / 16, 1 + 25 / 16)
    assert costs("avg_pool_3x3") == (9 / 16, 0)
    assert costs("skip") == costs("relu") == (0, 0)
    assert costs("conv3x3", flops=7, params=0) == (7, 0)
