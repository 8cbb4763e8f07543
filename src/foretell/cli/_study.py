"""A study from the command line: run in its folder, then its page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from foretell.studies._base import StudyConfig
    from foretell.studies.run.progress import OnProgress

__all__ = ["page_or_reason", "run_in_folder"]


def run_in_folder(config: "StudyConfig", out: Path, tell: "OnProgress") -> Any:
    """Run a study, or go on with it, write its page, and say which files are there.

    Args:
        config: the settings.
        out: the run folder.
        tell: told how far each stage is.

    Returns:
        What the study found.

    Raises:
        ForetellError: see ``foretell.studies._base.Study``.
    """
    from foretell.studies._base import study_of

    result = study_of(config.KIND).run(config, out, on_progress=tell)
    page, reason = page_or_reason(config.KIND, result, out)
    files = ([] if page is None else [page.name]) + [f"{name}.csv" for name in result.tables()]
    click.echo(f"Wrote {', '.join(files)} to {out}.", err=True)
    if reason:
        click.echo(f"Without report.html: {reason}", err=True)
    return result


def page_or_reason(kind: str, result: Any, out: Path) -> tuple[Path | None, str]:
    """The page that was written, or why there is none: an extra that is not installed."""
    from foretell.errors import MissingExtraError
    from foretell.report.pages import page_of

    try:
        return page_of(kind).write(result, out / "report.html"), ""
    except MissingExtraError as error:
        return None, str(error)
