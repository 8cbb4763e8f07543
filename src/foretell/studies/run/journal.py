"""Finished runs in a file that only grows: one JSON line each, on disk before the next begins."""

import json
import os
from pathlib import Path

from foretell.errors import UsageError
from foretell.types import Json

__all__ = ["Records"]


class Records:
    """The finished runs of one build.

    The first line says what is built. A last line without its end was being written when a build
    was killed: it is cut off, and that run is done again.

    Args:
        path: of the file; made with its folder if there is none.
        identity: what must be equal for its runs to be of the same build.

    Raises:
        UsageError: the file is of another build, or damaged.
    """

    def __init__(self, path: Path, identity: Json) -> None:
        """Read what is there."""
        self.path = path
        self.done: dict[str, Json] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes() if path.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
        if path.exists():
            os.truncate(path, len(whole))
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
            self.done = {line["key"]: line["record"] for line in lines[1:]}
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{path} is not the record of a build ({type(error).__name__}): give another "
                f"folder to work in."
            ) from error
        if not lines:
            self._append(identity)
        elif lines[0] != identity:
            raise UsageError(
                f"{path} is the record of a build with other settings or versions: give another "
                f"folder to work in, or delete it."
            )

    def add(self, key: str, record: Json) -> None:
        """Keep a finished run; it survives a loss of power."""
        self._append({"key": key, "record": record})
        self.done[key] = record

    def _append(self, line: Json) -> None:
        with self.path.open("ab") as file:
            file.write(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
