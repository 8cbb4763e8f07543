"""Published facts of NAS-Bench-201, found again by the table, the metrics and the closed forms."""

import re

import numpy as np
import pytest

from foretell.benchmarks import Metric, TableData, from_data
from foretell.metrics import kendall
from foretell.spaces import get_space
from foretell.studies.evaluate_proxies.study import evaluate_proxies

duckdb = pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def table(validation_data):
    """Accuracies and published proxies, in the official order of the indices."""
    path = validation_data / "nb201.parquet"
    rows = duckdb.sql(f"SELECT * FROM '{path}' ORDER BY idx").fetchnumpy()
    assert np.array_equal(rows["idx"], np.arange(15_625))
    metrics, values = {}, {}
    for name, column in rows.items():
        kind = re.fullmatch(r"(test_acc|zcs_\w+)_(cifar100?)", name)
        if kind is None:
            continue
        proxy = kind[1].startswith("zcs_")
        metric = Metric(
            kind[1].removeprefix("zcs_") if proxy else "test_accuracy",
            kind[2],
            kind="proxy" if proxy else "quality",
            split="" if proxy else "test",
            higher_is_better=True,
            scale=1.0 if proxy else 0.01,
            unit="" if proxy else "fraction",
        )
        numbers = np.ma.filled(column.astype(np.float64), np.nan)
        metrics[metric.key], values[metric.key] = metric, numbers[:, None, None]
    space = get_space("nb201")
    texts = [str(t) for t in rows["arch"]]
    genes = space.genes([space.parse(t) for t in texts])
    return from_data(TableData("nb201", texts, metrics, values, "nb201", genes))


@pytest.fixture(scope="module")
def found(table):
    names = ["all", "alive", "no unreachable op"]
    return evaluate_proxies(table, populations=names, samples=0)


def tau(found, population, proxy):
    k = found.populations.index(population)
    p = [q.name for q in found.proxies].index(proxy)
    t = [q.key for q in found.targets].index("cifar10/test_accuracy")
    return found.value[k, p, t], found.pairs[k, p, t]


@pytest.mark.parametrize(
    ("dataset", "best", "index"), [("cifar10", 0.9437, 6111), ("cifar100", 0.7351, 9930)]
)
def test_the_optima(table, found, dataset, best, index):
    (target,) = (t for t in found.targets if t.key == f"{dataset}/test_accuracy")
    assert round(target.optimum, 4) == best
    assert table.texts.index(target.best) == index
    assert target.known == 15_625


def test_the_sizes_of_the_populations(found):
    assert found.sizes[:, 0].tolist() == [15_625, 15_625 - 341, 9_445]


@pytest.mark.parametrize(
    ("population", "n", "proxy", "expected"),
    [
        ("all", 15_625, "params", 0.576),
        ("no unreachable op", 9_445, "params", 0.621),
        ("no unreachable op", 9_445, "live_params", 0.621),
        ("no unreachable op", 9_445, "flops (table)", 0.572),
    ],
)
def test_the_correlations_of_sizes(found, population, n, proxy, expected):
    value, pairs = tau(found, population, proxy)
    assert value == pytest.approx(expected, abs=0.002)
    assert pairs == n


def test_live_parameters_on_all_depend_on_what_a_dead_network_has(table, found):
    """0.653 is that of the cell's live weights, where the dead tie with cells without weights.

    A dead network has no live parameter at all, not even a stem's, so ``live_params`` ranks it
    below living cells without weights, which is right: 0.656.
    """
    assert tau(found, "all", "live_params") == (pytest.approx(0.6560, abs=5e-4), 15_625)
    space = get_space("nb201")
    costs = space.costs(table.archs(), space.skeleton())
    surround = costs.live_params[costs.alive].min()
    cell = np.maximum(costs.live_params - surround, 0)
    value = kendall(cell, table.query(None, "cifar10/test_accuracy")).value
    assert value == pytest.approx(0.653, abs=0.002)
    assert tau(found, "all", "flops")[0] == pytest.approx(0.653, abs=0.002)
