"""`foretell list KIND`: what has names."""

import click

from foretell.errors import UnknownNameError

__all__ = ["KINDS", "list_command"]

KINDS = {
    "spaces": "foretell.spaces:spaces",
    "proxies": "foretell.proxies:proxies",
    "predictors": "foretell.predictors:predictors",
    "representations": "foretell.features:representations",
    "searchers": "foretell.search:searchers",
    "data": "foretell.data:sources",
    "importers": "foretell.benchmarks.importers:importers",
    "attacks": "foretell.robustness:attacks",
}
"""Kind -> where its registry is."""


@click.command()
@click.argument("kind", metavar="|".join(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def list_command(kind: str, as_json: bool) -> None:
    """List the names of a KIND, with what is known about each."""
    import json
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
        click.echo(json.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{len(rows)} {kind}", title_justify="left", box=None, pad_edge=False)
    for column in list(rows[0]) if rows else ["name"]:
        if any(row.get(column) for row in rows):
            table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(str(c.header), "")) for c in table.columns))
    Console().print(table)


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(sorted(str(_plain(v)) for v in value))
    return str(getattr(value, "value", getattr(value, "name", value)))
