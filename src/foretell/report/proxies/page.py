"""The report of an evaluation of proxies: one page, and its tables as CSV."""

from pathlib import Path

from foretell import __version__
from foretell.report.html.charts import jsonable
from foretell.report.html.document import document, save
from foretell.report.html.folder import write_folder
from foretell.report.proxies.plots import heat_plot, order_plot
from foretell.report.proxies.text import KINDS, context, order_of, short_targets
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.types import Json

__all__ = ["evaluation_figures", "render_evaluation", "write", "write_evaluation"]


def evaluation_figures(evaluation: ProxyEvaluation) -> dict[str, Json]:
    """Every chart, by the id of its place on the page."""
    kind = KINDS[evaluation.kind]
    order = order_of(evaluation)
    columns = short_targets(evaluation)
    made: dict[str, Json] = {}
    seen: set[str] = set()
    for t, target in enumerate(evaluation.targets):
        if target.dataset not in seen:
            seen.add(target.dataset)
            made[f"order-{t}"] = order_plot(evaluation, t, order, kind)
    for k in range(len(evaluation.populations)):
        made[f"heat-{k}"] = heat_plot(evaluation, k, order, columns, kind)
    return {name: jsonable(figure) for name, figure in made.items()}


def render_evaluation(evaluation: ProxyEvaluation, command: str = "") -> str:
    """The page of an evaluation.

    Args:
        evaluation: what was found.
        command: what repeats it.

    Returns:
        A complete HTML document; its content security policy forbids every request.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    words = context(evaluation, command, f" {__version__}")
    return document("proxies/page.html.j2", words, evaluation_figures(evaluation))


def write_evaluation(
    evaluation: ProxyEvaluation, folder: Path | str, command: str = ""
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the page and the tables.

    Args:
        evaluation: what was found.
        folder: made if it is not there.
        command: what repeats it.

    Returns:
        The files, and what was left out and why.

    Raises:
        RunFolderError: the folder cannot be made or written.
    """
    tables = {f"{name}.csv": columns for name, columns in evaluation.tables().items()}
    return write_folder(folder, tables, lambda: render_evaluation(evaluation, command))


def write(result: ProxyEvaluation, folder: Path | str) -> Path:
    """Write the page alone; see ``foretell.report.pages``."""
    return save(render_evaluation(result, result.command), Path(folder) / "report.html")
