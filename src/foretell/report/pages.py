"""The page of a study, found by the study's kind."""

import importlib
from pathlib import Path
from typing import Any, Protocol

__all__ = ["PageModule", "page_of"]


class PageModule(Protocol):
    """The module ``foretell.report.KIND.page``."""

    def write(self, result: Any, path: Path | str) -> Path:
        """Write the page.

        Args:
            result: what the study returned, or what was read from its folder.
            path: of the file; its folder must exist.

        Returns:
            The path.

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
