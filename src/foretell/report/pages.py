"""The page of a study, found by the study's kind."""

import importlib
from pathlib import Path
from typing import Any, Protocol

__all__ = ["PageModule", "page_of"]


class PageModule(Protocol):
    """The module ``foretell.report.KIND.page``."""

    def write(self, result: Any, folder: Path | str) -> Path:
        """Write ``report.html`` into a folder.

        Args:
            result: what the study returned, or what was read from its folder.
            folder: the run folder.

        Returns:
            The file.

        Raises:
            MissingExtraError: plotly is not installed.
            RunFolderError: the file cannot be written.
        """


def page_of(kind: str) -> PageModule:
    """The page of a study.

    Args:
        kind: of the study.
    """
    module: Any = importlib.import_module(f"foretell.report.{kind}.page")
    page: PageModule = module
    return page
