"""Signatures by a key that only this user has: what carries one was made here."""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

from foretell.types import Json

__all__ = ["key_path", "made_here", "signature"]

_BYTES = 32


def key_path() -> Path:
    """The file of the key, in the user's data folder."""
    import platformdirs

    return Path(platformdirs.user_data_dir("foretell")) / "key"


def signature(content: Json) -> str:
    """The signature of some JSON; the key is made when it is first needed.

    Raises:
        OSError: the key can be neither read nor made.
    """
    return _sign(_key(make=True), content)


def made_here(content: Json, signed: object) -> bool:
    """Whether a signature is this user's signature of that content.

    Args:
        content: what was signed.
        signed: the signature; anything else than a text is none.
    """
    if not isinstance(signed, str):
        return False
    try:
        key = _key(make=False)
    except OSError:
        return False
    return hmac.compare_digest(_sign(key, content).encode(), signed.encode(errors="replace"))


def _sign(key: bytes, content: Json) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes:
    """The key, made whole or not at all; a file that others can read is closed to them."""
    path = key_path()
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(secrets.token_bytes(_BYTES))
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    key = path.read_bytes()
    if len(key) != _BYTES:
        raise OSError(f"{str(path)!r} is no key of foretell: remove it, and a new one is made.")
    return key
