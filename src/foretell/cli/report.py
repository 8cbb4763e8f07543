"""`foretell report`: the page of a run, again."""

from pathlib import Path

import click

__all__ = ["report_command"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--quiet", is_flag=True, help="No progress bars.")
def report_command(folder: Path, quiet: bool) -> None:
    """Write FOLDER/report.html again, from what its search has stored.

    Nothing that is finished is computed again; a search that was stopped goes on to its end.
    """
    from foretell.api import find
    from foretell.cli._progress import progress
    from foretell.studies import stored_config

    config = stored_config(folder)
    with progress(quiet) as tell:
        result = find(config, folder, on_progress=tell)
    click.echo(str(result.folder / "report.html"))
