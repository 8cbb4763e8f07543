"""GRAF against values of the authors' code, and against paths listed one by one."""

import ast
import json

import networkx as nx
import numpy as np
import pytest

from foretell.encodings import (
    EncodingTable,
    graf_darts,
    graf_nb101,
    graf_nb201,
    graf_transnas_macro,
    graf_transnas_micro,
)
from foretell.encodings.graf.subsets import label, subsets
from foretell.errors import ArchError, UsageError

MICRO = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def lengths(edges, start, end):
    graph = nx.MultiDiGraph([(*e, i) for i, e in enumerate(edges)])
    graph.add_nodes_from((start, end))
    return [len(p) for p in nx.all_simple_edge_paths(graph, start, end)]


def darts_cells(rng, n):
    sources = np.empty((n, 2, 8), dtype=np.int64)
    for cell in sources.reshape(-1, 8):
        for node in range(4):
            cell[2 * node : 2 * node + 2] = rng.permutation(node + 2)[:2]
    return sources, rng.integers(7, size=(n, 2, 8))


# --- values of the authors' code ------------------------------------------------------------------


def test_nb201_equals_the_authors_code_on_2000_cells(validation_data):
    duckdb = pytest.importorskip("duckdb")
    path = validation_data / "graf_nb201_features_2000.parquet"
    found = duckdb.sql(f"SELECT * FROM '{path}'")
    rows = found.fetchall()
    ops = np.array([ast.literal_eval(row[0]) for row in rows])
    table = graf_nb201(ops)
    assert list(table.names) == found.columns[1:]
    np.testing.assert_array_equal(table.values, np.array([row[1:] for row in rows], dtype=float))


def test_nb201_equals_the_authors_examples(validation_data):
    examples = json.loads((validation_data / "graf_examples.json").read_text())
    ops = np.array([ast.literal_eval(e["net"]) for e in examples["examples"]])
    table = graf_nb201(ops)
    assert list(table.names) == examples["column_order"]
    for row, example in zip(table.values, examples["examples"], strict=True):
        assert dict(zip(table.names, row.tolist(), strict=True)) == example["features"]


# --- measured facts about the columns -------------------------------------------------------------


def test_nb201_has_as_many_distinct_columns_as_measured():
    """Six constant columns, 158 distinct ones and rank 72, on all cells (spec, section 1.1)."""
    values = graf_nb201(np.array(list(np.ndindex(*(5,) * 6)))).values.astype(np.float64)
    assert values.shape == (15_625, 191)
    assert (np.ptp(values, axis=0) == 0).sum() == 6
    assert len(np.unique(values, axis=1).T) == 158
    assert np.linalg.matrix_rank(values - values.mean(axis=0)) == 72


def test_micro_has_as_many_distinct_columns_as_measured():
    values = graf_transnas_micro(np.array(list(np.ndindex(*(4,) * 6)))).values.astype(np.float64)
    assert values.shape == (4_096, 94)
    assert (np.ptp(values, axis=0) == 0).sum() == 6
    assert len(np.unique(values, axis=1).T) == 77
    assert np.linalg.matrix_rank(values - values.mean(axis=0)) == 37


def test_darts_has_as_many_columns_as_measured():
    """The published 2 constant columns are 6 here: 2 counts of 4, and twice 2 means of 8 / 7."""
    sources, ops = darts_cells(np.random.default_rng(0), 3_000)
    values = graf_darts(sources, ops).values
    assert values.shape == (3_000, 1_540)
    assert (np.ptp(values, axis=0) == 0).sum() == 6
    assert len(np.unique(values, axis=1).T) == 1_282


def test_macro_columns_are_all_of_use():
    nets = [g for n in (4, 5, 6) for g in np.ndindex(*(4,) * n)]
    values = graf_transnas_macro([[g + 1 for g in net] for net in nets]).values
    assert values.shape[1] == 16
    assert np.linalg.matrix_rank(values) == 16


# --- paths listed one by one ----------------------------------------------------------------------


def test_micro_equals_paths_listed_one_by_one():
    ops = np.random.default_rng(1).integers(4, size=(40, 6))
    table = graf_transnas_micro(ops)
    for net, row in zip(ops, table.values, strict=True):
        expected = [np.sum(net == o) for o in range(4)]
        for banned in subsets(range(4), 0, 3):
            kept = [e for e, o in zip(MICRO, net, strict=True) if o not in banned]
            expected.append(min(lengths(kept, 0, 3), default=5))
        for allowed in subsets(range(4)):
            kept = [e for e, o in zip(MICRO, net, strict=True) if o in allowed]
            expected.append(max(lengths(kept, 0, 3), default=-1))
        for allowed in subsets(range(4)):
            kept = [e for e, o in zip(MICRO, net, strict=True) if o in allowed]
            expected += [sum(s == 0 for s, _ in kept), sum(t == 3 for _, t in kept)]
            expected += [len(kept) / 4] * 2
        np.testing.assert_allclose(row, expected, rtol=1e-6)


@pytest.mark.parametrize("v", [2, 3, 5, 7])
def test_nb101_equals_paths_listed_one_by_one(v):
    rng = np.random.default_rng(v)
    n = 25
    adjacency = np.triu(rng.integers(2, size=(n, v, v)), 1)
    ops = np.concatenate([np.zeros((n, 1)), rng.integers(2, 5, (n, v - 2)), np.ones((n, 1))], 1)
    ops = ops.astype(np.int64)
    table = graf_nb101(adjacency, ops)
    assert len(table.names) == 47
    for a, net, row in zip(adjacency, ops, table.values, strict=True):
        edges = np.argwhere(a).tolist()
        expected = [np.sum(net == o) for o in range(5)]
        for banned in subsets((2, 3, 4), 0, 2):
            kept = [(s, t) for s, t in edges if net[s] not in banned and net[t] not in banned]
            expected.append(min(lengths(kept, 0, v - 1), default=v))
        for allowed in subsets((2, 3, 4)):
            fine = {0, 1, *allowed}
            kept = [(s, t) for s, t in edges if net[s] in fine and net[t] in fine]
            longest = max(lengths(kept, 0, v - 1), default=None)
            expected.append(-4 if longest is None else (longest + 1) - 4)
        for allowed in subsets((2, 3, 4)):
            entering = [[s for s, t in edges if t == u and net[s] in allowed] for u in range(v)]
            leaving = [[t for s, t in edges if s == u and net[t] in allowed] for u in range(v)]
            expected += [len(entering[-1]), len(leaving[0])]
            expected += [sum(map(len, entering)) / v, sum(map(len, leaving)) / v]
        np.testing.assert_allclose(row, expected, rtol=1e-12)


def test_darts_equals_paths_listed_one_by_one():
    sources, ops = darts_cells(np.random.default_rng(2), 4)
    table = graf_darts(sources, ops)
    for i, row in enumerate(table.values):
        found = dict(zip(table.names, row.tolist(), strict=True))
        for c, cell in enumerate(("normal", "reduce")):
            assert found[f"op_count_{cell}_0"] == 4
            for o in range(7):
                assert found[f"op_count_{cell}_{o + 1}"] == np.sum(ops[i, c] == o)
            for s in subsets(range(1, 8)):
                edges = [
                    (int(sources[i, c, e]), 2 + e // 2) for e in range(8) if ops[i, c, e] + 1 in s
                ]
                for j, start in enumerate(("c_{k-2}", "c_{k-1}")):
                    paths = lengths([*edges, *((node, 6) for node in range(2, 6))], j, 6)
                    name = f"max_op_on_path_allowed_{label(s)}_{cell}_{start}"
                    assert found[name] == max(paths, default=-1)
                    name = f"node_degree_allowed_{label(s)}_{cell}_{start}_degree"
                    assert found[name] == sum(a == j for a, _ in edges)
                for kind in ("avg_in", "avg_out"):
                    name = f"node_degree_allowed_{label(s)}_{cell}_{kind}"
                    assert found[name] == pytest.approx(len(edges) / 7)


def test_macro_by_hand():
    table = graf_transnas_macro([(1, 2, 3, 4), (4, 4, 1, 1, 2, 0)])
    first, second = (dict(zip(table.names, r.tolist(), strict=True)) for r in table.values)
    counts = [f"count_ops_ch{c}s{s}" for c in (True, False) for s in (True, False)]
    assert [first[c] for c in counts] == [1, 1, 1, 1]
    assert [second[c] for c in counts] == [2, 1, 0, 2]
    assert [first[f"pos_state_ch_pos_{i}"] for i in range(6)] == [0, 1, 1, 2, 0, 0]
    assert [first[f"pos_state_s_pos_{i}"] for i in range(6)] == [0, 0, 1, 2, 0, 0]
    assert [second[f"pos_state_ch_pos_{i}"] for i in range(6)] == [1, 2, 2, 2, 3, 0]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: graf_nb201(np.zeros((2, 5), dtype=int)),
        lambda: graf_nb201(np.full((2, 6), 5)),
        lambda: graf_nb201(np.full((2, 6), -1)),
        lambda: graf_transnas_micro(np.full((1, 6), 4)),
        lambda: graf_nb101(np.zeros((1, 3, 3)), np.zeros((1, 4), dtype=int)),
        lambda: graf_nb101(np.ones((1, 3, 3)), np.zeros((1, 3), dtype=int)),
        lambda: graf_nb101(np.zeros((1, 3, 3)), np.full((1, 3), 5)),
        lambda: graf_nb101(np.zeros((3, 3)), np.zeros(3, dtype=int)),
        lambda: graf_darts(np.zeros((1, 2, 8)), np.full((1, 2, 8), 7)),
        lambda: graf_darts(np.full((1, 2, 8), 2), np.zeros((1, 2, 8), dtype=int)),
        lambda: graf_darts(np.zeros((1, 8)), np.zeros((1, 2, 8), dtype=int)),
        lambda: graf_transnas_macro([(1, 2, 3)]),
        lambda: graf_transnas_macro([(1, 2, 3, 5)]),
        lambda: graf_transnas_macro([(1, 0, 3, 4)]),
    ],
)
def test_what_is_no_cell_is_refused(call):
    with pytest.raises(ArchError):
        call()


def test_a_table_checks_its_shape_and_names():
    table = EncodingTable(("a", "b"), np.arange(6).reshape(3, 2))
    assert len(table) == 3
    assert table.column("b").tolist() == [1, 3, 5]
    with pytest.raises(UsageError):
        table.column("c")
    with pytest.raises(UsageError):
        EncodingTable(("a",), np.zeros((3, 2)))


def test_no_networks_give_no_rows():
    assert graf_nb201(np.empty((0, 6), dtype=int)).values.shape == (0, 191)
    assert graf_darts(
        np.empty((0, 2, 8), dtype=int), np.empty((0, 2, 8), dtype=int)
    ).values.shape == (0, 1_540)
