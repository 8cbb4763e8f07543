"""Go on with a run that was stopped, with the settings that it has."""

from pathlib import Path

import click

from foretell.cli._app import FilePath, examples

__all__ = ["resume_command"]


@click.command(
    epilog=examples(
        "foretell resume runs/digits",
        "foretell resume runs/digits --quiet",
    ),
)
@click.argument("run", type=FilePath())
@click.option("--quiet", is_flag=True, help="No progress bars.")
@click.option(
    "--trust", is_flag=True, help="Go on though the folder was not made here, or its code changed."
)
def resume_command(run: Path, quiet: bool, trust: bool) -> None:
    """Go on with the study in the folder RUN, whatever its kind, with its own settings.

    What is finished is not computed again; a finished study has its files written again.
    """
    from foretell.cli._progress import progress
    from foretell.cli._study import run_in_folder
    from foretell.studies._base import study_of
    from foretell.studies.run.session import kind_in, stored_settings
    from foretell.studies.run.trust import check_trusted

    kind = kind_in(run)
    check_trusted(run, trust)
    config = study_of(kind).CONFIG.from_json(stored_settings(run))
    with progress(quiet) as tell:
        run_in_folder(config, run, tell)
    click.echo(str(run))
