"""Write the page of a running, stopped or finished run, from what it has found."""

from pathlib import Path

import click

from foretell.cli._app import FilePath, examples

__all__ = ["report_command"]


@click.command(
    epilog=examples(
        "foretell report runs/digits",
    ),
)
@click.argument("run", type=FilePath())
@click.option(
    "--trust",
    is_flag=True,
    help="Import code that reading needs, though the folder was not made here.",
)
def report_command(run: Path, trust: bool) -> None:
    """Write RUN/report.html from what the study in the folder RUN has found so far.

    Only reads: nothing is computed, and the study may be running meanwhile. `foretell resume` goes
    on with one that was stopped.
    """
    from foretell.report.pages import page_of
    from foretell.studies._base import study_of
    from foretell.studies.run.session import kind_in
    from foretell.studies.run.trust import no_foreign_code

    kind = kind_in(run)
    with no_foreign_code(run, trust):
        page = page_of(kind).write(study_of(kind).read(run), run / "report.html")
    click.echo(str(page))
