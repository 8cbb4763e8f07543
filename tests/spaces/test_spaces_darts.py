"""DARTS cells: texts of published tables, edits, both cells as one graph."""

import ast
import csv
import re
from itertools import islice

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foretell.arch import Arch
from foretell.errors import ArchError
from foretell.spaces import get_space

SPACE = get_space("darts")
NORMAL = (
    "[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)]"
)
REDUCE = (
    "[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)]"
)
PUBLISHED = (  # DARTS, second order
    f"Genotype(normal={NORMAL}, normal_concat=range(2, 6), "
    f"reduce={REDUCE}, reduce_concat=range(2, 6))"
)
seeds = st.integers(0, 2**32)


def drawn(seed):
    return SPACE.sample(np.random.default_rng(seed))


def edges_of(text):
    """Every edge of both cells as (cell, node, source, operation), sorted, by plain Python."""
    cells = [ast.literal_eval(found) for found in re.findall(r"\[\(.*?\)\]", text)]
    return sorted(
        (cell, 2 + i // 2, source, op)
        for cell, edges in enumerate(cells)
        for i, (op, source) in enumerate(edges)
    )


# --- texts ----------------------------------------------------------------------------------------


def test_the_published_genotype():
    arch = SPACE.parse(PUBLISHED)
    assert edges_of(SPACE.format(arch)) == edges_of(PUBLISHED)
    assert arch.genes[:16] == (0, 3, 1, 3, 0, 3, 1, 3, 0, 2, 1, 3, 0, 2, 2, 5)
    for text in (
        PUBLISHED.replace("range(2, 6)", "[2, 3, 4, 5]"),
        PUBLISHED.replace(", ", ","),
        f"darts:{PUBLISHED}",
        SPACE.format(arch),
        str(arch),
        arch.to_json(),
    ):
        assert SPACE.parse(text) == arch


def test_tuples_number_the_operations_as_nas_bench_suite_zero_does():
    text = (
        "(((0, 0), (1, 1), (0, 2), (1, 3), (2, 4), (0, 5), (4, 6), (3, 0)), "
        "((0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0), (0, 0), (1, 0)))"
    )
    found = edges_of(SPACE.format(SPACE.parse(text)))
    assert found[:8] == [
        (0, 2, 0, "max_pool_3x3"),
        (0, 2, 1, "avg_pool_3x3"),
        (0, 3, 0, "skip_connect"),
        (0, 3, 1, "sep_conv_3x3"),
        (0, 4, 0, "dil_conv_3x3"),
        (0, 4, 2, "sep_conv_5x5"),
        (0, 5, 3, "max_pool_3x3"),
        (0, 5, 4, "dil_conv_5x5"),
    ]
    assert SPACE.parse(text.replace(" ", "")) == SPACE.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PUBLISHED.replace("range(2, 6)", "[4, 5]"), "the nodes 2 to 5 as their outputs"),
        (PUBLISHED.replace("('sep_conv_3x3', 0), ", "", 1), "two cells of eight edges"),
        (PUBLISHED.replace("dil_conv_3x3', 2", "dil_conv_3x3', 5"), "with sources before the node"),
        (PUBLISHED.replace("dil_conv_3x3", "conv_7x7"), "Unknown operation 'conv_7x7'"),
        ("(((0, 1), (1, 1)), ((0, 1), (1, 1)))", "two cells of eight edges"),
        ("1.2.3", "Expected 32 genes"),
        (f"darts:{'.'.join(['1.3.0.3'] + ['0.3.1.3'] * 7)}", "by rising source"),
        (f"{'.'.join(['0.3.2.3'] + ['0.3.1.3'] * 7)}", "with sources before the node"),
        (f"{'.'.join(['0.8.1.3'] + ['0.3.1.3'] * 7)}", "operations below 8"),
    ],
)
def test_wrong_texts_say_what_is_wrong(text, says):
    with pytest.raises(ArchError) as caught:
        SPACE.parse(text)
    assert says in str(caught.value)


def test_every_published_network_is_read(validation_data):
    """12,439 tuples and 1,000 genotypes, of which 939 hold ``none`` or one source twice."""
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "nasbench301.parquet"
    tuples = [row[0] for row in duckdb.sql(f"SELECT arch FROM '{path}'").fetchall()]
    archs = [SPACE.parse(text) for text in tuples]
    assert len(set(archs)) == len(archs) == 12_439
    assert SPACE.alive(archs).all()
    for text, arch in zip(tuples[:100], archs, strict=False):
        cells = [
            [(SPACE.ops[op], source) for source, op in edges] for edges in ast.literal_eval(text)
        ]
        assert edges_of(SPACE.format(arch)) == edges_of(f"{cells[0]} {cells[1]}")
    with (validation_data / "darts_trained_1000.csv").open(newline="") as file:
        texts = [row[0] for row in csv.reader(file)]
    trained = [SPACE.parse(text) for text in texts]
    assert len(set(trained)) == 1_000
    assert all(
        edges_of(SPACE.format(a)) == edges_of(t) for a, t in zip(trained, texts, strict=True)
    )
    inside = sum(
        all(
            one[0] != other[0] and "none" not in (one[1], other[1])
            for one, other in zip(found[::2], found[1::2], strict=True)
        )
        for found in ([e[2:] for e in edges_of(text)] for text in texts)
    )
    assert inside == 61
    assert SPACE.alive(trained).tolist() == [SPACE.graph(a).alive for a in trained]


# --- the set of architectures ---------------------------------------------------------------------


def test_size_is_the_number_of_choices():
    """Each node: a pair of earlier values, and one of seven operations on either."""
    pairs = [sum(1 for s in range(k) for _ in range(s)) for k in (2, 3, 4, 5)]
    assert pairs == [1, 3, 6, 10]
    assert SPACE.size == (1 * 3 * 6 * 10 * 7**8) ** 2 == 1_076_746_950_455_072_400
    first = list(islice(SPACE.enumerate(), 60))
    assert len(set(first)) == 60
    assert all(SPACE.check(a) is a for a in first)


def test_samples_are_uniform():
    """Sources of each node over its pairs, and operations: within five standard errors."""
    n = 4_000
    rng = np.random.default_rng(3)
    cells = SPACE.cells([SPACE.sample(rng) for _ in range(n)])
    assert (cells[..., 1] < 7).all()
    assert (cells[:, :, ::2, 0] < cells[:, :, 1::2, 0]).all()
    for node in range(4):
        pairs = cells[:, :, 2 * node : 2 * node + 2, 0].reshape(-1, 2)
        count = (node + 1) * (node + 2) // 2
        found = np.unique(pairs, axis=0, return_counts=True)[1]
        assert len(found) == count
        assert np.abs(found - 2 * n / count).max() < 5 * np.sqrt(2 * n / count)
    share = 16 * n / 7
    assert np.abs(np.bincount(cells[..., 1].ravel()) - share).max() < 5 * np.sqrt(share)


@settings(max_examples=20)
@given(seeds)
def test_every_edit_can_be_taken_back_and_has_words(seed):
    arch = drawn(seed)
    near = SPACE.neighbors(arch)
    assert len(near) == len(set(near)) == 2 * (8 * 6 + 2 * (0 + 1 + 2 + 3))
    assert len({SPACE.edit(arch, other) for other in near}) == len(near)
    for other in near[::7]:
        assert arch in SPACE.neighbors(other)
    for other in near:
        lost = set(edges_of(SPACE.format(arch))) - set(edges_of(SPACE.format(other)))
        assert len(lost) == 1
    assert SPACE.edit(arch, arch) == ""


def test_edits_in_words():
    arch = SPACE.parse(PUBLISHED)
    changed = SPACE.parse(PUBLISHED.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 4)"))
    assert SPACE.edit(arch, changed) == (
        "dil_conv_3x3 from node 4 instead of node 2 in node 5 of the normal cell"
    )
    changed = SPACE.parse(PUBLISHED.replace("('skip_connect', 0), ('dil", "('none', 0), ('dil"))
    assert SPACE.edit(arch, changed) == (
        "none instead of skip_connect from c_{k-2} in node 5 of the normal cell"
    )
    changed = SPACE.parse(PUBLISHED.replace("('dil_conv_3x3', 2)", "('sep_conv_5x5', 3)"))
    assert SPACE.edit(arch, changed) == (
        "sep_conv_5x5 from node 3 instead of dil_conv_3x3 from node 2 in node 5 of the normal cell"
    )


def test_edits_of_cells_outside_lead_inside():
    """Of a cell with ``none`` and a source taken twice: no edit makes another of these."""
    text = PUBLISHED.replace("('dil_conv_3x3', 2)", "('none', 0)")
    arch = SPACE.parse(text)
    near = SPACE.neighbors(arch)
    assert arch not in near
    nodes = [a.genes[12:16] for a in near]
    kept = [n for n in nodes if n == arch.genes[12:16]]
    assert all(n in kept or n[1] != 7 or n[0] != n[2] for n in nodes)
    assert any(n[0] != n[2] for n in nodes)
    assert any(7 not in (n[1], n[3]) for n in nodes)


def test_crossover_takes_whole_nodes():
    first, second = drawn(1), drawn(2)
    for seed in range(20):
        child = SPACE.check(SPACE.crossover(first, second, np.random.default_rng(seed)))
        for place in range(0, 32, 4):
            node = child.genes[place : place + 4]
            assert node in (first.genes[place : place + 4], second.genes[place : place + 4])


# --- graphs ---------------------------------------------------------------------------------------


def test_the_graph_is_a_normal_cell_and_a_reduction_behind_it():
    graph = SPACE.graph(SPACE.parse(PUBLISHED))
    ops = [n.op for n in graph.nodes]
    drawn_graph = nx.DiGraph(graph.edges)
    assert len(drawn_graph.edges) == len(graph.edges)  # no edge twice
    concats = [i for i, op in enumerate(ops) if op == "concat"]
    assert len(concats) == 2
    assert all(len(graph_in) == 4 for graph_in in (list(drawn_graph.pred[c]) for c in concats))
    previous = [i for i, op in enumerate(ops) if op == "previous_conv_1x1"]
    earlier = [i for i, op in enumerate(ops) if op == "earlier_conv_1x1"]
    assert [list(drawn_graph.pred[i]) for i in previous] == [[0], [concats[0]]]
    assert [list(drawn_graph.pred[i]) for i in earlier] == [[0], [0]]
    assert list(drawn_graph.pred[len(ops) - 1]) == [concats[1]]
    # the reduction: poolings and skips of its inputs have stride 2, what is behind them has not
    strides = {(n.op, n.attrs.get("stride")) for n in graph.nodes[concats[0] + 3 :]}
    assert strides == {
        ("max_pool_3x3", 2), ("skip", None), ("sum", None), ("concat", None), ("output", None),
    }  # fmt: skip


def test_a_skip_of_stride_2_has_weights():
    text = PUBLISHED.replace("('max_pool_3x3', 0)", "('skip_connect', 0)")
    graph = SPACE.graph(SPACE.parse(text))
    found = [n for n in graph.nodes if n.op == "strided_conv_1x1"]
    assert len(found) == 2
    assert all(n.attrs["weights"] and n.attrs["stride"] == 2 for n in found)


def test_inputs_that_change_places_make_another_function():
    swapped = PUBLISHED.translate(str.maketrans("01", "10")).replace("0x0", "1x1")
    first, second = SPACE.parse(PUBLISHED), SPACE.parse(swapped)
    assert first != second
    assert SPACE.graph(first).hash() != SPACE.graph(second).hash()


def test_the_hash_does_not_depend_on_the_order_of_nodes():
    """Nodes 2 and 3 of the normal cell, both on the inputs, with all that leads from them."""
    nodes = [(0, 3, 1, 4), (0, 5, 1, 6), (0, 0, 2, 1), (1, 3, 3, 4)]
    turned = [nodes[1], nodes[0], (0, 0, 3, 1), (1, 3, 2, 4)]
    rest = SPACE.parse(PUBLISHED).genes[16:]
    first, second = (
        SPACE.check(Arch("darts", (*(g for n in cell for g in n), *rest)))
        for cell in (nodes, turned)
    )
    assert first != second
    assert SPACE.graph(first).hash() == SPACE.graph(second).hash()


def test_a_cell_of_none_is_dead():
    arch = Arch("darts", (0, 7, 1, 7) * 8)
    assert not SPACE.alive([SPACE.check(arch)])[0]
    assert not SPACE.graph(arch).alive
    half = Arch("darts", (0, 3, 1, 3) * 4 + (0, 3, 1, 7) * 4)  # the reduction takes c_{k-2} alone
    other = Arch("darts", (0, 7, 1, 7) * 4 + (0, 3, 1, 7) * 4)
    assert SPACE.alive([half, other]).all()
    assert SPACE.graph(half).hash() == SPACE.graph(other).hash()


def separable(c, kernel, stride, dilation=1):
    from torch import nn

    pad = dilation * (kernel - 1) // 2
    wide = {"groups": c, "bias": False, "dilation": dilation, "padding": pad, "stride": stride}
    return [
        nn.ReLU(),
        nn.Conv2d(c, c, kernel, **wide),
        nn.Conv2d(c, c, 1, bias=False),
        nn.BatchNorm2d(c),
    ]


def published_operation(op, c, stride):
    """The operation as DARTS defines it, in torch."""
    from torch import nn

    kernel = int(op[-1])
    if op.startswith("sep"):
        return nn.Sequential(*separable(c, kernel, stride), *separable(c, kernel, 1))
    if op.startswith("dil"):
        return nn.Sequential(*separable(c, kernel, stride, 2))
    return nn.Sequential(nn.Conv2d(c, c, 1, stride, bias=False), nn.BatchNorm2d(c))


@pytest.mark.parametrize("op", ["sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"])
def test_nodes_know_their_costs_and_how_far_they_see(op):
    """Against modules: counted, and by the gradient of one pixel."""
    torch = pytest.importorskip("torch")
    from foretell.cost import count

    number = SPACE.ops.index(op)
    graph = SPACE.graph(Arch("darts", (0, number, 1, number) * 8))
    found = [n for n in graph.nodes if n.op == op]
    assert len(found) == 16
    for c, side, stride, nodes in ((36, 32, 1, found[:8]), (72, 32, 2, found[8:])):
        module = published_operation(op, c, stride)
        counted = count(module, (c, side, side))
        for node in nodes:
            assert node.attrs["stride"] == stride
            assert node.attrs["params"] == counted.params
            assert node.attrs["flops"] == counted.flops
    module = torch.nn.Sequential(
        *(m for m in published_operation(op, 2, 1) if isinstance(m, torch.nn.Conv2d))
    )
    x = torch.zeros(1, 2, 25, 25, requires_grad=True)
    module(x)[0, :, 12, 12].sum().backward()
    seen = (x.grad.abs().sum(dim=(0, 1)) > 0).any(dim=0).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == found[0].attrs["kernel"]


def test_what_strides_a_skip_and_takes_in_earlier_cells_is_counted():
    torch = pytest.importorskip("torch")
    from foretell.cost import count

    graph = SPACE.graph(Arch("darts", (0, 2, 1, 2) * 8))
    strided = [n for n in graph.nodes if n.op == "strided_conv_1x1"]
    assert len(strided) == 8
    counted = count(published_operation("skip_1", 72, 2), (72, 32, 32))
    assert {(n.attrs["params"], n.attrs["flops"]) for n in strided} == {
        (counted.params, counted.flops)
    }
    for node, c in zip([n for n in graph.nodes if "_conv_1x1" in n.op and n not in strided],
                       (36, 36, 72, 72), strict=True):  # fmt: skip
        module = torch.nn.Sequential(
            torch.nn.Conv2d(144, c, 1, bias=False), torch.nn.BatchNorm2d(c)
        )
        counted = count(module, (144, 32, 32))
        assert (node.attrs["params"], node.attrs["flops"]) == (counted.params, counted.flops)


def test_genes_have_names():
    names = [SPACE.gene_name(i) for i in range(len(SPACE.cardinalities))]
    assert names[0] == "normal node 2, first source"
    assert names[-1] == "reduce node 5, second operation"
    assert len(set(names)) == len(names)
