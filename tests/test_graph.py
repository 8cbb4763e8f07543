"""Graphs: liveness, canonical form, hash and expression."""

import math
import pickle
from collections import Counter, defaultdict
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.errors import UsageError
from foretell.graph import Graph, Node
from foretell.spaces import NB201

OPS = ("zero", "skip", "sum", "conv1", "conv3", "pool")
FUNCTIONS = {  # one function per name, all of them zero at zero
    "conv1": lambda v: math.sin(1.3 * v),
    "conv3": lambda v: v * math.exp(-0.3 * v * v),
    "pool": lambda v: math.tanh(0.7 * v),
    "nor_conv_1x1": lambda v: math.sin(1.3 * v),
    "nor_conv_3x3": lambda v: v * math.exp(-0.3 * v * v),
    "avg_pool_3x3": lambda v: math.tanh(0.7 * v),
}


def make(ops: list[str], edges: list[tuple[int, int]]) -> Graph:
    """Operations between an input and an output; pools have no weights."""
    inner = tuple(Node(o, {"weights": o != "pool"}) for o in ops)
    return Graph((Node("input"), *inner, Node("output")), tuple(edges))


def value(graph: Graph, x: float = 0.8) -> float:
    """The output where equal names are equal functions."""
    values = [x] + [0.0] * (len(graph.nodes) - 1)
    incoming = defaultdict(list)
    for source, target in graph.edges:
        incoming[target].append(source)
    for v, node in enumerate(graph.nodes[1:], 1):
        total = math.fsum(values[u] for u in incoming[v])
        if node.op == "zero":
            total = 0.0
        values[v] = FUNCTIONS[node.op](total) if node.op in FUNCTIONS else total
    return values[-1]


@st.composite
def graphs(draw: st.DrawFn, most: int = 6) -> Graph:
    ops = draw(st.lists(st.sampled_from(OPS), max_size=most))
    pairs = [(s, t) for t in range(1, len(ops) + 2) for s in range(t)]
    return make(ops, draw(st.lists(st.sampled_from(pairs), max_size=2 * len(pairs))))


@st.composite
def relabelled(draw: st.DrawFn) -> tuple[Graph, Graph]:
    """A graph, and the same one with its nodes and edges in another order."""
    graph = draw(graphs())
    last = len(graph.nodes) - 1
    left = Counter(t for _, t in graph.edges)
    order, ready = [0], [v for v in range(1, last) if not left[v]]
    while order[-1] != last:
        for s, t in graph.edges:
            if s == order[-1]:
                left[t] -= 1
                if not left[t] and t != last:
                    ready.append(t)
        order.append(ready.pop(draw(st.integers(0, len(ready) - 1))) if ready else last)
    place = {v: i for i, v in enumerate(order)}
    edges = [(place[s], place[t]) for s, t in graph.edges]
    return graph, Graph(tuple(graph.nodes[v] for v in order), tuple(draw(st.permutations(edges))))


def as_networkx(graph: Graph) -> nx.DiGraph:
    made = nx.DiGraph()
    for v, node in enumerate(graph.nodes):
        made.add_node(v, op=node.op)
    for (s, t), n in Counter(graph.edges).items():
        made.add_edge(s, t, n=n)
    return made


def isomorphic(first: Graph, second: Graph) -> bool:
    """By another library's search."""
    return nx.is_isomorphic(
        as_networkx(first),
        as_networkx(second),
        node_match=lambda a, b: a["op"] == b["op"],
        edge_match=lambda a, b: a["n"] == b["n"],
    )


@given(relabelled())
def test_the_order_of_nodes_and_edges_does_not_matter(pair: tuple[Graph, Graph]) -> None:
    first, second = pair
    assert first.hash() == second.hash()
    assert first.canonical() == second.canonical()
    assert first.alive == second.alive
    assert first.expression() == second.expression()


@given(graphs(5), graphs(5))
@settings(max_examples=300)
def test_equal_hashes_are_isomorphic_canonical_forms(first: Graph, second: Graph) -> None:
    a, b = first.canonical(), second.canonical()
    assert (first.hash() == second.hash()) == isomorphic(a, b) == (a == b)


@given(graphs())
def test_the_canonical_form_is_the_same_function_and_final(graph: Graph) -> None:
    small = graph.canonical()
    assert value(small) == pytest.approx(value(graph), abs=1e-12)
    assert small.canonical() == small
    assert small.hash() == graph.hash()
    assert small.alive == graph.alive
    assert len(small.nodes) <= len(graph.nodes)
    if graph.alive:
        assert all(small.live)
        assert not {n.op for n in small.nodes} & {"zero", "skip", "sum"}
    else:
        assert [n.op for n in small.nodes] == ["input", "output"]
        assert small.edges == ()
        assert value(graph) == 0


@given(graphs())
def test_liveness_is_what_walks_find(graph: Graph) -> None:
    walks = as_networkx(graph)
    walks.remove_nodes_from([v for v, n in enumerate(graph.nodes) if n.op == "zero"])
    last = len(graph.nodes) - 1
    for v, lives in enumerate(graph.live):
        there = v in walks and nx.has_path(walks, 0, v) and nx.has_path(walks, v, last)
        assert lives == there


@given(graphs(4), graphs(4))
@settings(max_examples=300)
def test_expressions_are_equal_where_functions_are(first: Graph, second: Graph) -> None:
    same = math.isclose(value(first), value(second), abs_tol=1e-13)
    if first.expression() == second.expression():
        assert same


def test_a_value_that_comes_in_twice_counts_twice() -> None:
    once = make(["conv3"], [(0, 1), (1, 2)])
    twice = make(["conv3"], [(0, 1), (1, 2), (1, 2)])
    by_skip = make(["conv3", "skip"], [(0, 1), (1, 2), (1, 3), (2, 3)])
    two = make(["conv3", "conv3"], [(0, 1), (0, 2), (1, 3), (2, 3)])
    assert once.hash() != twice.hash() == by_skip.hash() != two.hash()
    assert twice.expression() == two.expression() == "(0)@conv3+(0)@conv3"
    assert by_skip.canonical().edges == ((0, 1), (1, 2), (1, 2))


def test_two_equal_operations_without_weights_are_one() -> None:
    two = make(["pool", "pool"], [(0, 1), (0, 2), (1, 3), (2, 3)])
    twice = make(["pool"], [(0, 1), (1, 2), (1, 2)])
    assert two.hash() == twice.hash()
    chained = make(
        ["pool", "pool", "conv1", "conv1"], [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5)]
    )
    shared = make(["pool", "conv1", "conv1"], [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)])
    assert chained.hash() == shared.hash()


def test_many_equal_branches_stay_fast() -> None:
    n = 12
    wide = make(["conv3"] * n, [(0, i + 1) for i in range(n)] + [(i + 1, n + 1) for i in range(n)])
    assert len(wide.hash()) == 32
    deep = make(  # two by two interchangeable, but not one by one
        ["conv1", "conv3"] * 4,
        [(0, 2 * i + 1) for i in range(4)]
        + [(2 * i + 1, 2 * i + 2) for i in range(4)]
        + [(2 * i + 2, 9) for i in range(4)],
    )
    assert deep.canonical().canonical() == deep.canonical()


def concat(ops: str, edges: list[tuple[int, int]]) -> Graph:
    """Named operations between input and output."""
    return Graph(tuple(map(Node, ("input", *ops.split(), "output"))), tuple(edges))


def test_a_concat_keeps_its_parts_apart() -> None:
    """x beside conv1(x) + conv3(x) is not x, conv1(x) and conv3(x) side by side."""
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4), (4, 5)]
    summed = concat("conv1 conv3 sum concat", edges)
    skipped = concat("conv1 conv3 skip concat", edges)
    flat = concat("conv1 conv3 concat", [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4)])
    assert [n.op for n in summed.canonical().nodes].count("sum") == 1
    assert summed.hash() == skipped.hash() == summed.canonical().hash() != flat.hash()
    single = concat("conv1 skip concat", [(0, 1), (1, 2), (2, 3), (0, 3), (3, 4)])
    assert {n.op for n in single.canonical().nodes} == {"input", "conv1", "concat", "output"}


def test_attributes_do_not_count_and_survive() -> None:
    plain = Graph((Node("input"), Node("conv"), Node("output")), ((0, 1), (1, 2)))
    rich = Graph((Node("input"), Node("conv", {"k": 3}), Node("output")), ((0, 1), (1, 2)))
    assert plain.hash() == rich.hash()
    assert rich.canonical().nodes[1].attrs == {"k": 3}
    assert pickle.loads(pickle.dumps(rich)) == rich
    assert hash(plain) == hash(rich)
    assert plain != rich


@pytest.mark.parametrize(
    ("nodes", "edges"), [(1, ()), (3, ((1, 0),)), (3, ((0, 3),)), (3, ((1, 1),)), (3, ((-1, 1),))]
)
def test_unsound_graphs_are_refused(nodes: int, edges: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UsageError):
        Graph((Node("skip"),) * nodes, edges)


class TestNB201:
    """All 15,625 cells against what is published and against arithmetic."""

    @pytest.fixture(scope="class")
    def table(self) -> dict[str, list]:
        space = NB201()
        archs = list(space.enumerate())
        made = [space.graph(a) for a in archs]
        return {
            "text": [space.format(a) for a in archs],
            "graph": made,
            "hash": [g.hash() for g in made],
            "expression": [g.expression() for g in made],
            "published": [g.expression(as_published=True) for g in made],
        }

    def test_counts(self, table: dict[str, list]) -> None:
        assert sum(not g.alive for g in table["graph"]) == 341
        assert len(set(table["published"])) == 6466
        assert len(set(table["expression"])) == 4930
        assert len(set(table["hash"])) == 5260

    def test_the_published_classes_are_the_published_expressions(
        self, table: dict[str, list], validation_data: Path
    ) -> None:
        duckdb = pytest.importorskip("duckdb")
        source = validation_data / "nb201.parquet"
        found = duckdb.sql(f"select arch, iso_class from '{source}'").fetchall()
        classes = dict(found)
        assert len(classes) == 15625
        pairs = {(classes[t], e) for t, e in zip(table["text"], table["published"], strict=True)}
        assert len(pairs) == len(set(classes.values())) == len(set(table["published"])) == 6466

    def test_expressions_are_functions(self, table: dict[str, list]) -> None:
        """As many different numbers come out as there are expressions, and on the same cells."""
        numbers = [tuple(round(value(g, x), 11) for x in (0.8, 1.7)) for g in table["graph"]]
        pairs = set(zip(table["expression"], numbers, strict=True))
        assert len(set(numbers)) == len(pairs) == 4930

    def test_where_hash_and_published_form_differ(self, table: dict[str, list]) -> None:
        """The figures of docs/spaces.md."""
        hashes, classes = defaultdict(set), defaultdict(set)
        for h, p in zip(table["hash"], table["published"], strict=True):
            hashes[p].add(h)
            classes[h].add(p)
        split = [v for v in hashes.values() if len(v) > 1]
        merged = [v for v in classes.values() if len(v) > 1]
        assert (len(split), sum(map(len, split))) == (430, 864)
        assert (len(merged), sum(map(len, merged))) == (688, 2328)
        # the hash only ever refines the expression
        assert len(set(zip(table["hash"], table["expression"], strict=True))) == 5260

    def test_hashes_split_an_expression_only_by_shared_weights(
        self, table: dict[str, list]
    ) -> None:
        """Equal expressions with unequal hashes have another number of operations with weights."""
        groups: dict[str, dict[str, Graph]] = defaultdict(dict)
        for e, h, g in zip(table["expression"], table["hash"], table["graph"], strict=True):
            groups[e].setdefault(h, g.canonical())
        split = [list(v.values()) for v in groups.values() if len(v) > 1]
        assert len(split) == 326
        assert sum(map(len, split)) == 656
        for forms in split:
            for i, first in enumerate(forms):
                for second in forms[:i]:
                    assert not isomorphic(first, second)
        counts = [[sum("conv" in n.op for n in g.nodes) for g in forms] for forms in split]
        assert all(len(set(c)) > 1 for c in counts)
