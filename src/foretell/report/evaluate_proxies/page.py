"""The report of an evaluation of proxies: one page, and its tables as CSV."""

from functools import partial
from pathlib import Path

from foretell.report._base import Page
from foretell.report.evaluate_proxies.sections import (
    choice,
    head,
    order,
    proxies,
    reproduce,
    targets,
    truth,
)
from foretell.report.html import document
from foretell.report.html.folder import write_folder
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.types import Json

__all__ = ["evaluation_figures", "page", "render_evaluation", "write", "write_evaluation"]


def page(command: str = "") -> Page[ProxyEvaluation]:
    """What stands on the page, in its order.

    Args:
        command: what repeats the evaluation.
    """
    return Page(
        head,
        (order, targets, choice, truth, proxies, partial(reproduce, command=command)),
        "Accuracy is a share of images, flops are multiply-adds, tau-b is Kendall's, eps is in "
        "units of 1/255.",
    )


def evaluation_figures(evaluation: ProxyEvaluation) -> dict[str, Json]:
    """Every chart, by the id of its place on the page."""
    return document.figures(page(), evaluation)


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
    return document.render(page(command), evaluation)


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


def write(result: ProxyEvaluation, path: Path | str) -> Path:
    """Write the page alone; see ``foretell.report.pages``."""
    return document.save(render_evaluation(result, result.command), path)
