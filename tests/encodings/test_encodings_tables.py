"""Encodings against slow references, on random graphs and on the cells of every space."""

import re
from collections import Counter
from types import MappingProxyType

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foretell.curves import Curves
from foretell.encodings import adjacency, onehot, path_encoding, score_encoding, unrolled, wl
from foretell.encodings._forms import column_names, shortened
from foretell.encodings.registry import EncodingContext, encode, encodings
from foretell.errors import UsageError
from foretell.graph import Graph, Node
from foretell.spaces import CustomSpace, get_space, spaces

OPS = ("conv3x3", "conv1x1", "max_pool_3x3", "skip", "zero", "concat", "sum")
FREE = MappingProxyType({"weights": False})
NEW = ("adjacency", "path", "truncated_path", "unrolled", "wl")


@st.composite
def graphs(draw):
    n = draw(st.integers(2, 7))
    ops = ["input", *(draw(st.sampled_from(OPS)) for _ in range(n - 2)), "output"]
    pairs = [(s, t) for t in range(n) for s in range(t)]
    edges = draw(st.lists(st.sampled_from(pairs), max_size=14))
    nodes = [Node(op, FREE) if "pool" in op else Node(op) for op in ops]
    return Graph(tuple(nodes), tuple(edges))


def renumbered(graph, rng):
    """The same graph in another topological order."""
    multi = nx.MultiDiGraph(list(graph.edges))
    multi.add_nodes_from(range(len(graph.nodes)))
    last = len(graph.nodes) - 1
    keys = dict(zip(range(last + 1), rng.random(last + 1), strict=True)) | {0: -1.0, last: 2.0}
    shape = nx.DiGraph(multi)
    shape.add_edges_from((0, v) for v in range(1, last + 1))
    shape.add_edges_from((v, last) for v in range(last))
    order = list(nx.lexicographical_topological_sort(shape, key=keys.get))
    place = {v: i for i, v in enumerate(order)}
    edges = tuple((place[s], place[t]) for s, t in graph.edges)
    return Graph(tuple(graph.nodes[v] for v in order), edges)


def sample(name, n, seed=0):
    space = get_space(name)
    rng = np.random.default_rng(seed)
    return space, [space.sample(rng) for _ in range(n)]


def gram(rows):
    """Scalar products of counters."""
    return np.array([[sum(a[k] * b[k] for k in a) for b in rows] for a in rows], dtype=float)


# --- Weisfeiler-Lehman ----------------------------------------------------------------------------


def labels(graph, rounds):
    """Every label of every round, written out in full."""
    graph = graph.canonical()
    multi = nx.MultiDiGraph(list(graph.edges))
    multi.add_nodes_from(range(len(graph.nodes)))
    now = {v: node.op for v, node in enumerate(graph.nodes)}
    found = Counter((0, label) for label in now.values())
    for step in range(1, rounds + 1):
        now = {
            v: (
                now[v],
                tuple(sorted((now[u] for u, _ in multi.in_edges(v)), key=repr)),
                tuple(sorted((now[w] for _, w in multi.out_edges(v)), key=repr)),
            )
            for v in multi
        }
        found.update((step, label) for label in now.values())
    return found


@given(st.lists(graphs(), min_size=1, max_size=5), st.integers(0, 3))
def test_wl_equals_labels_written_out(many, rounds):
    expected = [labels(g, rounds) for g in many]
    table = wl(many, rounds)
    assert len(table.names) == len(set(table.names)) == len(set().union(*expected))
    np.testing.assert_array_equal(table.values @ table.values.T, gram(expected))
    for step in range(rounds + 1):
        own = [i for i, name in enumerate(table.names) if name.startswith(f"wl{step}_")]
        for row, counts in zip(table.values[:, own], expected, strict=True):
            there = sorted(n for (s, _), n in counts.items() if s == step)
            assert sorted(row[row > 0].tolist()) == there


def test_wl_names_say_what_they_count():
    nodes = tuple(map(Node, ("input", "conv3x3", "conv1x1", "output")))
    graph = Graph(nodes, ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 3)))
    found = dict(zip((t := wl([graph], 1)).names, t.values[0].tolist(), strict=True))
    assert found == {
        "wl0_input": 1, "wl0_conv3x3": 1, "wl0_conv1x1": 1, "wl0_output": 1,
        "wl1_>input>conv1x1+conv3x3": 1, "wl1_input>conv3x3>conv1x1+output": 1,
        "wl1_conv3x3+input>conv1x1>output+output": 1, "wl1_conv1x1+conv1x1+conv3x3>output>": 1,
    }  # fmt: skip


def test_wl_refuses_fewer_rounds_than_none():
    with pytest.raises(UsageError, match="rounds >= 0"):
        wl([], -1)


# --- expressions ----------------------------------------------------------------------------------


def written(graph):
    """Every expression inside the output's, as often as it is written out."""
    graph = graph.canonical()
    last = len(graph.nodes) - 1

    def value(v):
        return "x" if not v else f"{graph.nodes[v].op}({terms(v)})"

    def terms(v):
        return "+".join(sorted(value(s) for s, t in graph.edges if t == v))

    found = Counter()

    def walk(v):
        if v != last:
            found[value(v)] += 1
        for s, t in graph.edges:
            if t == v:
                walk(s)

    walk(last)
    return found


@given(st.lists(graphs(), min_size=1, max_size=4))
def test_unrolled_equals_expressions_written_out(many):
    expected = [written(g) for g in many]
    table = unrolled(many)
    assert len(table.names) == len(set(table.names)) == len(set().union(*expected))
    np.testing.assert_array_equal(table.values @ table.values.T, gram(expected))


def test_unrolled_names_say_what_they_count():
    nodes = tuple(map(Node, ("input", "conv3x3", "conv1x1", "output")))
    graph = Graph(nodes, ((0, 1), (0, 2), (1, 2), (1, 2), (1, 3), (2, 3)))
    found = dict(zip((t := unrolled([graph])).names, t.values[0].tolist(), strict=True))
    assert found == {"term_x": 4, "term_conv3x3(x)": 3, "term_conv1x1(2*conv3x3(x)+x)": 1}


def test_unrolled_tells_apart_what_expressions_do():
    """Of NAS-Bench-201: 4,930 cells, as many as there are expressions."""
    space = get_space("nb201")
    rows = unrolled([space.graph(a) for a in space.enumerate()]).values
    assert len({row.tobytes() for row in rows}) == 4930


# --- paths ----------------------------------------------------------------------------------------


def listed(graph, longest):
    """Sequences of operations from a list of all paths."""
    graph = graph.canonical()
    last = len(graph.nodes) - 1
    paths = nx.all_simple_paths(nx.DiGraph(list(graph.edges)), 0, last) if graph.edges else []
    words = (
        tuple(op for v in path[1:-1] if (op := graph.nodes[v].op) not in ("sum", "concat"))
        for path in paths
    )
    return {w for w in words if len(w) <= longest}


@given(st.lists(graphs(), min_size=1, max_size=5), st.integers(0, 6))
def test_paths_equal_those_listed_one_by_one(many, longest):
    expected = [listed(g, longest) for g in many]
    table = path_encoding(many, longest=longest)
    names = {"path_" + (">".join(path) or "direct") for path in set().union(*expected)}
    assert set(table.names) == names
    for row, paths in zip(table.values, expected, strict=True):
        there = {n for n, value in zip(table.names, row.tolist(), strict=True) if value == 1}
        assert there == {"path_" + (">".join(path) or "direct") for path in paths}


# --- all three ------------------------------------------------------------------------------------


@given(st.lists(graphs(), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_isomorphic_graphs_have_equal_rows(many, seed):
    rng = np.random.default_rng(seed)
    both = [*many, *(renumbered(g, rng) for g in many)]
    for make in (wl, unrolled, path_encoding):
        values = make(both).values
        np.testing.assert_array_equal(values[: len(many)], values[len(many) :])


@pytest.mark.parametrize("encode", [wl, unrolled, path_encoding])
def test_the_columns_kept_are_those_that_most_graphs_have(encode):
    space, archs = sample("nb201", 300)
    cells = [space.graph(a) for a in archs]
    whole = encode(cells)
    often = (whole.values > 0).sum(axis=0)
    assert (np.diff(often) <= 0).all()
    for most in (0, 7, 10**6):
        few = encode(cells, most=most)
        assert few.names == whole.names[:most]
        np.testing.assert_array_equal(few.values, whole.values[:, :most])


@pytest.mark.parametrize("encode", [wl, unrolled, path_encoding])
def test_no_graphs_and_dead_ones(encode):
    assert len(encode([])) == 0
    dead = Graph(tuple(map(Node, ("input", "zero", "output"))), ((0, 1), (1, 2)))
    assert encode([dead, dead]).values.sum() == (12 if encode is wl else 0)


# --- adjacency ------------------------------------------------------------------------------------


def columns(values):
    """Columns as a set, without those that never vary."""
    return {tuple(c) for c in np.asarray(values, dtype=float).T.tolist() if len(set(c)) > 1}


@pytest.mark.parametrize("name", ["nb201", "transnas_micro"])
def test_adjacency_of_fixed_graphs_is_their_operations(name):
    space, archs = sample(name, 500)
    table = adjacency(space, archs)
    assert columns(table.values) == columns(onehot(space, archs).values)
    assert len(table.names) == sum(space.cardinalities)


def test_adjacency_of_nb101_is_the_matrix_and_the_operations():
    """The upper triangle row by row, then three operations of five vertices."""
    space, archs = sample("nb101", 3000)
    table = adjacency(space, archs)
    genes = space.genes(archs)
    bits, codes = genes[:, :21], genes[:, 21:]
    expected = np.concatenate([bits, *(codes == op for op in (1, 2, 3))], axis=1)
    assert columns(table.values) == columns(expected)
    assert len(table.names) <= 21 + 5 * 3
    for i, arch in enumerate(archs[:50]):
        links, names = space.matrix(arch)
        ends = {len(names) - 1: 6}
        edges = {(s, ends.get(t, t)) for s, t in np.argwhere(links).tolist()}
        for name, value in zip(table.names, table.values[i].tolist(), strict=True):
            if found := re.fullmatch(r"edge_(\d)_(\d)", name):
                assert value == ((int(found[1]), int(found[2])) in edges)
            else:
                node, op = re.fullmatch(r"node_(\d)_is_(.*)", name).groups()
                assert value == (names[1:-1][int(node) - 1 : int(node)] == [op])


def test_adjacency_of_darts_is_sources_and_operations():
    space, archs = sample("darts", 500)
    cells = space.cells(archs)
    expected = [cells[:, c, e, 0] == s for c in range(2) for e in range(8) for s in range(5)]
    expected += [cells[:, 0, e, 1] == o for e in range(8) for o in range(7)]
    for source, op in cells[:, 1].transpose(1, 2, 0):  # a skip of stride 2 is another operation
        expected += [op == o for o in range(7) if o != space.ops.index("skip_connect")]
        skips = op == space.ops.index("skip_connect")
        expected += [skips & (source < 2), skips & (source >= 2)]
    assert columns(adjacency(space, archs).values) == columns(np.stack(expected, axis=1))


def test_adjacency_of_graphs_of_unequal_size():
    """Four modules and six: what is missing is missing before the output."""
    space = get_space("transnas_macro")
    archs = [space.parse(f"64-{code}-basic") for code in ("1234", "123412")]
    table = adjacency(space, archs)
    found = {n: v.tolist() for n, v in zip(table.names, table.values.T, strict=True)}
    assert found == {
        "edge_4_5": [0, 1], "edge_4_7": [1, 0], "edge_5_6": [0, 1], "edge_6_7": [0, 1],
        "node_5_is_basic": [0, 1], "node_6_is_basic_c2": [0, 1],
    }  # fmt: skip


def test_adjacency_counts_edges():
    def double(*, twice):
        ends = Node("input"), Node("output")
        return Graph(ends, ((0, 1),) * (2 if twice else 1))

    space = CustomSpace({"twice": (False, True)}, print, graph=double)
    table = adjacency(space, list(space.enumerate()))
    assert table.names == ("edge_0_1",)
    assert table.values.tolist() == [[1], [2]]


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", spaces.names())
def test_names_are_safe_and_distinct(name):
    """Of every encoding of every space; graf_compat keeps its authors' names."""
    space, archs = sample(name, 150)
    scores = {"mine.py:proxy": np.arange(150.0), "mine.py,proxy": np.arange(150.0)}
    costs = space.costs(archs, space.skeleton())
    curves = Curves({"val_loss": np.ones((150, 20))}, np.arange(1, 21))
    context = EncodingContext(space, archs, costs, scores, curves=curves)
    for kind in encodings.names():
        if (kind == "costs" and costs is None) or (kind == "graf_compat"):
            continue
        table = encode(kind, context).tables[kind]
        assert len(set(table.names)) == len(table.names)
        for column in table.names:
            assert re.fullmatch(r"[A-Za-z0-9_.+*>()=~-]{1,120}", column), (kind, column)
        assert table.values.shape[1] <= 1000
        if kind in NEW:
            assert len(table) == 150
            assert np.isfinite(table.values).all()


def test_libraries_of_trees_take_the_names():
    lightgbm = pytest.importorskip("lightgbm")
    xgboost = pytest.importorskip("xgboost")
    space, archs = sample("nb201", 120)
    costs, scores = space.costs(archs, space.skeleton()), {"nwot": np.arange(120.0)}
    curves = Curves({"val_loss": np.ones((120, 20))}, np.arange(1, 21))
    context = EncodingContext(space, archs, costs, scores, curves=curves)
    kinds = [kind for kind in encodings.names() if kind != "graf_compat"]
    encoded = encode("+".join(kinds), context)
    x, names = encoded.matrix(), list(encoded.names)
    y = np.arange(120.0)
    assert xgboost.DMatrix(x, y, feature_names=names).feature_names == names
    options = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(options, lightgbm.Dataset(x, y, feature_name=names), 2)
    assert booster.feature_name() == names


def test_unsafe_names_are_told_apart():
    first, second, third = column_names(["act=[1]", "act={1}", "plain"])
    assert third == "plain"
    assert first != second
    assert first.startswith("act=_1_~")
    assert column_names(["act=[1]", "plain"]) == ("act=_1_", "plain")


def test_long_names_are_cut_and_told_apart():
    assert shortened("a" * 100) == "a" * 100
    first, second = shortened("a" * 101), shortened("a" * 102)
    assert len(first) == len(second) == 100
    assert first != second


def test_proxies_of_files_have_safe_columns():
    table = score_encoding({"mine.py:proxy": np.array([1.0, np.nan, 3.0])})
    assert table.names == ("mine.py_proxy", "mine.py_proxy_missing")
