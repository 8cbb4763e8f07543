"""Names of files in settings, which a resumed run must find from any folder."""

from foretell.files import user_path

__all__ = ["absolute"]


def absolute(text: str) -> str:
    """A file's path from the root; a text that names no file stays as it is."""
    if not text:
        return text
    path = user_path(text)
    named = path.suffix == ".foretell" or (path.suffix and path.is_file())
    return str(path.absolute()) if named else text
