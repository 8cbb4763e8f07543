"""List spaces, proxies, searchers and whatever else has names."""

import click

from foretell.cli._app import document, examples
from foretell.errors import UnknownNameError

__all__ = ["KINDS", "list_command"]

KINDS = {
    "spaces": "foretell.spaces:spaces",
    "proxies": "foretell.proxies:proxies",
    "predictors": "foretell.predictors:predictors",
    "curve-predictors": "foretell.curves:curve_predictors",
    "encodings": "foretell.encodings:encodings",
    "searchers": "foretell.search:searchers",
    "quantities": "foretell.quantities:quantities",
    "data": "foretell.data:sources",
    "importers": "foretell.benchmarks.importers:importers",
    "attacks": "foretell.robustness:attacks",
}
"""Kind -> where its registry is."""

_WIDE = 110
"""Terminals of so many columns have room for references; JSON always has them."""


@click.command(
    epilog=examples(
        "foretell list proxies",
        "foretell list quantities --json",
    ),
)
@click.argument("kind", metavar="|".join(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_command(kind: str, as_json: bool) -> None:
    """List the names of a KIND, with what is known about each.

    References are shown where the terminal has room for them, and in JSON.
    """
    from typing import Any, cast

    from foretell.registry import Registry, resolve

    if kind not in KINDS:
        import difflib

        raise UnknownNameError("kind of name", kind, difflib.get_close_matches(kind, KINDS), KINDS)
    registry = cast(Registry[Any], resolve(KINDS[kind]))
    rows = [
        {
            "name": entry.name,
            "summary": entry.summary,
            "reference": entry.reference,
            **{key: _plain(value) for key, value in entry.facts.items()},
        }
        for entry in registry.entries()
    ]
    if as_json:
        document(rows)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{len(rows)} {kind}", title_justify="left", box=None, pad_edge=False)
    for key in dict.fromkeys(key for row in rows for key in row):
        if key == "reference" and console.width < _WIDE:
            continue
        if any(row.get(key) for row in rows):
            table.add_column(key, no_wrap=key == "name", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(row.get(str(c.header), "")) for c in table.columns))
    console.print(table)


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(str(_plain(v)) for v in value))
    return str(getattr(value, "value", getattr(value, "name", value)))
