"""Free baselines against the values of NAS-Bench-Suite-Zero, on all 9,445 networks."""

import duckdb
import numpy as np

from foretell.spaces import get_space


def test_params_and_flops_of_the_suite(validation_data):
    rows = duckdb.sql(
        "SELECT arch, zcs_params_cifar10, zcs_flops_cifar10 "
        f"FROM '{validation_data / 'nb201.parquet'}' WHERE suite_row IS NOT NULL"
    ).fetchall()
    space = get_space("nb201")
    archs = [space.parse(row[0]) for row in rows]
    assert len(archs) == 9445
    table = space.costs(archs, space.skeleton((3, 32, 32), 10))
    published = np.array([row[1:] for row in rows]) * 1e6
    assert np.abs(table.params - published[:, 0]).max() < 0.1
    # the published flops are our multiply-adds and, for each value of each cell, 3 for the ReLU and
    # normalisation of a convolution and 9 for a pooling, beside a constant
    genes, live = space.genes(archs), space.live_edges(archs)
    values = 5 * sum(16 * 2**s * (32 // 2**s) ** 2 for s in range(3))
    convs = (np.isin(genes, (2, 3)) & live).sum(1)
    pools = ((genes == 4) & live).sum(1)
    rest = published[:, 1] - table.flops - values * (3 * convs + 9 * pools)
    assert np.ptp(rest) < 50  # of 1e7 to 2e8: what float32 keeps
