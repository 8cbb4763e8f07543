"""A template, its words and its figures as one HTML file that loads nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from foretell.errors import MissingExtraError, RunFolderError
from foretell.files import whole
from foretell.report.html.format import joints, size
from foretell.types import Json

__all__ = ["document", "save"]


def document(template: str, words: Mapping[str, Json], figures: Mapping[str, Json]) -> str:
    """A complete HTML document.

    It holds plotly.js and its data, and its content security policy forbids every request.

    Args:
        template: path of a file in ``foretell.report``, such as ``search/page.html.j2``.
        words: what the template writes.
        figures: id of a place on the page -> chart, as plain JSON.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    import jinja2  # loads slowly
    from markupsafe import Markup

    plotly = _plotly()
    js, css = _resource("html/report.js"), _resource("html/report.css")
    data = json.dumps(figures, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["joints"] = joints
    mark = "@@file-size@@"
    html = environment.from_string(_resource(template)).render(
        **words,
        figures=figures,
        figures_json=Markup(data),
        plotly=Markup(plotly),
        js=Markup(js),
        css=Markup(css),
        hashes=Markup(f"{_hash(plotly)} {_hash(js)}"),
        plotly_size=size(len(plotly.encode())),
        file_size=Markup(mark),
    )
    return html.replace(mark, size(len(html.encode())), 1)


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
