"""The accuracy that training would give: of cells of the embedded table, whose truth is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foretell.arch import Arch
from foretell.spaces import get_space
from foretell.studies.build_benchmark.config import BuildConfig
from foretell.studies.predict.config import PredictConfig
from foretell.studies.predict.rank import predict_values
from foretell.studies.score.reference import ACCURACY, embedded

__all__ = ["LEVEL", "Expected", "expected_accuracy"]

LEVEL = 0.9
"""Share of accuracies that should lie in the intervals."""
_PREDICTOR, _CELLS = "auto", 400
"""What learns, and from how many cells of the table; more gain little and take a minute."""


@dataclass(frozen=True)
class Expected:
    """What training as in the table would give.

    Args:
        accuracy: predicted test accuracy, in [0, 1].
        low: lower end of its interval.
        high: upper end.
        level: share of accuracies that should lie between.
        typical: the table's median accuracy.
        kendall: tau of held-out predictions and accuracies: how much the prediction knows.
        measured: mean accuracy of the table's own runs of this cell; NaN if it is not in there.
    """

    accuracy: float
    low: float
    high: float
    level: float
    typical: float
    kendall: float
    measured: float


def expected_accuracy(archs: Sequence[Arch], seed: int = 0) -> dict[Arch, Expected]:
    """Predictions for cells of NAS-Bench-201 on the table's data and skeleton.

    The predictor ``auto`` learns from cells of the table; those that are asked for, and cells of
    the same function, are left out of what it learns from.

    Args:
        archs: different cells.
        seed: of folds and models.

    Raises:
        ForetellError: see ``predict_values``.
    """
    table = embedded()
    space = get_space(table.space)
    accuracy = np.asarray(table.query(None, ACCURACY))
    cells = table.archs()
    asked = {space.graph(a).hash() for a in archs}
    rows = [
        i for i in range(min(len(cells), 2 * _CELLS)) if space.graph(cells[i]).hash() not in asked
    ][:_CELLS]
    config = PredictConfig(predictor=_PREDICTOR, level=LEVEL, bounds=(0.0, 1.0), seed=seed)
    ranking = predict_values(
        space,
        [cells[i] for i in rows],
        accuracy[rows],
        archs,
        config,
        skeleton=BuildConfig().skeleton,
    )
    measured = dict(zip(cells, accuracy.tolist(), strict=True))
    return {
        arch: Expected(
            float(ranking.mean[i]),
            float(ranking.low[i]),
            float(ranking.high[i]),
            LEVEL,
            float(np.median(accuracy)),
            float(ranking.held_out.value),
            measured.get(arch, float("nan")),
        )
        for i, arch in enumerate(ranking.archs)
    }
