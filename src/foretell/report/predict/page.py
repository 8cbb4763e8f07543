"""The report of a prediction: one page, its tables as CSV, and its settings."""

import json
from functools import partial
from pathlib import Path

from foretell import __version__
from foretell.report._base import Code, Head, Hero, Page, Section
from foretell.report.html import document
from foretell.report.html.folder import write_folder
from foretell.report.predict import sections
from foretell.studies.predict.explain import Explanation
from foretell.studies.predict.result import Predicted
from foretell.studies.predict.study import Ranking
from foretell.tables import plain
from foretell.types import Json

__all__ = ["page", "prediction_figures", "render_prediction", "write", "write_prediction"]


def page(command: str = "") -> Page[sections.Predicted]:
    """What stands on the page, in its order.

    Args:
        command: what repeats the prediction.
    """
    return Page(
        sections.head,
        (
            sections.ranking,
            sections.trust,
            sections.best,
            sections.why,
            sections.chosen,
            partial(sections.reproduce, command=command),
        ),
        "Flops are multiply-adds, tau is Kendall's tau-b, points are percentage points.",
    )


def prediction_figures(ranking: Ranking, explanation: Explanation) -> dict[str, Json]:
    """Every chart, by the id of its place on the page."""
    return document.figures(page(), (ranking, explanation))


def render_prediction(ranking: Ranking, explanation: Explanation, command: str = "") -> str:
    """The page of a prediction.

    Args:
        ranking: what was predicted.
        explanation: why.
        command: what repeats it.

    Returns:
        A complete HTML document; its content security policy forbids every request.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    return document.render(page(command), (ranking, explanation))


def write_prediction(
    ranking: Ranking, explanation: Explanation, folder: Path | str, command: str = ""
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the page, the tables and the settings.

    Args:
        ranking: what was predicted.
        explanation: why.
        folder: made if it is not there.
        command: what repeats it.

    Returns:
        The files, and what was left out and why.

    Raises:
        RunFolderError: the folder cannot be made or written.
    """
    tables = Predicted(ranking, explanation, command).tables()
    return write_folder(
        folder,
        {f"{name}.csv": columns for name, columns in tables.items()},
        lambda: render_prediction(ranking, explanation, command),
        texts={"config.json": _config(ranking, command)},
        option="--report",
    )


def write(result: Predicted, path: Path | str) -> Path:
    """Write the page alone; see ``foretell.report.pages``."""
    ranking, explanation = result.ranking, result.explanation
    if ranking is None or explanation is None:
        return document.save(document.render(_WAITING, result), path)
    return document.save(render_prediction(ranking, explanation, result.command), path)


def _waiting(result: Predicted) -> Head:
    hero = Hero("Scored networks", f"{result.scored:,}", "so far", ())
    return Head("Prediction", "nothing is ranked yet", hero, version=__version__)


def _going_on(result: Predicted) -> Section:
    return Section(
        "reproduce",
        "Nothing is ranked yet",
        "Proxies are being computed, or that was stopped: foretell resume, or the same command, "
        "goes on.",
        (Code(result.command),),
    )


_WAITING = Page(_waiting, (_going_on,), "A network is scored when all its proxies are computed.")


def _config(ranking: Ranking, command: str) -> str:
    """Everything that repeats the prediction, as JSON."""
    config = {
        "foretell": __version__,
        "command": command,
        "space": ranking.fitted.context.space.name,
        **ranking.config.to_json(),
        "encodings": ranking.encodings,
        "bounds": ranking.config.bounds and [plain(v) for v in ranking.config.bounds],
        "measured": ranking.measured,
        "ranked": len(ranking.archs),
    }
    return json.dumps(config, indent=2) + "\n"
