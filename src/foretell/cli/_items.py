"""What ITEM arguments stand for: texts, files of texts, and a random sample."""

from collections.abc import Sequence

from foretell.arch import Arch
from foretell.errors import UsageError
from foretell.files import user_path
from foretell.rng import stream
from foretell.spaces import get_space
from foretell.tables import read_archs

__all__ = ["gather"]


def gather(
    items: Sequence[str],
    space: str,
    sample: int | None,
    seed: int,
    arch: str = "arch",
    skip_unknown: bool = False,
) -> list[Arch | str]:
    """The architectures and places that a command line names.

    Args:
        items: texts, files of texts, and places of networks.
        space: of the texts.
        sample: how many random architectures to add.
        seed: of these.
        arch: column of the architectures in tables.
        skip_unknown: whether entries of files that are no architectures are left out.

    Raises:
        UsageError: it names nothing.
        ForetellError: the space or a file is at fault.
    """
    place = get_space(space)
    found: list[Arch | str] = []
    for item in items:
        if _is_file(item):
            found += read_archs(item, place, arch=arch, skip_unknown=skip_unknown)
        else:
            found.append(item)
    if sample is not None:
        if sample < 1:
            raise UsageError(f"--sample must be at least 1, but is {sample}.")
        rng = stream(seed, "sample")
        found += [place.sample(rng) for _ in range(sample)]
    if not found:
        raise UsageError(
            f"There is nothing to look at: give an architecture such as '{place.example()}', a "
            f"file, my_net.py:function, or --sample 10."
        )
    return found


def _is_file(text: str) -> bool:
    try:
        return user_path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or no name at all
        return False
