"""Take trials of a running search, on this or another host."""

from pathlib import Path

import click

from foretell.cli._app import FilePath, examples

__all__ = ["worker_command"]


@click.command(
    epilog=examples(
        "foretell worker runs/digits",
        "foretell worker runs/digits --workers 2 --wait",
    ),
)
@click.argument("folder", type=FilePath())
@click.option("--workers", default=0, show_default=True, help="Processes; 0 trains in this one.")
@click.option("--wait", is_flag=True, help="Stay when all is finished, for trials yet to come.")
@click.option("--trust", is_flag=True, help="Run its code though the folder was not made here.")
def worker_command(folder: Path, workers: int, wait: bool, trust: bool) -> None:
    """Take trials of the search in FOLDER, on this or another host, until there are none.

    Start the search with `--round N` to have N trials at hand for N workers. A worker that dies
    loses nothing: its trial is taken by another when its lease ends.
    """
    from foretell.studies import serve

    count = serve(folder, workers=workers, wait=wait, trust=trust)
    click.echo(f"Finished {count} trials.")
