"""Data sources: functions from the text of ``load_task`` to a task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from foretell.data._base import Task
from foretell.errors import MissingDataError, UsageError
from foretell.files import user_path
from foretell.registry import Registry

__all__ = ["Options", "Source", "existing", "pick", "sources"]


@dataclass(frozen=True)
class Options:
    """Options of every source; None for the source's default.

    Args:
        seed: of the splits, and of synthetic images.
        image_size: pixels a side after resizing.
        flip: whether mirroring keeps the label.
        crop: pixels of padding for random crops.
        layout: "nhwc" or "nchw", for arrays of ambiguous shape.
        limit: keep at most this many training images, and a quarter as many in the other parts.
        skip_broken: whether image files that cannot be decoded are left out, counted and listed.
        own: whole numbers that only this source knows, such as the noise of ``clutter``.
    """

    seed: int = 0
    image_size: int | None = None
    flip: bool | None = None
    crop: int | None = None
    layout: str | None = None
    limit: int | None = None
    skip_broken: bool = False
    own: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            UsageError: a number is out of range.
        """
        for name, low in (("image_size", 1), ("crop", 0), ("limit", 2)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise UsageError(f"Expected {name} >= {low}, but got {value}.")


Source: TypeAlias = Callable[[str, Options], Task]
"""Called with the text after the colon; returns the task."""

sources: Registry[Source] = Registry("source")
"""Data by the first word of their name."""


def existing(place: str, name: str) -> Path:
    """The path of some data.

    Raises:
        MissingDataError: no path is given, or nothing is there.
    """
    if not place:
        raise MissingDataError(f"The data source {name!r} needs a path: write {name}:PATH.")
    path = user_path(place)
    if not path.exists():
        raise MissingDataError(
            f"There is no file or folder {str(path)!r}: check the path after {name}: ."
        )
    return path


def pick(value: int | None, default: int) -> int:
    """The value, or the default where it is None."""
    return default if value is None else value
