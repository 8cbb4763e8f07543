"""Proxy scores as normal quantiles, and costs as logarithms."""

from collections.abc import Mapping, Sequence

import numpy as np

from foretell.encodings._base import EncodingTable
from foretell.encodings._forms import column_names
from foretell.metrics import normal_scores
from foretell.spaces import CostTable
from foretell.types import Array

__all__ = ["cost_encoding", "score_encoding"]


def score_encoding(scores: Mapping[str, Sequence[float] | Array]) -> EncodingTable:
    """Proxies as normal quantiles over all given architectures, labelled or not.

    Args:
        scores: name of a proxy -> (n,). NaN becomes the median, and 1 in a column
            ``<name>_missing``.

    Returns:
        (n, proxies and columns of missing values).
    """
    names, columns = [], []
    for name, given in scores.items():
        values = np.asarray(given, dtype=np.float64)
        names.append(name)
        columns.append(normal_scores(values))
        if (lost := np.isnan(values)).any():
            names.append(f"{name}_missing")
            columns.append(lost.astype(np.float64))
    return EncodingTable(column_names(names), np.stack(columns, axis=1))


def cost_encoding(costs: CostTable) -> EncodingTable:
    """Logarithms of parameters, multiply-adds and memory, and the flag ``alive``, (n, 6)."""
    columns = {
        "log_params": np.log1p(costs.params),
        "log_live_params": np.log1p(costs.live_params),
        "log_flops": np.log1p(costs.flops),
        "log_memory": np.log1p(costs.memory),
        "sum_log_params": costs.sum_log_params,
        "alive": costs.alive.astype(np.float64),
    }
    return EncodingTable(tuple(columns), np.stack(list(columns.values()), axis=1))
