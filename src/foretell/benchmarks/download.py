"""Resumable, verified downloads.

Bytes go into ``FILE.part``, and the version (ETag or date) into ``FILE.part.tag``, so that a later
attempt requests the rest of the same version. Only a complete and verified file gets its final
name.
"""

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from foretell.errors import DownloadError
from foretell.files import user_path

__all__ = ["Link", "Progress", "download"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (bytes done, total bytes); the total is 0 if unknown."""

SLOWEST = 1024
"""Mean bytes per second over a timeout below which a connection has stalled."""
_CHUNK = 2**18
_GAIN = 2**20
"""Minimum bytes for an attempt not to count as failed."""
_LATER = {408, 425, 429}
"""HTTP status codes besides 5xx that are retried."""


@dataclass(frozen=True)
class Link:
    """A file of a publisher.

    Args:
        file: its name.
        url: its address; the page to open where it needs a browser.
        sha256: from the publisher; empty if there is none.
        size: bytes, if published.
        browser: whether the download needs a browser.
        about: one line.
    """

    file: str
    url: str
    sha256: str = ""
    size: int | None = None
    browser: bool = False
    about: str = ""


class _TryAgainError(Exception):
    """A failed attempt that may be retried."""


def download(
    link: Link,
    folder: Path | str,
    *,
    progress: Progress = lambda done, total: None,
    timeout: float = 30.0,
    attempts: int = 5,
    wait: float = 1.0,
) -> Path:
    """Download a file into a folder; an existing file is verified and kept.

    Args:
        link: which file.
        folder: created if needed.
        progress: called after every chunk.
        timeout: seconds without progress before another attempt.
        attempts: maximum failures in a row; an attempt with a megabyte of progress does not count.
        wait: seconds before the second attempt; doubled each time, up to 30.

    Returns:
        The file's path.

    Raises:
        DownloadError: the host refuses, fails too often, sends a web page or another file, or the
            file needs a browser.
        OSError: the file cannot be written.
    """
    target = user_path(folder) / link.file
    if target.exists():
        if problem := _problem(link, target):
            raise DownloadError(f"{str(target)!r} is there, but {problem}: move it away first.")
        return target
    if link.browser:
        raise DownloadError(
            f"{link.file} needs a browser, because {urlsplit(link.url).hostname} asks before it "
            f"gives files away: open {link.url} and save the file as {str(target)!r}."
        )
    if urlsplit(link.url).scheme not in ("http", "https"):
        raise DownloadError(f"{link.url!r} is no address that begins with http:// or https://.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part, tag = _beside(target, ".part"), _beside(target, ".part.tag")
    failures = 0
    while True:
        before = _size(part)
        try:
            whole = _transfer(link, part, tag, progress, timeout)
            if (problem := _problem(link, part)) is None:
                break
            part.unlink()
            tag.unlink(missing_ok=True)
            if whole:
                raise DownloadError(
                    f"{link.url} was downloaded, but {problem}: tell its publisher."
                )
            raise _TryAgainError(problem)
        except _TryAgainError as error:
            failures = 1 if _size(part) - before >= _GAIN else failures + 1
            if failures >= attempts:
                raise DownloadError(
                    f"{link.url} could not be downloaded in {attempts} attempts, because {error}. "
                    f"{_size(part):,} bytes are kept: run the same command again to go on."
                ) from error
            time.sleep(min(30.0, wait * 2 ** (failures - 1)))
    part.replace(target)
    tag.unlink(missing_ok=True)
    return target


def _transfer(link: Link, part: Path, tag: Path, progress: Progress, timeout: float) -> bool:
    """Download the missing part; whether that was the whole file.

    Raises:
        _TryAgainError: the connection failed, or the host's file has changed.
        DownloadError: the host refuses the file.
    """
    start = _size(part)
    version = tag.read_text(encoding="latin-1") if start and tag.is_file() else ""
    if not version and not link.sha256:
        start = 0  # nothing would tell whether the rest belongs to the same version
    request = urllib.request.Request(link.url, headers={"Accept-Encoding": "identity"})
    request.add_header("User-Agent", "foretell")
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version:
            request.add_header("If-Range", version)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            if error.headers.get("Content-Range") == f"bytes */{start}":
                return False
            part.unlink()
            raise _TryAgainError("the host's file has changed") from error
        if error.code in _LATER or error.code >= 500:
            raise _TryAgainError(f"the host answers {error.code} {error.reason}") from error
        raise DownloadError(
            f"{link.url} cannot be downloaded: the host answers {error.code} {error.reason}. Look "
            f"for the file's new address and import it from there."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgainError(_reason(error)) from error
    with answer:
        if answer.headers.get_content_type() == "text/html" and not link.file.endswith("html"):
            raise DownloadError(
                f"{link.url} leads to a web page, not to {link.file}: open it in a browser and "
                f"save the file as {str(part.with_suffix(''))!r}."
            )
        start, total = _start(answer, start, version, part)
        if link.size is not None and total is not None and total != link.size:
            raise DownloadError(
                f"{link.url} has {total:,} bytes, but {link.size:,} are expected: its publisher "
                f"has changed it."
            )
        tag.write_text(_version(answer), encoding="latin-1")
        _receive(answer, part, start, total or link.size, progress, timeout)
    return start == 0


def _start(
    answer: http.client.HTTPResponse, start: int, version: str, part: Path
) -> tuple[int, int | None]:
    """Offset of the response in the file, and the file's size, if known."""
    if answer.status != 206:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""), re.ASCII
    )
    new = _version(answer)
    if match is None or int(match[1]) != start or (version and new and new != version):
        part.unlink(missing_ok=True)
        raise _TryAgainError("the host's file has changed")
    return start, None if match[2] == "*" else int(match[2])


def _receive(
    answer: http.client.HTTPResponse,
    part: Path,
    start: int,
    total: int | None,
    progress: Progress,
    timeout: float,
) -> None:
    """Append a response to the partial file, or restart it."""
    done, mark, since = start, start, time.monotonic()
    with part.open("ab" if start else "wb") as file:
        progress(done, total or 0)
        while True:
            try:
                piece = answer.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _TryAgainError(_reason(error)) from error
            if not piece:
                break
            file.write(piece)
            done += len(piece)
            progress(done, total or 0)
            if (passed := time.monotonic() - since) > timeout:
                if done - mark < passed * SLOWEST:
                    raise _TryAgainError(f"only {done - mark:,} bytes came in {passed:.0f} seconds")
                mark, since = done, time.monotonic()
    if total is not None and done != total:
        if done > total:
            part.unlink()
        raise _TryAgainError(f"the connection was cut after {done:,} of {total:,} bytes")


def _version(answer: http.client.HTTPResponse) -> str:
    """Version identifier of the host's file; empty if there is none."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _problem(link: Link, path: Path) -> str | None:
    """Reason why a file differs from the publisher's, or None."""
    if link.size is not None and (size := _size(path)) != link.size:
        return f"it has {size:,} bytes instead of {link.size:,}"
    if link.sha256:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != link.sha256:
                return "its SHA-256 is not the publisher's"
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "the host does not answer"
    return f"the connection failed ({str(error) or type(error).__name__})"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
