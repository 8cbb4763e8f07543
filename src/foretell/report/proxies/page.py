"""The report of an evaluation of proxies: one page, and its tables as CSV."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from foretell.report._base import Page
from foretell.report.html import document
from foretell.report.html.folder import write_folder
from foretell.report.proxies.sections import choice, head, order, proxies, reproduce, targets, truth
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.types import Json

__all__ = ["evaluation_figures", "page", "render_evaluation", "write_evaluation"]


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
    tables = {
        "correlations.csv": evaluation.correlations(),
        "choices.csv": evaluation.favourites(),
        "targets.csv": _targets(evaluation),
        "proxies.csv": _proxies(evaluation),
    }
    return write_folder(folder, tables, lambda: render_evaluation(evaluation, command))


def _targets(evaluation: ProxyEvaluation) -> dict[str, Sequence[object]]:
    """One row for each target and population, with its seed-to-seed coefficient."""
    rows = [
        (t, k, target, population)
        for t, target in enumerate(evaluation.targets)
        for k, population in enumerate(evaluation.populations)
    ]
    return {
        "target": [target.key for _, _, target, _ in rows],
        "population": [population for _, _, _, population in rows],
        "n": [int(evaluation.sizes[k, t]) for t, k, _, _ in rows],
        "epochs": [target.epochs for _, _, target, _ in rows],
        "runs": ["-".join(map(str, sorted(set(target.runs)))) for _, _, target, _ in rows],
        "lower_is_better": [target.turned for _, _, target, _ in rows],
        "optimum": [target.optimum for _, _, target, _ in rows],
        "best": [target.best for _, _, target, _ in rows],
        "between_runs": [float(evaluation.between_runs[k, t]) for t, k, _, _ in rows],
        "between_runs_n": [int(evaluation.between_runs_pairs[k, t]) for t, k, _, _ in rows],
    }


def _proxies(evaluation: ProxyEvaluation) -> dict[str, Sequence[object]]:
    """One row for each proxy and dataset of the targets."""
    datasets = tuple(dict.fromkeys(t.dataset for t in evaluation.targets))
    rows = [(p, d) for p in evaluation.proxies for d in datasets]
    return {
        "proxy": [p.name for p, _ in rows],
        "source": [p.source for p, _ in rows],
        "dataset": [d for _, d in rows],
        "missing": [p.missing.get(d, evaluation.n) for p, d in rows],
        "networks": [evaluation.n] * len(rows),
        "seconds": [p.seconds for p, _ in rows],
    }
