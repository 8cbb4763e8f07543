"""The report of an evaluation of predictors: one page, and its tables as CSV."""

from pathlib import Path

from foretell import __version__
from foretell.report.html.charts import jsonable
from foretell.report.html.document import document, save
from foretell.report.html.folder import write_folder
from foretell.report.predictors.plots import curve_plot, time_plot
from foretell.report.predictors.text import context
from foretell.studies.evaluate_predictors.study import PredictorEvaluation
from foretell.types import Json

__all__ = ["predictors_figures", "render_predictors", "write", "write_predictors"]


def predictors_figures(found: PredictorEvaluation) -> dict[str, Json]:
    """Every chart, by the id of its place on the page."""
    made: dict[str, Json] = {}
    for target in range(len(found.targets)):
        made[f"curve-{target}"] = curve_plot(found, target)
        made[f"time-{target}"] = time_plot(found, target)
    return {name: jsonable(figure) for name, figure in made.items()}


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
    words = context(found, command, f" {__version__}")
    return document("predictors/page.html.j2", words, predictors_figures(found))


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


def write(result: PredictorEvaluation, folder: Path | str) -> Path:
    """Write the page alone; see ``foretell.report.pages``."""
    return save(render_predictors(result, result.command), Path(folder) / "report.html")
