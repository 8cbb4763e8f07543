"""The report of an evaluation of proxies: one page, and its tables as CSV."""

from collections.abc import Sequence
from pathlib import Path

from foretell import __version__
from foretell.report.html.charts import jsonable
from foretell.report.html.document import document
from foretell.report.html.folder import write_folder
from foretell.report.proxies.plots import heat_plot, order_plot
from foretell.report.proxies.text import KINDS, context, order_of, short_targets
from foretell.studies.evaluate_proxies.result import ProxyEvaluation
from foretell.types import Json

__all__ = ["evaluation_figures", "render_evaluation", "write_evaluation"]


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
