"""How a study tells the outside how far it is: plain calls, no drawing."""

from typing import Protocol

__all__ = ["OnProgress", "silent"]


class OnProgress(Protocol):
    """Called with how far a stage is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell the progress of one stage.

        Args:
            stage: "pool", "score", "trace", "train", "final", "attack".
            done: finished units.
            total: all units.
            note: what is worth saying now, such as the best accuracy so far.
        """


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Tell nobody."""
