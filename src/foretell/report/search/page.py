"""The page: tables and figures of a run in one HTML file that loads nothing from anywhere."""

from pathlib import Path

import numpy as np

from foretell.report.html.charts import jsonable
from foretell.report.html.document import document, save
from foretell.report.search import plots, tables
from foretell.report.search.data import RunData
from foretell.report.search.text import context, star_number
from foretell.types import Json

__all__ = ["figures", "render", "write"]


def figures(run: RunData) -> dict[str, Json]:
    """Every chart that the run has data for, by the id of its place on the page."""
    made: dict[str, Json] = {}
    progress = tables.progress_info(run)
    if progress.trials:
        made["progress-trials"] = plots.progress_plot(progress, "trials")
        made["progress-seconds"] = plots.progress_plot(progress, "seconds")
    prediction = tables.prediction_info(run)
    if prediction.n:
        made["predicted-trained"] = plots.prediction_plot(prediction, star_number(run))
    costs: tuple[tables.Cost, ...] = ("params", "flops")
    for cost in costs:
        pareto = tables.pareto_info(run, cost)
        if pareto.trials:
            made[f"pareto-{cost}"] = plots.pareto_plot(pareto)
    correlation = tables.correlation_info(run)
    if np.isfinite(correlation.accuracy).any():
        made["tau"] = plots.correlation_plot(correlation)
    if len(correlation.names) > 1 and np.isfinite(correlation.matrix).any():
        made["heat"] = plots.heat_map(correlation)
    curves = tables.curve_info(run)
    if curves.epochs:
        made["curves"] = plots.curves_plot(curves)
    if curves.winner and (len(curves.winner.train_loss) or len(curves.winner.val_loss)):
        made["loss"] = plots.loss_plot(curves.winner)
    attacks = tables.robustness_info(run)
    if attacks:
        made["attacks"] = plots.robustness_plot(attacks, run.task.classes)
    return {name: jsonable(figure) for name, figure in made.items()}


def render(run: RunData) -> str:
    """The report of a run.

    Args:
        run: what happened.

    Returns:
        A complete HTML document. It holds plotly.js and its data, and its content security policy
        forbids every request.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    return document("search/page.html.j2", context(run), figures(run))


def write(run: RunData, path: Path | str) -> Path:
    """Render a run into a file that is either the old or the new one, never a part.

    Args:
        run: what happened.
        path: the file, such as ``report.html``; its folder must exist.

    Returns:
        The path.

    Raises:
        MissingExtraError: plotly is not installed.
        RunFolderError: the file cannot be written.
    """
    return save(render(run), path)
