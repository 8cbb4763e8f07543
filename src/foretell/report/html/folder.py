"""A folder with a page and its tables."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from foretell.errors import MissingExtraError, RunFolderError
from foretell.files import user_path
from foretell.report.html.document import save
from foretell.tables import write_table

__all__ = ["write_folder"]

Columns = Mapping[str, Sequence[object]]


def write_folder(
    folder: Path | str,
    tables: Mapping[str, Columns],
    render: Callable[[], str],
    *,
    texts: Mapping[str, str] = MappingProxyType({}),
    option: str = "--out",
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write tables and texts, then the page, ``report.html``.

    Args:
        folder: made if it is not there.
        tables: name of a file -> its columns.
        render: makes the page.
        texts: name of a file -> its content.
        option: of the command line that names the folder.

    Returns:
        The files, the page first, and what was left out and why.

    Raises:
        RunFolderError: the folder cannot be made or written.
    """
    folder = user_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [write_table(folder / name, columns) for name, columns in tables.items()]
    except OSError as error:
        raise RunFolderError(
            f"{str(folder)!r} cannot be written ({error.strerror or error}): free some space or "
            f"choose another folder with {option}."
        ) from error
    files += [save(text, folder / name) for name, text in texts.items()]
    try:
        page = save(render(), folder / "report.html")
    except MissingExtraError as error:
        return tuple(files), (str(error),)
    return (page, *files), ()
