"""The report of an evaluation of predictors: one page, and its tables as CSV."""

from functools import partial
from pathlib import Path

from foretell.report._base import Page
from foretell.report.evaluate_predictors.sections import failures, head, ranks, reproduce, targets
from foretell.report.html import document
from foretell.report.html.folder import write_folder
from foretell.studies.evaluate_predictors.study import PredictorEvaluation
from foretell.types import Json

__all__ = ["page", "predictors_figures", "render_predictors", "write", "write_predictors"]


def page(command: str = "") -> Page[PredictorEvaluation]:
    """What stands on the page, in its order.

    Args:
        command: what repeats the evaluation.
    """
    return Page(
        head,
        (targets, ranks, failures, partial(reproduce, command=command)),
        "tau-b is Kendall's; errors are in per cent for shares, else in the target's unit.",
    )


def predictors_figures(found: PredictorEvaluation) -> dict[str, Json]:
    """Every chart, by the id of its place on the page."""
    return document.figures(page(), found)


def render_predictors(found: PredictorEvaluation, command: str = "") -> str:
    """The page of an evaluation.

    Args:
        found: the figures.
        command: what repeats it.

    Returns:
        A complete HTML document; its content security policy forbids every request.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    return document.render(page(command), found)


def write_predictors(
    found: PredictorEvaluation, folder: Path | str, command: str = ""
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the page and the tables: results.csv, fits.csv and failures.csv.

    Args:
        found: the figures.
        folder: made if it is not there.
        command: what repeats it.

    Returns:
        The files, and what was left out and why.

    Raises:
        RunFolderError: the folder cannot be made or written.
    """
    tables = {f"{name}.csv": columns for name, columns in found.tables().items()}
    return write_folder(folder, tables, lambda: render_predictors(found, command))


def write(result: PredictorEvaluation, path: Path | str) -> Path:
    """Write the page alone; see ``foretell.report.pages``."""
    return document.save(render_predictors(result, result.command), path)
