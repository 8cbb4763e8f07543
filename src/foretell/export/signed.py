"""Whether the sources of an exported folder are as this user's own export wrote them."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from foretell.errors import UntrustedError
from foretell.trust import made_here, signature
from foretell.types import Json

__all__ = ["check_sources", "sign_sources"]

_KEY = "signature"


def sign_sources(network: Mapping[str, Json], contents: Mapping[str, bytes]) -> dict[str, Json]:
    """The description of a network with a signature of itself and of its sources.

    Args:
        network: how it is built, with its "files": module -> file.
        contents: file -> content; files that are folders are left out.
    """
    code = {f: _hash(contents[f]) for f in network["files"].values() if f in contents}
    try:
        return {**network, _KEY: signature(_content(network, code))}
    except OSError:  # without a key whoever loads it has to vouch for it
        return dict(network)


def check_sources(folder: Path, network: Mapping[str, Json], files: Mapping[str, str]) -> None:
    """Refuse sources that somebody else wrote, or that were changed.

    Args:
        folder: of the export.
        network: its description.
        files: module -> file below the folder.

    Raises:
        UntrustedError: there is no signature of this user's for them.
    """
    code = {f: _hash((folder / f).read_bytes()) for f in files.values() if (folder / f).is_file()}
    if not made_here(_content(network, code), network.get(_KEY)):
        raise UntrustedError(
            f"{str(folder)!r} holds Python files that you did not export on this machine, or that "
            f"were changed since, and loading its network runs them: look at them, then say "
            f"load_best(folder, trust=True), or --trust."
        )


def _content(network: Mapping[str, Json], code: Mapping[str, str]) -> Json:
    described = {k: v for k, v in network.items() if k != _KEY}
    return {"network": json.loads(json.dumps(described)), "code": dict(code)}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
