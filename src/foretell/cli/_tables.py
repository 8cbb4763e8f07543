"""A table on the terminal, or as JSON for machines."""

import json
from collections.abc import Mapping, Sequence

import click

from foretell.tables import plain

__all__ = ["show"]


def show(columns: Mapping[str, Sequence[object]], as_json: bool, *, title: str) -> None:
    """Print a table.

    Args:
        columns: name -> values; empty columns are left out on the terminal.
        as_json: an array of objects instead, with null for NaN.
        title: above the table.
    """
    if as_json:
        rows = [
            dict(zip(columns, map(plain, r), strict=True))
            for r in zip(*columns.values(), strict=True)
        ]
        click.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    kept = [name for name, values in columns.items() if any(v != "" for v in values)]
    for name in kept:
        table.add_column(name, justify="left" if name in ("arch", "failure") else "right",
                         overflow="fold")  # fmt: skip
    for row in zip(*(columns[name] for name in kept), strict=True):
        table.add_row(*map(_cell, row))
    console = Console()
    if not console.is_terminal:
        console.width = 80 + 12 * len(kept)
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
