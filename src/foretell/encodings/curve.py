"""Partial learning curves as columns: values at some epochs, and their summaries."""

import numpy as np

from foretell.curves import Curves
from foretell.encodings._base import EncodingTable
from foretell.errors import CurveError
from foretell.metrics import normal_scores
from foretell.types import Array

__all__ = ["curve_encoding"]


def curve_encoding(curves: Curves, *, most: int = 16, quantiles: bool = True) -> EncodingTable:
    """Each metric's values at some epochs, and mean and standard deviation of curve and changes.

    For each metric: its value at ``most`` epochs evenly spread over the measured ones, with the
    first and the last; mean and standard deviation over the epochs; from two epochs on those of
    the first differences per epoch, from three on those of the second differences.

    An epoch without a value takes that on the line between its neighbours, or the nearest one at an
    end; an architecture without any takes the median of the others in each column. A metric that
    lacks values then has one more column, ``<metric>_missing``, the share that each lacks. Epochs
    at which nobody has a value are left out.

    Args:
        curves: of n architectures, labelled or not, all up to the same epoch.
        most: number of epochs whose values are columns, at least 1.
        quantiles: whether columns are turned into normal quantiles over all given architectures,
            as scores are: accuracies have a long tail of bad networks.

    Returns:
        (n, columns): normal quantiles, or the units of the metrics; ``<metric>_missing`` always is
        a share.

    Raises:
        CurveError: a metric has no value at all.

    Reference: Baker et al., Accelerating Neural Architecture Search using Performance Prediction,
    ICLR 2018 workshop, section 3. Differs from automl/NASLib@072c572, whose columns are the six
    summaries of validation accuracy only: values at epochs and other metrics too, as quantiles.
    """
    names: list[str] = []
    columns: list[Array] = []
    for metric, given in curves.values.items():
        measured = ~np.isnan(given)
        logged = measured.any(axis=0)
        if not logged.any():
            raise CurveError(f"No architecture has a value of {metric}: leave that metric out.")
        epochs = curves.epochs[logged].astype(np.float64)
        lost = 1 - measured[:, logged].mean(axis=1)
        values = _filled(given[:, logged], epochs)
        parts = {f"{metric}_{epochs[i]:.0f}": values[:, i] for i in _spread(len(epochs), most)}
        change, start = values, epochs
        for order in ("", "_slope", "_curvature")[: len(epochs)]:
            if order:
                change = np.diff(change, axis=1) / np.diff(start)
                start = (start[1:] + start[:-1]) / 2
            parts[f"{metric}{order}_mean"] = change.mean(axis=1)
            parts[f"{metric}{order}_std"] = change.std(axis=1)
        empty = lost == 1
        for name, column in parts.items():
            names.append(name)
            filled = np.where(empty, np.median(column[~empty]), column)
            columns.append(normal_scores(filled) if quantiles else filled)
        if lost.any():
            names.append(f"{metric}_missing")
            columns.append(lost)
    return EncodingTable(tuple(names), np.stack(columns, axis=1))


def _spread(count: int, most: int) -> list[int]:
    """At most so many columns, evenly spread; the last is among them."""
    if most < 1:
        raise CurveError(f"Expected one or more epochs as columns, but got most={most}.")
    if most == 1:
        return [count - 1]
    return sorted({round(i) for i in np.linspace(0, count - 1, most).tolist()})


def _filled(values: Array, epochs: Array) -> Array:
    """Rows with values in between interpolated; a row without any is 0."""
    lost = np.isnan(values)
    filled = values.copy()
    filled[lost.all(axis=1)] = 0.0
    for i in np.flatnonzero(lost.any(axis=1) & ~lost.all(axis=1)):
        there = ~lost[i]
        filled[i] = np.interp(epochs, epochs[there], values[i, there])
    return filled
