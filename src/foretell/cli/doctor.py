"""Print versions, devices and extras, for bug reports."""

import click

__all__ = ["doctor_command"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor_command(as_json: bool) -> None:
    """Print versions, devices and extras, for bug reports."""
    import json

    from foretell.cli._doctor import examine

    info = examine()
    if as_json:
        click.echo(json.dumps(info))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, rows in info.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        table.add_column(style="bold")
        table.add_column()
        for name, value in rows.items():
            table.add_row(name, str(value))
        console.print(table)
        console.print()
