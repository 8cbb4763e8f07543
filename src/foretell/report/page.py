"""The page: tables and figures of a run in one HTML file that loads nothing from anywhere."""

import base64
import hashlib
import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np

from foretell.errors import MissingExtraError, RunFolderError
from foretell.report import plots, tables
from foretell.report._data import RunData
from foretell.report.texts import size
from foretell.report.words import context, joints, star_number
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
    return {name: plots.jsonable(figure) for name, figure in made.items()}


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
    import jinja2  # loads slowly
    from markupsafe import Markup

    plotly = _plotly()
    js, css = _resource("report.js"), _resource("report.css")
    made = figures(run)
    data = json.dumps(made, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["joints"] = joints
    template = environment.from_string(_resource("page.html.j2"))
    mark = "@@file-size@@"
    html = template.render(
        **context(run),
        figures=made,
        figures_json=Markup(data),
        plotly=Markup(plotly),
        js=Markup(js),
        css=Markup(css),
        hashes=Markup(f"{_hash(plotly)} {_hash(js)}"),
        plotly_size=size(len(plotly.encode())),
        file_size=Markup(mark),
    )
    return html.replace(mark, size(len(html.encode())), 1)


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
    path = Path(path)
    text = render(run)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunFolderError(
            f"The report cannot be written to {str(path)!r} ({error.strerror or error}): free some "
            f"space or choose a folder that can be written."
        ) from error
    return path


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("plotly", "report", "The HTML report") from error
    code = str(get_plotlyjs())
    # a script element ends at the first such text, wherever it stands
    return code.replace("</script", "<\\/script")


def _resource(name: str) -> str:
    return files("foretell.report").joinpath(name).read_text(encoding="utf-8")


def _hash(code: str) -> str:
    digest = hashlib.sha256(code.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
