"""Populations: masks, their names, and the published counts of NAS-Bench-201."""

import numpy as np
import pytest

from foretell.errors import UsageError
from foretell.graph import Graph, Node
from foretell.metrics import deduplicated, every, populations, top_k, unreachable
from foretell.spaces import get_space


def test_masks():
    assert every(3).tolist() == [True] * 3
    assert deduplicated(["b", "a", "b", "a", "c"]).tolist() == [True, True, False, False, True]
    assert deduplicated([]).tolist() == []
    assert top_k([1, 3, 2, 3], 1).tolist() == [False, True, False, True]
    assert top_k([1, np.nan, 2], 5).tolist() == [True, False, True]
    assert top_k([np.nan], 1).tolist() == [False]
    for wrong in (([1, 2], 0), ([[1, 2]], 1)):
        with pytest.raises(UsageError):
            top_k(*wrong)


def test_populations_come_in_order_and_only_where_known():
    assert list(populations(3)) == ["all"]
    found = populations(
        5,
        truth=[5, 4, 3, 2, 1],
        alive=[True, True, False, True, True],
        reachable=[True, False, True, True, True],
        keys=["a", "b", "a", "c", "b"],
        top=(2, 5, 100),
    )
    assert {k: v.tolist() for k, v in found.items()} == {
        "all": [True] * 5,
        "alive": [True, True, False, True, True],
        "no unreachable op": [True, False, True, True, True],
        "deduplicated": [True, True, False, True, False],
        "top 2": [True, True, False, False, False],
    }
    assert all(m.dtype == np.bool_ for m in found.values())


@pytest.mark.parametrize(
    "wrong", [{"truth": [1.0]}, {"alive": [True]}, {"reachable": [True]}, {"keys": ["a"]}]
)
def test_lengths_are_checked(wrong):
    with pytest.raises(UsageError, match="2"):
        populations(2, **wrong)


def test_unreachable_operations():
    def chain(*ops: str) -> Graph:
        nodes = (Node("input"), *map(Node, ops), Node("output"))
        return Graph(nodes, tuple((i, i + 1) for i in range(len(nodes) - 1)))

    assert not unreachable(chain("conv3x3", "skip"))
    assert unreachable(chain("conv3x3", "zero"))
    assert not unreachable(chain("zero", "sum", "zero"))


def test_the_published_subset_of_nas_bench_201(validation_data):
    import duckdb

    source = validation_data / "nb201.parquet"
    rows = duckdb.sql(f"select arch, valid_graf from '{source}'").fetchnumpy()
    space = get_space("nb201")
    found = [not unreachable(space.graph(space.parse(a))) for a in rows["arch"]]
    assert sum(found) == 9445
    assert np.array_equal(found, rows["valid_graf"])
