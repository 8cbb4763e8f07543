"""Whether the study of a run folder may run code: its settings were signed here, with that code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from foretell.errors import UntrustedError
from foretell.registry import without_code
from foretell.studies.run.session import kind_in, reading
from foretell.trust import changed, made_here
from foretell.types import Json

__all__ = ["check_trusted", "no_foreign_code"]


def check_trusted(out: Path | str, trust: bool = False) -> None:
    """Refuse to go on with what somebody else made, or with code that was changed since.

    Args:
        out: the run folder.
        trust: whether the user vouches for it.

    Raises:
        UntrustedError: it was not made here, or a file of code is not as it was recorded.
        RunFolderError: it holds no study.
    """
    if not trust and (why := _distrust(out)):
        raise UntrustedError(
            f"{why}. Going on with the study in {str(out)!r} may run code that you have not seen: "
            f"look at its settings and files, then say --trust."
        )


@contextmanager
def no_foreign_code(out: Path | str, trust: bool = False) -> Iterator[None]:
    """Within the block no file or module of a user's is imported, unless the folder is trusted.

    Args:
        out: the run folder.
        trust: whether the user vouches for it.

    Raises:
        UntrustedError: code is needed.
        RunFolderError: it holds no study.
    """
    why = "" if trust else _distrust(out)
    if not why:
        yield
        return
    with without_code(f"{why}: look at it, then say --trust"):
        yield


def _distrust(out: Path | str) -> str:
    """Why a folder is not trusted, as the beginning of a sentence; empty if it is."""
    kind = kind_in(out)
    with reading(out, kind) as store:
        settings, record = store.value(kind, "settings"), store.value(kind, "trust")
    files = record.get("files") if isinstance(record, Mapping) else None
    content: Json = {"kind": kind, "settings": settings, "files": files}
    if not isinstance(files, Mapping) or not made_here(content, record.get("signature")):
        return f"{str(out)!r} was not made by you on this machine"
    return changed(files, settings)
