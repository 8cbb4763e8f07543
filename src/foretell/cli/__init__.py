"""The command line: one file per command, loaded when it is called."""

from foretell.cli._app import app, main

__all__ = ["app", "main"]
