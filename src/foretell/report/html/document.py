"""A page as one HTML file that loads nothing from anywhere."""

import base64
import functools
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from foretell.errors import MissingExtraError, RunFolderError
from foretell.files import whole
from foretell.report._base import Page, Section, charts_of
from foretell.report.html.charts import jsonable
from foretell.report.html.format import joints, size, stacked
from foretell.types import Json

if TYPE_CHECKING:
    import jinja2

__all__ = ["figures", "render", "save"]


Data = TypeVar("Data")


def figures(page: Page[Data], data: Data) -> dict[str, Json]:
    """Every chart of a page that is drawn, by the id of its place, as plain JSON.

    Args:
        page: its sections.
        data: what the study found.
    """
    return _figures(page.parts(data))


def render(page: Page[Data], data: Data) -> str:
    """A complete HTML document.

    It holds plotly.js and its data, and its content security policy forbids every request.

    Args:
        page: its sections.
        data: what the study found.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    from markupsafe import Markup

    plotly = _plotly()
    js, css = _resource("html/report.js"), _resource("html/report.css")
    sections = page.parts(data)
    drawn = json.dumps(
        _figures(sections), allow_nan=False, ensure_ascii=True, separators=(",", ":")
    )
    drawn = drawn.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    mark = "@@file-size@@"
    html = _template().render(
        head=page.head(data),
        sections=sections,
        units=page.units,
        figures_json=Markup(drawn),
        plotly=Markup(plotly),
        js=Markup(js),
        css=Markup(css),
        hashes=Markup(f"{_hash(plotly)} {_hash(js)}"),
        plotly_size=size(len(plotly.encode())),
        file_size=Markup(mark),
    )
    return html.replace(mark, size(len(html.encode())), 1)


@functools.cache
def _template() -> "jinja2.Template":
    import jinja2  # loads slowly

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["joints"] = joints
    environment.filters["stacked"] = stacked
    return environment.from_string(_resource("html/base.html.j2"))


def _figures(sections: tuple[Section, ...]) -> dict[str, Json]:
    charts = (c for s in sections for c in charts_of(s.blocks))
    return {c.id: jsonable(c.figure) for c in charts if c.figure is not None}


def save(text: str, path: Path | str) -> Path:
    """Write a text into a file that is either the old or the new one, never a part.

    Args:
        text: the content.
        path: the file, such as ``report.html``; its folder must exist.

    Returns:
        The path.

    Raises:
        RunFolderError: the file cannot be written.
    """
    path = Path(path)
    try:
        with whole(path) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
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
