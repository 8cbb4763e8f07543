"""Modules from a table of files: what else lies in their folder is never imported.

Needs nothing but the standard library: its text is part of every exported ``train.py``.
"""

import importlib.machinery
import importlib.util
import os
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

__all__ = ["SourceLoader", "Sources"]


class Sources(MetaPathFinder):
    """Finds modules by a table.

    Args:
        files: name of a module -> its file below ``folder``, with / between; a folder stands for a
            package without ``__init__.py``.
        folder: what the files are relative to.
        prefix: stands before ``__name__`` of each module, so that those of two tables differ.
    """

    def __init__(self, files: Mapping[str, str], folder: str, prefix: str = "") -> None:
        """Nothing is imported yet."""
        self.files = {name: os.path.join(folder, *f.split("/")) for name, f in files.items()}
        self.prefix = prefix

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where a module of the table lies; None for any other."""
        file = self.files.get(name)
        if file is None:
            return None
        if os.path.isdir(file):
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        inside: list[str] | None = [] if os.path.basename(file) == "__init__.py" else None
        loader = SourceLoader(name, file, self.prefix)
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=inside
        )


class SourceLoader(importlib.machinery.SourceFileLoader):
    """Runs a file under a name with a prefix, and leaves no compiled file behind."""

    def __init__(self, name: str, path: str, prefix: str = "") -> None:
        """See ``Sources``."""
        super().__init__(name, path)
        self.prefix = prefix

    def exec_module(self, module: ModuleType) -> None:
        """Run the file; its classes and functions have the name with the prefix as module."""
        module.__name__ = self.prefix + self.name
        code = self.get_code(self.name)
        if code is not None:
            exec(code, module.__dict__)

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write nothing."""
