"""Print the script that completes foretell in your shell."""

import click

from foretell.cli._app import examples

__all__ = ["completion_command"]


@click.command(
    epilog=examples(
        "foretell completion bash",
        "foretell completion fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that completes foretell in your shell.

    For bash, add to ~/.bashrc:  eval "$(foretell completion bash)"
    """
    from click.shell_completion import get_completion_class

    from foretell.cli._app import app

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - the choices above are click's own
        raise click.UsageError(f"click knows no completion for {shell}.")
    try:
        script = found(app, {}, "foretell", "_FORETELL_COMPLETE").source()
    except RuntimeError as error:
        raise click.UsageError(str(error)) from error
    click.echo(script)
