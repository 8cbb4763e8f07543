"""A table on the terminal, or as JSON for machines."""

from collections.abc import Mapping, Sequence

from foretell.cli._app import document
from foretell.tables import plain

__all__ = ["show"]


def show(columns: Mapping[str, Sequence[object]], as_json: bool, *, title: str) -> None:
    """Print a table.

    Args:
        columns: name -> values; on the terminal, empty columns are left out and the rest is laid
            out in as many tables as its width needs.
        as_json: an array of objects instead, with null for NaN.
        title: above the table.
    """
    if as_json:
        rows = [
            dict(zip(columns, map(plain, r), strict=True))
            for r in zip(*columns.values(), strict=True)
        ]
        document(rows)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    kept = [name for name, values in columns.items() if any(v != "" for v in values)]
    words = [n for n in kept if n in ("arch", "failure")]
    cells = {name: [_cell(v) for v in columns[name]] for name in kept}
    console.print(title, highlight=False)
    width = max((len(v) for n in words for v in cells[n]), default=0)
    room = console.width - (width + 2 if width <= console.width // 2 else 5)
    numbers = [str(i + 1) for i in range(len(next(iter(columns.values()), ())))]
    if width > console.width // 2:  # texts get lines of their own, numbers stand for them below
        for name in words:
            for number, text in zip(numbers, cells[name], strict=True):
                if text:
                    console.print(f"{number:>3}  {text}", highlight=False, soft_wrap=True)
        words = []
    for group in _groups({n: v for n, v in cells.items() if n not in ("arch", "failure")}, room):
        table = Table(box=None, pad_edge=False)
        heads = {n: cells[n] for n in words} if words else {"#": numbers}
        for name in heads:
            table.add_column(name, no_wrap=True)
        for name in group:
            table.add_column(name, justify="right", no_wrap=True)
        for row in zip(*heads.values(), *(cells[n] for n in group), strict=True):
            table.add_row(*row)
        console.print(table)


def _groups(cells: Mapping[str, list[str]], room: int) -> list[list[str]]:
    """Names of columns that fit side by side into so many characters."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, values in cells.items():
        width = max(map(len, (name, *values))) + 2
        if groups[-1] and used + width > room:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += width
    return groups


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value != value:
            return "-"
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e12 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
